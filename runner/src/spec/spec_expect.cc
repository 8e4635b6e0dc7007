#include "spec/spec_expect.h"

#include <algorithm>
#include <map>

#include "contract/schema.h"
#include "contract/text.h"
#include "spec/spec_keys.h"
#include "spec/spec_reader.h"

namespace greta::runner {
namespace {

using Form = store::Gate::Form;

const std::vector<std::string> kCompares = {"le", "lt", "ge", "gt", "eq", "ne"};

// Keys that each form has a use for, besides `id`.
const std::vector<std::string>& keys_of_form(Form form) {
  static const std::map<Form, std::vector<std::string>> kKeys = {
      {Form::metric,
       {"metric", "agg", "per", "where", "ratio_to", "le", "lt", "ge", "gt", "eq", "ne"}},
      {Form::floor, {"metric", "where", "within_floor_of"}},
      {Form::all, {"metric", "where", "all"}},
      {Form::distinct, {"distinct", "across", "per", "where"}},
      {Form::sql, {"sql"}},
  };
  return kKeys.at(form);
}

class GateReader {
 public:
  GateReader(const YamlNode& node, std::string name, const Matrix& matrix, RecordsKnown records,
             Problems& problems, std::vector<std::string>& warnings)
      : node_(node),
        name_(std::move(name)),
        matrix_(matrix),
        records_(records),
        problems_(problems),
        warnings_(warnings),
        map_(node, name_, "expect", problems) {}

  store::Gate read() {
    gate_.line = node_.place.line;
    gate_.places[""] = to_string(node_.place);
    if (!map_.valid()) return gate_;
    for (const auto& entry : node_.entries) gate_.places[entry.key] = to_string(entry.value.place);
    if (const YamlNode* id = map_.get("id")) {
      gate_.id = read_name(*id, map_.path("id"), problems_).value_or("");
    } else if (node_.find("id") == nullptr) {
      problems_.add(node_.place, "missing key `id` in `" + name_ + "`");
    }
    if (!choose_form()) return gate_;
    if (const YamlNode* where = map_.get("where")) {
      gate_.where = read_words(*where, map_.path("where"), problems_).value_or("");
    }
    if (const YamlNode* per = map_.get("per")) read_per(*per);
    switch (gate_.form) {
      case Form::metric:
        read_metric_name("metric", gate_.kind, gate_.field);
        read_aggregate();
        read_bounds();
        if (const YamlNode* partner = map_.get("ratio_to")) read_ratio(*partner);
        warn_of_timing();
        break;
      case Form::floor:
        read_metric_name("metric", gate_.kind, gate_.field);
        if (const YamlNode* partner = map_.get("within_floor_of"))
          read_partner(*partner, "within_floor_of");
        break;
      case Form::all:
        read_metric_name("metric", gate_.kind, gate_.field);
        read_all();
        break;
      case Form::distinct:
        read_distinct();
        break;
      case Form::sql:
        if (const YamlNode* sql = map_.get("sql")) {
          gate_.sql = read_words(*sql, map_.path("sql"), problems_).value_or("");
        }
        break;
    }
    return gate_;
  }

 private:
  bool choose_form() {
    const bool metric = node_.find("metric") != nullptr, all = node_.find("all") != nullptr;
    const bool floor = node_.find("within_floor_of") != nullptr;
    const bool distinct = node_.find("distinct") != nullptr, sql = node_.find("sql") != nullptr;
    if (!(metric || all || floor || distinct || sql) && map_.has_unknown_keys()) return false;
    if ((metric || all || floor) + distinct + sql != 1) {
      problems_.add(node_.place,
                    "`" + name_ + "` needs exactly one of `metric`, `distinct` and `sql`");
      return false;
    }
    if ((all || floor) && !metric) {
      problems_.add(node_.place, "missing key `metric` in `" + name_ +
                                     "`: " + (all ? "`all`" : "`within_floor_of`") + " of what?");
      return false;
    }
    gate_.form = all        ? Form::all
                 : floor    ? Form::floor
                 : metric   ? Form::metric
                 : distinct ? Form::distinct
                            : Form::sql;
    const auto& allowed = keys_of_form(gate_.form);
    for (const auto& entry : node_.entries) {
      if (entry.key == "id" || std::count(allowed.begin(), allowed.end(), entry.key)) continue;
      const auto& known = keys_of("expect");
      if (!std::count(known.begin(), known.end(), entry.key)) continue;  // said already
      problems_.add(entry.place, "`" + entry.key + "` has no use beside `" + form_key() + "`" +
                                     instead_of(entry.key));
    }
    return true;
  }

