#include "store/diff.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include "compare/judge.h"
#include "compare/pairing.h"
#include "contract/text.h"
#include "diff/diff_confounders.h"
#include "diff/diff_side.h"
#include "text/markdown.h"

namespace greta::store {

namespace {

// Identical figures are listed while there are few of them, and always counted.
constexpr int64_t kMostIdenticalListed = 20'000;

RunSummary summary_of(const RunInfo& run) {
  RunSummary out;
  out.id = run.id;
  out.run = run.name;
  out.milestone = run.milestone;
  out.status = run.status;
  out.provenance = run.provenance;
  out.started_at = run.started_at;
  out.ended_at = run.ended_at;
  out.cells = run.cells;
  out.cells_ok = run.cells - run.failed;
  if (const auto at = run.environment.find("commit"); at != run.environment.end()) {
    out.commit = joined({at->second.begin(), at->second.end()}, " | ");
  }
  return out;
}

struct Judged {
  MetricDiff metric;
  Place place;
  bool is_hash = false;
  std::tuple<int, bool, double, double> badness = {};
};

std::string figure_text(const FieldInfo& field, const Value& value) {
  if (field.type == "boolean" && value.type == Value::Type::integer) {
    return value.integer == 0 ? "false" : "true";
  }
  return value_text(value);
}

class Differ {
 public:
  Differ(Store& store, const RunInfo& a, const RunInfo& b) : store_(store), a_(a), b_(b) {}
  Result<Diff> run();

 private:
  using Records = RecordSet::Records;
  Result<> compare_kind(const KindInfo& kind);
  void compare_variant(const KindInfo& kind, const Records& a, const Records& b,
                       const VariantPair& pair);
  void compare_record(const KindInfo& kind, const DiffRecord& a, const DiffRecord& b,
                      const VariantPair& pair, const FigureJudge& judge);
  void one_sided(const KindInfo& kind, char side, const std::vector<const DiffRecord*>& records);
  void note_context(const KindInfo& kind, const VariantPair& pair, const Records& a,
                    const Records& b);
  void count(const MetricDiff& metric);
  void keep(Judged judged);
  void conclude();

