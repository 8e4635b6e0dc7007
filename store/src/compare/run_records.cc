#include "compare/run_records.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "contract/text.h"
#include "db/sqlite.h"
#include "text/markdown.h"

namespace greta::store {

namespace {

constexpr double kBeforeAll = -1, kAfterAll = 1e9;
constexpr std::string_view kPoints[] = {
    "embed_out", "x_in",         "attn_norm", "q",       "k",     "v",          "attn_out",
    "wo_out",    "x_after_attn", "ffn_norm",  "mlp_out", "x_out", "final_norm", "logits"};

double point_rank(const std::string& point) {
  const auto at = std::find(std::begin(kPoints), std::end(kPoints), point);
  return static_cast<double>(at - std::begin(kPoints));
}

// prefill_last is step 0, decode0 step 1, …
double step_of_phase(const std::string& phase) {
  if (phase.starts_with("prefill")) return 0;
  int step = 0;
  if (phase.starts_with("decode")) {
    std::from_chars(phase.data() + 6, phase.data() + phase.size(), step);
    return step + 1;
  }
  return kAfterAll;
}

std::string key_of(const DiffRecord& record, const std::vector<std::string>& keys) {
  std::vector<std::string> parts;
  if (!record.prompt.empty()) parts.push_back("prompt=" + record.prompt);
  for (const std::string& key : keys) {
    const auto at = record.parts.find(key);
    // The phase says which step it is; recorded figures give no step.
    if (at == record.parts.end() || (key == "step" && record.parts.contains("phase"))) continue;
    parts.push_back(key + "=" + at->second);
  }
  return joined(parts, ", ");
}

class PlaceReader {
 public:
  PlaceReader(const KindInfo& kind, const DiffRecord& record) : kind_(kind), record_(record) {}
  Place read() const {
    Place place;
    const auto phase = record_.parts.find("phase");
    place.step =
        phase != record_.parts.end() ? step_of_phase(phase->second) : number("step", kAfterAll);
    place.layer = number("layer", kAfterAll);
    const auto point = record_.parts.find("point");
    place.point = point != record_.parts.end()                   ? point_rank(point->second)
                  : kind_.name.find("attn") != std::string::npos ? point_rank("attn_out")
                                                                 : kAfterAll;
    // Points outside the layers have layer -1: only the embedding comes before them.
    if (place.layer < 0 && place.point > point_rank("embed_out")) place.layer = kAfterAll - 1;
    place.head = number("head", -1);
    place.position = number("position", number("pos_id", number("index", -1)));
    return place;
  }

 private:
  double number(const std::string& name, double otherwise) const {
    const auto at = record_.parts.find(name);
    if (at == record_.parts.end()) return otherwise;
    double value = otherwise;
    std::from_chars(at->second.data(), at->second.data() + at->second.size(), value);
    return value;
  }
  const KindInfo& kind_;
  const DiffRecord& record_;
};

bool conflict(const std::vector<Value>& a, const std::vector<Value>& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].type == Value::Type::null || b[i].type == Value::Type::null) continue;
    if (!same_value(a[i], b[i])) return true;
  }
  return false;
}

void fill_gaps(std::vector<Value>& into, std::vector<Value> from) {
  for (size_t i = 0; i < into.size(); ++i) {
    if (into[i].type == Value::Type::null) into[i] = std::move(from[i]);
  }
}

// Recorded figures may come one a line: lines of one key that do not contradict each other are one
// record. Those that do (a kind whose keys nobody described) are told apart by their order.
void add_repeat(RecordSet::Records& records, const DiffRecord& record, RepeatId id, Repeat repeat) {
  for (int64_t number = 1;; ++number) {
    std::string key = record.key;
    if (number > 1) key += (key.empty() ? "#" : ", #") + std::to_string(number);
    const auto [at, inserted] = records.try_emplace(key, record);
    at->second.key = key;
    const auto slot = at->second.repeats.find(id);
    if (slot == at->second.repeats.end()) {
      at->second.repeats.emplace(id, std::move(repeat));
      return;
    }
    if (!conflict(slot->second.values, repeat.values))
      return fill_gaps(slot->second.values, std::move(repeat.values));
  }
}

// What stands before the keys and the fields in a row.
enum Column : size_t { kVariant, kPrompt, kRepeat, kRecord, kRun, kFirstKey };

std::string columns_of(const KindInfo& kind, const std::vector<std::string>& keys) {
  std::vector<std::string> columns = {"variant", "prompt", "repeat", "record", "run"};
  columns.insert(columns.end(), keys.begin(), keys.end());
  for (const FieldInfo& field : kind.fields) columns.push_back(field.column);
  return "SELECT " + joined(sql_names(columns), ", ") + " FROM " + kind.source();
}

}  // namespace