  std::string form_key() const {
    static const std::map<Form, std::string> kNames = {{Form::metric, "metric"},
                                                       {Form::floor, "within_floor_of"},
                                                       {Form::all, "all"},
                                                       {Form::distinct, "distinct"},
                                                       {Form::sql, "sql"}};
    return kNames.at(gate_.form);
  }

  // What does what the key would do, were it of use here.
  std::string instead_of(const std::string& key) const {
    if (gate_.form == Form::sql)
      return key == "where" || key == "per" || key == "agg" ? ": the SQL says it itself" : "";
    if (gate_.form == Form::floor) {
      if (key == "ratio_to") return ": a gate compares in one way";
      if (key == "agg" || key == "per") return ": every record has its own floor";
      return std::count(kCompares.begin(), kCompares.end(), key) ? ": the floor is the limit" : "";
    }
    if (gate_.form == Form::metric && key == "across")
      return " (did you mean `per` or `ratio_to`?)";
    if (gate_.form == Form::all && key == "per") return ": it holds for every record or does not";
    if (gate_.form == Form::distinct && key == "ratio_to") return " (did you mean `across`?)";
    return "";
  }

  void read_per(const YamlNode& per) {
    gate_.per = read_texts(per, map_.path("per"), OneIsEnough::yes, problems_);
    const auto boolean = std::find_if(per.items.begin(), per.items.end(), is_boolean);
    if (is_boolean(per) || boolean != per.items.end()) {
      const YamlNode& it = is_boolean(per) ? per : *boolean;
      problems_.add(it.place, "`" + map_.path("per") + "` names fields, got " + describe(it));
    }
    for (const std::string& field : gate_.per) {
      if (is_identifier(field)) continue;
      problems_.add(per.place,
                    "`" + map_.path("per") + "` names fields, got `" + printable(field) + "`");
    }
  }

  // Splits `kind.field`; false when the text is not that.
  bool split(const YamlNode& node, std::string_view path, const std::string& text,
             std::string& kind, std::string& field) {
    const size_t dot = text.find('.');
    kind = text.substr(0, dot);
    field = dot == std::string::npos ? "" : text.substr(dot + 1);
    if (is_identifier(kind) && is_identifier(field)) {
      check_known(node, kind);
      return true;
    }
    problems_.add(node.place, "`" + std::string(path) +
                                  "` must be `kind.field`, such as "
                                  "`readout.gap`, got `" +
                                  printable(text) + "`");
    return false;
  }

  void read_metric_name(std::string_view key, std::string& kind, std::string& field) {
    const YamlNode* node = map_.get(key);
    if (node == nullptr) return;
    const auto text = read_text(*node, map_.path(key), problems_);
    if (text) split(*node, map_.path(key), *text, kind, field);
  }

  void warn(const YamlNode& node, const std::string& message) {
    warnings_.push_back(to_string(node.place) + ": " + message);
  }

  void check_known(const YamlNode& node, const std::string& kind) {
    if (records_ == RecordsKnown::no || kind == "cells") return;  // greta writes cells itself
    const Kind* known = builtin_schema().find(kind);
    if (known == nullptr) {
      std::vector<std::string> kinds;
      for (const Kind& k : builtin_schema().kinds) kinds.push_back(k.name);
      warn(node, "greta's engine writes no record `" + kind + "`" + did_you_mean(kind, kinds));
      return;
    }
  }

  void read_aggregate() {
    const YamlNode* agg = map_.get("agg");
    if (agg == nullptr) return;
    gate_.agg =
        read_choice(*agg, map_.path("agg"), store::gate_aggregates(), problems_).value_or("");
  }