  Store& store_;
  const RunInfo& a_;
  const RunInfo& b_;
  Diff out_;
  Reason incomparable_;
  FloorContext floors_;
  std::vector<Judged> judged_;
  std::map<std::pair<std::string, std::string>, FigureTally> tallies_;  // by kind and figure
};

Result<Diff> Differ::run() {
  out_.a = summary_of(a_);
  out_.b = summary_of(b_);
  out_.variants = match_variants(a_, b_);
  out_.confounders = confounders(a_, b_, out_.variants);
  incomparable_ = other_model(a_, b_);
  floors_ = floor_context(a_, b_);
  TRY_ASSIGN(const auto kinds, load_kinds(store_));
  for (const KindInfo& kind : kinds) TRY(compare_kind(kind));
  conclude();
  return std::move(out_);
}

Result<> Differ::compare_kind(const KindInfo& kind) {
  TRY_ASSIGN(const RecordSet a, RecordSet::load(store_, a_.id, kind));
  TRY_ASSIGN(const RecordSet b, RecordSet::load(store_, b_.id, kind));
  for (const VariantPair& pair : out_.variants) {
    const PairRecords records = records_of_pair(kind, a, b, pair);
    if (records.single_heads != 0) {
      out_.one_sided.push_back(
          OneSided{kind.name, records.single_heads, "figures of single heads", 0});
    }
    if (incomparable_.empty()) incomparable_ = other_shape(kind, records.a, records.b);
    note_context(kind, pair, records.a, records.b);
    compare_variant(kind, records.a, records.b, pair);
  }
  // Arms without a partner.
  for (const auto& [run, records, side] : {std::tuple{&a_, &a, 'a'}, std::tuple{&b_, &b, 'b'}}) {
    for (const VariantInfo& variant : run->variants) {
      const bool paired = std::any_of(out_.variants.begin(), out_.variants.end(),
                                      [&, at = side](const VariantPair& pair) {
                                        return (at == 'a' ? pair.a : pair.b) == variant.name;
                                      });
      const Records& its = records->of_variant(variant.name);
      if (paired || its.empty()) continue;
      const auto count = static_cast<int64_t>(its.size());
      (side == 'a' ? out_.only_a : out_.only_b) += count;
      out_.one_sided.push_back(OneSided{kind.name, side, "variant " + variant.name, count});
    }
  }
  return {};
}

// What made the results (route, kernel): listed once a field and pair, not once a record.
void Differ::note_context(const KindInfo& kind, const VariantPair& pair, const Records& a,
                          const Records& b) {
  if (a.empty() || b.empty()) return;
  for (size_t i = 0; i < kind.fields.size(); ++i) {
    if (kind.fields[i].role != FieldRole::context) continue;
    std::set<std::string> values_a, values_b;
    for (const auto& [records, values] : {std::pair{&a, &values_a}, std::pair{&b, &values_b}}) {
      for (const auto& [key, record] : *records) {
        const Value& value = record.first()[i];
        values->insert(value.type == Value::Type::null ? std::string(kNotRecorded)
                                                       : value_text(value));
      }
    }
    if (values_a == values_b) continue;
    std::string what = kind.name + "." + kind.fields[i].column;
    if (out_.variants.size() > 1) what += " [" + pair.label + "]";
    out_.confounders.push_back(Confounder{what, joined({values_a.begin(), values_a.end()}, " | "),
                                          joined({values_b.begin(), values_b.end()}, " | ")});
  }
}

void Differ::compare_variant(const KindInfo& kind, const Records& a, const Records& b,
                             const VariantPair& pair) {
  if (a.empty() && b.empty()) return;
  const FigureJudge judge(kind, a, b, floors_);

  std::vector<const DiffRecord*> only_a, only_b;
  std::vector<bool> in_a(kind.fields.size()), in_b(kind.fields.size());
  bool matched = false;
  for (const auto& [key, record] : a) {
    const auto partner = b.find(key);
    if (partner == b.end()) {
      only_a.push_back(&record);
      continue;
    }
    matched = true;
    for (size_t i = 0; i < kind.fields.size(); ++i) {
      if (record.first()[i].type != Value::Type::null) in_a[i] = true;
      if (partner->second.first()[i].type != Value::Type::null) in_b[i] = true;
    }
    compare_record(kind, record, partner->second, pair, judge);
  }
  for (const auto& [key, record] : b) {
    if (!a.contains(key)) only_b.push_back(&record);
  }
  one_sided(kind, 'a', only_a);
  one_sided(kind, 'b', only_b);
  if (!matched) return;
  std::vector<std::string> fields_a, fields_b;
  for (size_t i = 0; i < kind.fields.size(); ++i) {
    if (kind.fields[i].role == FieldRole::key) continue;
    if (in_a[i] && !in_b[i]) fields_a.push_back(kind.fields[i].column);
    if (in_b[i] && !in_a[i]) fields_b.push_back(kind.fields[i].column);
  }
  for (const auto& [fields, side] : {std::pair{&fields_a, 'a'}, std::pair{&fields_b, 'b'}}) {
    const std::string what = "fields " + joined(*fields, ", ");
    const bool said = std::any_of(
        out_.one_sided.begin(), out_.one_sided.end(), [&, s = side](const OneSided& other) {
          return other.kind == kind.name && other.side == s && other.what == what;
        });
    if (!fields->empty() && !said) out_.one_sided.push_back(OneSided{kind.name, side, what, 0});
  }
}

void Differ::compare_record(const KindInfo& kind, const DiffRecord& a, const DiffRecord& b,
                            const VariantPair& pair, const FigureJudge& judge) {
  const std::vector<Value>& values_a = a.first();
  const std::vector<Value>& values_b = b.first();
  const bool comparable = incomparable_.empty() && !other_prompt(a_, b_, a.prompt);
  for (size_t i = 0; i < kind.fields.size(); ++i) {
    const FieldInfo& field = kind.fields[i];
    if (values_a[i].type == Value::Type::null || values_b[i].type == Value::Type::null) continue;
    if (field.role == FieldRole::key || field.role == FieldRole::context ||
        field.role == FieldRole::address || a.parts.contains(field.column)) {
      continue;
    }
    MetricDiff metric;
    metric.kind = kind.name;
    metric.metric = field.column;
    metric.key = a.key;
    if (out_.variants.size() > 1 || !pair.same) {
      metric.key = "variant=" + pair.label + (metric.key.empty() ? "" : ", ") + metric.key;
    }
    metric.a = figure_text(field, values_a[i]);
    metric.b = figure_text(field, values_b[i]);
    metric.difference = is_number(values_a[i]) && is_number(values_b[i])
                            ? std::abs(to_double(values_a[i]) - to_double(values_b[i]))
                            : std::numeric_limits<double>::quiet_NaN();
    if (field.role == FieldRole::timing) {
      metric.verdict = Verdict::not_comparable;
      out_.timings.push_back(std::move(metric));
      continue;
    }
    const bool is_hash = field.role == FieldRole::hash || field.type == "hash";
    ++out_.matched;
    if (!comparable) {
      metric.verdict = Verdict::not_comparable;
    } else {
      const Judgement judgement = judge.judge(i, values_a, values_b);
      metric.verdict = judgement.verdict;
      metric.floor = judgement.floor;
    }
    keep(Judged{std::move(metric), a.place, is_hash});
  }
}

void Differ::count(const MetricDiff& metric) {
  FigureTally& tally = tallies_[{metric.kind, metric.metric}];
  tally.kind = metric.kind;
  tally.metric = metric.metric;
  ++(metric.verdict == Verdict::identical      ? tally.identical
     : metric.verdict == Verdict::within_floor ? tally.within_floor
                                               : tally.diverged);
  if (metric.verdict == Verdict::identical) return;
  if (tally.where.empty() || metric.difference > tally.largest) {
    tally.largest = metric.difference;
    tally.where = metric.key;
  }
}

void Differ::keep(Judged judged) {
  if (judged.metric.verdict != Verdict::not_comparable) count(judged.metric);
  switch (judged.metric.verdict) {
    case Verdict::identical:
      if (++out_.identical > kMostIdenticalListed) return;
      break;
    case Verdict::within_floor:
      ++out_.within_floor;
      break;
    case Verdict::diverged:
      ++out_.diverged;
      break;
    default:
      ++out_.not_comparable;
      break;
  }
  judged_.push_back(std::move(judged));
}

// "layer 8–31": the values of the key that tells the lonely records apart, in few words.
std::string describe_lonely(const std::vector<const DiffRecord*>& records) {
  std::map<std::string, std::set<std::string>> values;
  std::set<std::string> prompts;
  for (const DiffRecord* record : records) {
    if (!record->prompt.empty()) prompts.insert(record->prompt);
    for (const auto& [column, value] : record->parts) {
      if (column != "step" || !record->parts.contains("phase")) values[column].insert(value);
    }
  }
  std::vector<std::string> parts;
  if (!prompts.empty()) parts.push_back("prompt " + joined({prompts.begin(), prompts.end()}, ", "));
  for (const auto& [column, all] : values) {
    std::vector<std::string> list(all.begin(), all.end());
    std::sort(list.begin(), list.end(), [](const std::string& x, const std::string& y) {
      return std::pair(std::atof(x.c_str()), x) < std::pair(std::atof(y.c_str()), y);
    });
    std::string text = joined(list, ", ");
    if (list.size() > 6) text = list.front() + " … " + list.back();
    parts.push_back(column + " " + text);
  }
  return parts.empty() ? "records" : joined(parts, "; ");
}

void Differ::one_sided(const KindInfo& kind, char side,
                       const std::vector<const DiffRecord*>& records) {
  if (records.empty()) return;
  const auto count = static_cast<int64_t>(records.size());
  (side == 'a' ? out_.only_a : out_.only_b) += count;
  const std::string what = describe_lonely(records);
  for (OneSided& other : out_.one_sided) {
    if (other.kind == kind.name && other.side == side && other.what == what) {
      other.records += count;  // the same in another arm
      return;
    }
  }
  out_.one_sided.push_back(OneSided{kind.name, side, what, count});
}

int rank(Verdict verdict) {
  switch (verdict) {
    case Verdict::diverged:
      return 0;
    case Verdict::not_comparable:
      return 1;
    case Verdict::within_floor:
      return 2;
    default:
      return 3;
  }
}

// Multiples of the floor first, then the relative difference; hashes and texts have no size and
// come last.
std::tuple<int, bool, double, double> badness(const Judged& judged) {
  const MetricDiff& metric = judged.metric;
  const bool sized = !std::isnan(metric.difference);
  double ratio = 0, relative = 0;
  if (sized && metric.difference > 0) {
    ratio = metric.floor > 0 ? metric.difference / metric.floor
                             : std::numeric_limits<double>::infinity();
    const double size =
        std::max(std::abs(std::atof(metric.a.c_str())), std::abs(std::atof(metric.b.c_str())));
    relative = metric.difference / size;
  }
  // Where nothing is judged nothing is worse: the answers first, then in order of execution.
  if (metric.verdict == Verdict::not_comparable) {
    return {rank(metric.verdict), metric.kind != "readout", 0, 0};
  }
  return {rank(metric.verdict), judged.is_hash || !sized, -ratio, -relative};
}

void Differ::conclude() {
  for (Judged& one : judged_) one.badness = badness(one);
  std::stable_sort(judged_.begin(), judged_.end(), [](const Judged& x, const Judged& y) {
    return std::tie(x.badness, x.metric.kind, x.place) <
           std::tie(y.badness, y.metric.kind, y.place);
  });
  const Judged* first = nullptr;
  for (const Judged& one : judged_) {
    if (one.metric.verdict != Verdict::diverged) break;
    if (first == nullptr || one.place < first->place) first = &one;
  }
  if (out_.matched == 0) {
    out_.verdict = Verdict::not_comparable;
    out_.reason = "nothing in common: no record of one has a partner in the other";
    out_.reason_es = "nada en común: ningún registro tiene par en la otra corrida";
  } else if (!incomparable_.empty()) {
    out_.verdict = Verdict::not_comparable;
    out_.reason = incomparable_.en;
    out_.reason_es = incomparable_.es;
  } else if (first != nullptr) {
    out_.verdict = Verdict::diverged;
    const std::string where = first->metric.kind + "." + first->metric.metric + " (" +
                              first->metric.key + "): " + first->metric.a + " / " + first->metric.b;
    out_.reason = "first at " + where;
    out_.reason_es = "primero en " + where;
  } else if (out_.not_comparable > 0) {
    out_.verdict = Verdict::not_comparable;
    out_.reason = "prompts of the same name have other bytes";
    out_.reason_es = "textos de entrada del mismo nombre tienen otros bytes";
  } else {
    out_.verdict = out_.within_floor > 0 ? Verdict::within_floor : Verdict::identical;
    if (const int64_t lonely = out_.only_a + out_.only_b; lonely > 0) {
      const std::string figures = std::to_string(out_.matched), rest = std::to_string(lonely);
      out_.reason =
          "in the " + figures + " figures that both have; " + rest + " records have no partner";
      out_.reason_es =
          "en las " + figures + " cifras que ambas tienen; " + rest + " registros no tienen par";
    }
  }
  // In the order of their worst record.
  for (const Judged& one : judged_) {
    auto tally = tallies_.extract({one.metric.kind, one.metric.metric});
    if (!tally.empty()) out_.figures.push_back(std::move(tally.mapped()));
  }
  // What is identical everywhere, and was too much to be listed.
  for (auto& [name, tally] : tallies_) out_.figures.push_back(std::move(tally));
  out_.metrics.reserve(judged_.size());
  for (Judged& one : judged_) out_.metrics.push_back(std::move(one.metric));
}

}  // namespace

Result<Diff> diff(Store& store, const Side& a, const Side& b) {
  TRY_ASSIGN(const SidePair sides, load_sides(store, a, b));
  TRY_ASSIGN(Diff out, Differ(store, sides.a, sides.b).run());
  out.arms_a = a.arms;
  out.arms_b = b.arms;
  return out;
}

Result<Diff> diff(Store& store, int64_t run_a, int64_t run_b) {
  return diff(store, Side{run_a}, Side{run_b});
}

int exit_code(const Diff& diff) {
  if (diff.matched == 0) return static_cast<int>(Exit::not_measured);
  if (diff.verdict == Verdict::diverged) return static_cast<int>(Exit::diverged);
  if (diff.verdict == Verdict::not_comparable) return static_cast<int>(Exit::not_comparable);
  return static_cast<int>(Exit::ok);
}

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::identical:
      return "identical";
    case Verdict::within_floor:
      return "within_floor";
    case Verdict::diverged:
      return "diverged";
    case Verdict::only_a:
      return "only_a";
    case Verdict::only_b:
      return "only_b";
    case Verdict::not_comparable:
      return "not_comparable";
  }
  return "not_comparable";
}

}  // namespace greta::store