Result<RecordSet> RecordSet::load(Store& store, int64_t run, const KindInfo& kind) {
  const std::vector<std::string> keys = kind.keys();
  TRY_ASSIGN(Table table, select(store, run, columns_of(kind, keys) + " ORDER BY record"));
  RecordSet out;
  for (auto& row : table.rows) {
    const RepeatId id{0, 0, row[kRepeat].integer};
    out.add(kind, keys, std::move(row), id);
  }
  return out;
}

Result<RecordSet> RecordSet::load(Store& store, const std::map<std::string, int64_t>& groups,
                                  const KindInfo& kind) {
  const std::vector<std::string> keys = kind.keys();
  std::vector<std::string> names;
  std::map<std::string, RepeatId, std::less<>> ids;
  for (const auto& [name, group] : groups) {
    ids[name] = RepeatId{group, static_cast<int64_t>(names.size()), 0};
    names.push_back(quoted_text(name));
  }
  // The + keeps SQLite from reading the records of every run in their order.
  TRY_ASSIGN(Table table, select(store, -1,
                                 columns_of(kind, keys) + " WHERE run IN (" + joined(names, ", ") +
                                     ") ORDER BY +record"));
  RecordSet out;
  for (auto& row : table.rows) {
    RepeatId id = ids[row[kRun].text];
    id.number = row[kRepeat].integer;
    out.add(kind, keys, std::move(row), id);
  }
  return out;
}

void RecordSet::add(const KindInfo& kind, const std::vector<std::string>& keys,
                    std::vector<Value> row, RepeatId id) {
  DiffRecord record;
  if (row[kPrompt].type != Value::Type::null) record.prompt = value_text(row[kPrompt]);
  for (size_t i = 0; i < keys.size(); ++i) {
    const Value& value = row[kFirstKey + i];
    if (value.type != Value::Type::null) record.parts[keys[i]] = value_text(value);
  }
  record.key = key_of(record, keys);
  record.place = PlaceReader(kind, record).read();
  const auto first_field = row.begin() + static_cast<std::ptrdiff_t>(kFirstKey + keys.size());
  Repeat repeat{
      .record = row[kRecord].integer,
      .values = {std::make_move_iterator(first_field), std::make_move_iterator(row.end())}};
  // What the model is fed comes before all that it computes.
  const auto is_prompt = [&](const FieldInfo& field) {
    const auto& value = repeat.values[static_cast<size_t>(&field - kind.fields.data())];
    return field.column == "source" && value.text == "prompt";
  };
  if (kind.name == "tokens" && std::any_of(kind.fields.begin(), kind.fields.end(), is_prompt))
    record.place.step = kBeforeAll;
  add_repeat(by_variant_[value_text(row[kVariant])], record, id, std::move(repeat));
}

const RecordSet::Records& RecordSet::of_variant(const std::string& variant) const {
  static const Records kNoRecords;
  const auto at = by_variant_.find(variant);
  return at == by_variant_.end() ? kNoRecords : at->second;
}

bool RecordSet::has_key(const std::string& variant, const std::string& column) const {
  const Records& records = of_variant(variant);
  return std::any_of(records.begin(), records.end(),
                     [&](const auto& entry) { return entry.second.parts.contains(column); });
}

RecordSet::Records RecordSet::without_key(const std::string& variant, const std::string& column,
                                          const KindInfo& kind) const {
  const std::vector<std::string> keys = kind.keys();
  Records out;
  std::map<std::string, std::vector<bool>> dropped;  // figures on which the records disagree
  for (const auto& [key, record] : of_variant(variant)) {
    DiffRecord merged = record;
    merged.parts.erase(column);
    merged.key = key_of(merged, keys);
    merged.place = PlaceReader(kind, merged).read();
    const auto [slot, fresh] = out.try_emplace(merged.key, merged);
    auto& gone = dropped[merged.key];
    gone.resize(kind.fields.size());
    if (fresh) continue;
    for (const auto& [id, repeat] : record.repeats) {
      const std::vector<Value>& values = repeat.values;
      const auto [kept, added] = slot->second.repeats.try_emplace(id, repeat);
      if (added) continue;
      for (size_t i = 0; i < values.size(); ++i) {
        Value& value = kept->second.values[i];
        if (!gone[i] && same_value(value, values[i])) continue;
        if (kind.fields[i].type == "boolean" && is_number(value) && is_number(values[i])) {
          value.integer = std::min(value.integer, values[i].integer);
        } else {
          gone[i] = true;
          value = Value{};
        }
      }
    }
  }
  return out;
}

}  // namespace greta::store