  void read_bounds() {
    size_t given = 0;
    for (const std::string& key : kCompares) {
      if (node_.find(key) == nullptr) continue;
      ++given;
      const YamlNode* value = map_.get(key);
      if (value == nullptr) continue;
      const auto text = read_text(*value, map_.path(key), problems_);
      if (!text) continue;
      if (const auto number = parse_number(*text)) {
        gate_.bounds.push_back({key, *number, "", parse_integer(*text)});
      } else if (is_identifier(*text) && !is_boolean(*value)) {
        gate_.bounds.push_back({key, 0, *text});
        if (*text == gate_.field) {
          problems_.add(value->place, "`" + map_.path(key) + "` compares `" + printable(*text) +
                                          "` with itself: it says nothing");
        }
      } else {
        problems_.add(value->place, "`" + map_.path(key) + "` must be a number or a field of the " +
                                        "record, got `" + printable(*text) + "`");
      }
    }
    if (given == 0 && map_.has_unknown_keys()) return;
    const auto has = [&](std::string_view a, std::string_view b) {
      return (node_.find(a) != nullptr) + (node_.find(b) != nullptr) == 1;
    };
    const bool range = given == 2 && has("le", "lt") && has("ge", "gt");
    if (given != 1 && !range) {
      problems_.add(
          node_.place,
          "`" + name_ + "` needs exactly one of `le`, `lt`, `ge`, `gt`, `eq` " +
              (given == 0 ? "and `ne`, or `all: true`" : "and `ne`, or a lower and an upper one"));
      return;
    }
    for (const store::Bound& bound : gate_.bounds) check_bound(bound, range);
    if (!range || gate_.bounds.size() != 2) return;
    const bool upper_first = gate_.bounds[0].compare[0] == 'l';  // le, lt
    const store::Bound& low = gate_.bounds[upper_first ? 1 : 0];
    const store::Bound& high = gate_.bounds[upper_first ? 0 : 1];
    const bool closed = low.compare == "ge" && high.compare == "le";
    if (!low.limit_field.empty() || !high.limit_field.empty()) return;
    const auto value_of = [](const store::Bound& bound) {
      return bound.whole ? static_cast<long double>(*bound.whole) : bound.limit;
    };
    const long double from = value_of(low), to = value_of(high);
    if (from > to || (from == to && !closed)) {
      problems_.add(
          node_.find(high.compare)->place,
          "nothing is between `" + low.compare + "` and `" + high.compare + "` of `" + name_ + "`");
    }
  }

  // Where the limit must be a number, a field of the record is none.
  void check_bound(const store::Bound& bound, bool range) {
    if (bound.limit_field.empty()) return;
    const bool ratio = node_.find("ratio_to") != nullptr;
    if (!range && !ratio) return;
    problems_.add(node_.find(bound.compare)->place,
                  "`" + map_.path(bound.compare) + "` must be a number beside " +
                      (ratio ? "`ratio_to`" : "another limit") + ", got `" +
                      printable(bound.limit_field) + "`");
  }

  void read_ratio(const YamlNode& partner) {
    read_partner(partner, "ratio_to");
    if (gate_.agg == "count") {
      problems_.add(node_.find("agg")->place,
                    "`agg: count` has no use beside `ratio_to`: every record has one partner");
    }
  }

  // `baseline`, a run, or an arm of this run: a map of axes to values.
  void read_partner(const YamlNode& node, const std::string& key) {
    using What = store::Partner::What;
    if (node.kind != YamlNode::Kind::map) {
      const std::string wish = "`baseline`, a run or milestone, or an arm such as {AXIS: value}";
      if (!expect_kind(node, YamlNode::Kind::scalar, map_.path(key), wish, problems_)) return;
      const auto text = read_words(node, map_.path(key), problems_);
      if (!text) return;
      gate_.partner.what = *text == "baseline" ? What::baseline : What::run;
      if (gate_.partner.what == What::baseline) return;
      gate_.partner.run = *text;
      if (const std::string hint = did_you_mean(*text, {"baseline"}); !hint.empty())
        warn(node,
             "`" + map_.path(key) + "`: `" + printable(*text) + "` is the name of a run" + hint);
      return;
    }
    gate_.partner.what = What::arm;
    if (node.entries.empty()) {
      problems_.add(node.place, "`" + map_.path(key) + "` names no axis of the matrix");
    }
    for (const auto& entry : node.entries) {
      const auto axis = std::find_if(matrix_.begin(), matrix_.end(),
                                     [&](const auto& one) { return one.first == entry.key; });
      if (axis == matrix_.end()) {
        problems_.add(entry.place, "`" + map_.path(key) + "`: `" + printable(entry.key) +
                                       "` is no axis of the matrix" +
                                       did_you_mean(entry.key, axes()));
        continue;
      }
      const auto value = read_text(entry.value, map_.path(key) + "." + entry.key, problems_);
      if (!value) continue;
      const auto& values = axis->second;
      if (!std::count(values.begin(), values.end(), *value)) {
        problems_.add(entry.value.place, "`" + map_.path(key) + "`: `" + printable(*value) +
                                             "` is no value of " + entry.key +
                                             did_you_mean(*value, values));
      } else if (values.size() == 1) {
        problems_.add(entry.value.place, "`" + map_.path(key) + "`: " + entry.key +
                                             " has no other value, so there is nothing to compare");
      }
      gate_.partner.arm[entry.key] = *value;
    }
  }

  std::vector<std::string> axes() const {
    std::vector<std::string> out;
    for (const auto& [axis, values] : matrix_) out.push_back(axis);
    return out;
  }

  // Seconds are of one machine on one day: they mean something beside others of the same run.
  void warn_of_timing() {
    if (gate_.partner.what != store::Partner::What::none || gate_.agg == "count") return;
    const Kind* kind = records_ == RecordsKnown::yes ? builtin_schema().find(gate_.kind) : nullptr;
    const Field* field = kind != nullptr ? kind->find(gate_.field) : nullptr;
    const bool timing = (gate_.kind == "cells" && gate_.field == "wall_s") ||
                        (field != nullptr && field->role == FieldRole::timing);
    const YamlNode* metric = node_.find("metric");
    if (!timing || metric == nullptr) return;
    warn(*metric, "`" + gate_.kind + "." + gate_.field +
                      "` is a timing, and depends on the machine: `ratio_to` compares it with "
                      "another one");
  }

  void read_all() {
    const YamlNode* all = map_.get("all");
    if (all == nullptr) return;
    const auto value = read_boolean(*all, map_.path("all"), problems_);
    if (value && !*value) {
      problems_.add(all->place, "`" + map_.path("all") + "` can only be true");
    }
    const Kind* kind = records_ == RecordsKnown::yes ? builtin_schema().find(gate_.kind) : nullptr;
    const Field* field = kind != nullptr ? kind->find(gate_.field) : nullptr;
    if (field != nullptr && field->type != FieldType::boolean) {
      warn(*all, "`" + gate_.kind + "." + gate_.field + "` is no boolean but " +
                     std::string(to_string(field->type)));
    }
  }

  void read_distinct() {
    const YamlNode* distinct = map_.get("distinct");
    if (distinct == nullptr) return;
    const std::string path = map_.path("distinct");
    const std::vector<std::string> names = read_texts(*distinct, path, OneIsEnough::yes, problems_);
    for (const std::string& name : names) {
      if (split(*distinct, path, name, gate_.kind, gate_.field)) gate_.fields.push_back(name);
    }
    if (names.size() != gate_.fields.size()) return;
    const YamlNode* across = map_.get("across");
    if (node_.find("across") != nullptr) {
      if (across != nullptr) read_across(*across);
      gate_.fields.clear();  // `kind` and `field` say it
      if (names.size() != 1) {
        problems_.add(distinct->place, "`" + path + "` with `across` names one field, got " +
                                           std::to_string(names.size()));
      }
      return;
    }
    if (!gate_.per.empty()) {
      problems_.add(node_.find_entry("per")->place,
                    "`per` has no use beside `distinct` without `across`");
    }
    gate_.kind.clear();  // each of `fields` says its own
    gate_.field.clear();
    if (names.size() < 2) {
      problems_.add(distinct->place,
                    "`" + path + "` needs two fields or more, or `across` an axis");
      return;
    }
    const std::string kind = names[0].substr(0, names[0].find('.') + 1);
    for (const std::string& name : names) {
      if (name.starts_with(kind)) continue;
      problems_.add(distinct->place, "`" + path + "` compares fields of one record, got `" +
                                         printable(names[0]) + "` and `" + printable(name) + "`");
      break;
    }
    if (std::any_of(names.begin(), names.end(), [&](const std::string& name) {
          return std::count(names.begin(), names.end(), name) > 1;
        })) {
      problems_.add(distinct->place, "`" + path + "` names one field twice: it never differs");
    }
  }

  void read_across(const YamlNode& across) {
    gate_.across = read_texts(across, map_.path("across"), OneIsEnough::yes, problems_);
    for (const std::string& axis : gate_.across) {
      const auto known = axes();
      if (std::count(gate_.across.begin(), gate_.across.end(), axis) > 1) {
        problems_.add(across.place,
                      "`" + map_.path("across") + "` names `" + printable(axis) + "` twice");
        break;
      }
      if (std::count(known.begin(), known.end(), axis)) continue;
      problems_.add(across.place, "`" + map_.path("across") + "`: `" + printable(axis) +
                                      "` is no axis of the matrix" + did_you_mean(axis, known));
    }
    if (gate_.across.empty()) {
      problems_.add(across.place, "`" + map_.path("across") + "` names no axis of the matrix");
    }
  }

  const YamlNode& node_;
  std::string name_;
  const Matrix& matrix_;
  RecordsKnown records_;
  Problems& problems_;
  std::vector<std::string>& warnings_;
  MapReader map_;
  store::Gate gate_;
};

// A gate that was read without a mistake, and where it stands.
struct Readable {
  const YamlNode* node;
  std::string name;
};

// What the store says of the gates: SQL that is none, names that no record has. Of an engine of
// another kind nobody knows the names, so a gate about them may be right.
void check_in_store(const std::vector<Readable>& readable, const std::vector<store::Gate>& gates,
                    RecordsKnown records, Problems& problems, std::vector<std::string>& warnings) {
  using What = store::GateMistake::What;
  const auto mistakes = store::check_gates(gates);
  if (!mistakes) return problems.add(mistakes.error());
  for (const store::GateMistake& mistake : *mistakes) {
    const Readable& gate = readable[mistake.gate];
    const YamlNode* value = gate.node->find(mistake.key);
    const Place& place = (value == nullptr ? gate.node : value)->place;
    const std::string text = "`" + gate.name + "." + mistake.key + "`: " + mistake.message;
    // Whatever the engine: greta writes the cells itself.
    const store::Gate& read = gates[mistake.gate];
    const bool of_cells =
        read.kind == "cells" || (!read.fields.empty() && read.fields[0].starts_with("cells."));
    if (mistake.what == What::wrong ||
        (mistake.what == What::unknown_name && (records == RecordsKnown::yes || of_cells))) {
      problems.add(place, text);
    } else if (mistake.what == What::unknown_name || records == RecordsKnown::yes) {
      warnings.push_back(to_string(place) + ": " + text);
    }
  }
}

}  // namespace

std::vector<store::Gate> read_expect(const YamlNode& list, const Matrix& matrix,
                                     RecordsKnown records, Problems& problems,
                                     std::vector<std::string>& warnings) {
  std::vector<store::Gate> gates;
  if (!expect_kind(list, YamlNode::Kind::list, "expect", "a list of gates", problems)) return gates;
  std::map<std::string, int> lines;
  std::vector<Readable> readable;
  std::vector<store::Gate> checked;
  for (size_t i = 0; i < list.items.size(); ++i) {
    const YamlNode& node = list.items[i];
    const std::string name = "expect[" + std::to_string(i) + "]";
    const size_t before = problems.size();
    store::Gate gate = GateReader(node, name, matrix, records, problems, warnings).read();
    if (problems.size() == before) {
      readable.push_back({&node, name});
      checked.push_back(gate);
    }
    if (!gate.id.empty()) {
      const auto [first, is_new] = lines.emplace(gate.id, node.place.line);
      if (!is_new) {
        problems.add(node.place, "gate `" + gate.id + "` is given twice (first at line " +
                                     std::to_string(first->second) + ")");
      }
    }
    gates.push_back(std::move(gate));
  }
  check_in_store(readable, checked, records, problems, warnings);
  return gates;
}

}  // namespace greta::runner
