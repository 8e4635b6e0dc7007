#include "store/diff.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

#include "compare/judge.h"
#include "compare/pairing.h"
#include "contract/text.h"
#include "diff/diff_confounders.h"
#include "diff/diff_one_sided.h"
#include "diff/diff_query.h"
#include "diff/diff_rank.h"
#include "diff/diff_side.h"
#include "diff/diff_timings.h"
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

constexpr std::string_view kTokens = "tokens";

std::string figure_text(const FieldInfo& field, const Value& value) {
  if (field.type == "boolean" && value.type == Value::Type::integer) {
    return value.integer == 0 ? "false" : "true";
  }
  return value_text(value);
}

class Differ {
 public:
  Differ(Store& store, const SidePair& sides)
      : store_(store), sides_(sides), a_(sides.a.info), b_(sides.b.info) {}
  Result<Diff> run();

 private:
  using Records = RecordSet::Records;
  Result<> compare_kind(const KindInfo& kind);
  void note_shapes(const KindInfo& kind, const PairRecords& records);
  void note_tokens(const KindInfo& kind, const PairRecords& records, size_t pair);
  void compare_variant(const KindInfo& kind, const Records& a, const Records& b, size_t pair);
  void compare_fields(const KindInfo& kind, const DiffRecord& a, const DiffRecord& b, size_t pair,
                      const FigureJudge& judge);
  void add_timing(const KindInfo& kind, size_t field, const DiffRecord& a, const DiffRecord& b,
                  size_t place);
  void note_unsteady(const KindInfo& kind, const FigureJudge& judge);
  void note_context(const KindInfo& kind, const VariantPair& pair, const Records& a,
                    const Records& b);
  bool is_comparable(const KindInfo& kind, const std::string& prompt, size_t pair);
  void count(const MetricDiff& metric);
  void keep(Judged judged);
  void say_what_was_not_compared();
  void conclude();

  Store& store_;
  const SidePair& sides_;
  const RunInfo& a_;
  const RunInfo& b_;
  Diff out_;
  Reason incomparable_;
  std::map<std::string, bool> other_bytes_;                // prompt → its bytes differ
  std::set<std::pair<size_t, std::string>> other_tokens_;  // arms and prompt: fed other tokens
  std::set<std::string> other_prompts_es_;                 // Diff::other_prompts in Spanish
  OneSidedNotes lonely_;
  std::vector<Judged> judged_;
  std::map<std::pair<std::string, std::string>, FigureTally> tallies_;  // by kind and figure
};

Result<Diff> Differ::run() {
  for (const RunInfo& run : sides_.a.runs) out_.runs_a.push_back(summary_of(run));
  for (const RunInfo& run : sides_.b.runs) out_.runs_b.push_back(summary_of(run));
  out_.a = out_.runs_a[0];
  out_.b = out_.runs_b[0];
  out_.mixed_a = sides_.a.mixed;
  out_.mixed_b = sides_.b.mixed;
  out_.variants = match_variants(a_, b_);
  out_.confounders = confounders(a_, b_, out_.variants);
  out_.timing_confounders = timing_confounders(out_);
  for (const Reason& reason : {sides_.a.incomparable, sides_.b.incomparable}) {
    if (reason.empty() || !incomparable_.empty()) continue;
    incomparable_ = {"one side mixes models: " + reason.en, "un lado mezcla modelos: " + reason.es};
  }
  if (incomparable_.empty()) incomparable_ = other_model(a_, b_);
  TRY_ASSIGN(auto kinds, load_kinds(store_));
  // What was fed decides whether the rest can be compared.
  std::stable_partition(kinds.begin(), kinds.end(),
                        [](const KindInfo& kind) { return kind.name == kTokens; });
  for (const KindInfo& kind : kinds) TRY(compare_kind(kind));
  TRY(add_wall_seconds(store_, sides_, out_));
  sort_timings(out_.timings);
  lonely_.finish(out_);
  conclude();
  return std::move(out_);
}

Result<> Differ::compare_kind(const KindInfo& kind) {
  TRY_ASSIGN(const RecordSet a, RecordSet::load(store_, sides_.a.groups, kind));
  TRY_ASSIGN(const RecordSet b, RecordSet::load(store_, sides_.b.groups, kind));
  out_.tables.push_back(table_of(kind));
  for (size_t i = 0; i < out_.variants.size(); ++i) {
    const VariantPair& pair = out_.variants[i];
    const PairRecords records = records_of_pair(kind, a, b, pair);
    if (records.single_heads != 0)
      lonely_.say({kind.name, records.single_heads, "figures of single heads", 0});
    note_shapes(kind, records);
    note_tokens(kind, records, i);
    note_context(kind, pair, records.a, records.b);
    compare_variant(kind, records.a, records.b, i);
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
      lonely_.arm(side, variant.name, static_cast<int64_t>(its.size()));
    }
  }
  return {};
}

void Differ::note_shapes(const KindInfo& kind, const PairRecords& records) {
  if (incomparable_.empty()) incomparable_ = mixed_shape(kind, records.a);
  if (incomparable_.empty()) incomparable_ = mixed_shape(kind, records.b);
  if (incomparable_.empty()) incomparable_ = other_shape(kind, records.a, records.b);
}

// The same text, and other token ids: the tokenizer differs, and everything after it was fed
// something else.
void Differ::note_tokens(const KindInfo& kind, const PairRecords& records, size_t pair) {
  if (kind.name != kTokens) return;
  const auto id = std::find_if(kind.fields.begin(), kind.fields.end(),
                               [](const FieldInfo& field) { return field.column == "token_id"; });
  if (id == kind.fields.end()) return;
  const auto field = static_cast<size_t>(id - kind.fields.begin());
  const auto is_prompt = [](const DiffRecord& record) { return record.place.step < 0; };
  std::map<std::string, std::pair<int64_t, int64_t>> lengths;  // tokens of each prompt
  for (const auto& [key, record] : records.b)
    if (is_prompt(record)) ++lengths[record.prompt].second;
  for (const auto& [key, record] : records.a) {
    if (!is_prompt(record)) continue;
    ++lengths[record.prompt].first;
    const auto partner = records.b.find(key);
    if (partner != records.b.end() && is_prompt(partner->second) &&
        !same_value(record.first()[field], partner->second.first()[field])) {
      other_tokens_.insert({pair, record.prompt});
    }
  }
  for (const auto& [prompt, length] : lengths) {
    const bool on_both = length.first > 0 && length.second > 0;
    if (on_both && length.first != length.second) other_tokens_.insert({pair, prompt});
  }
}

bool Differ::is_comparable(const KindInfo& kind, const std::string& prompt, size_t pair) {
  if (!incomparable_.empty()) return false;
  const auto say = [&](const std::string& why, const std::string& why_es) {
    if (other_prompts_es_.insert(why_es).second) out_.other_prompts.push_back(why);
    return false;
  };
  const auto [at, fresh] = other_bytes_.try_emplace(prompt, false);
  if (fresh) at->second = other_prompt(sides_, prompt);
  if (at->second)
    return say("prompt " + prompt + " has other bytes", "prompt " + prompt + ": otros bytes");
  if (kind.name != kTokens && other_tokens_.contains({pair, prompt})) {
    return say("prompt " + prompt + " has the same bytes, but became other tokens",
               "prompt " + prompt + ": los mismos bytes, pero otros tokens");
  }
  return true;
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
                             size_t pair) {
  if (a.empty() && b.empty()) return;
  const FigureJudge judge(kind, a, b, floor_context(a_, b_, out_.variants[pair]));
  note_unsteady(kind, judge);
  std::vector<const DiffRecord*> only_a, only_b;
  for (const auto& [key, record] : a) {
    const auto partner = b.find(key);
    if (partner == b.end()) {
      only_a.push_back(&record);
    } else {
      compare_fields(kind, record, partner->second, pair, judge);
    }
  }
  for (const auto& [key, record] : b) {
    if (!a.contains(key)) only_b.push_back(&record);
  }
  lonely_.records(kind, 'a', only_a);
  lonely_.records(kind, 'b', only_b);
}

// Figures that the repeats of a side do not agree on.
void Differ::note_unsteady(const KindInfo& kind, const FigureJudge& judge) {
  for (size_t i = 0; i < kind.fields.size(); ++i) {
    if (!is_result(kind.fields[i].role)) continue;
    for (const char side : {'a', 'b'}) {
      const RepeatFloor& repeats = judge.repeats(side, i);
      if (repeats.agree) continue;
      const auto known =
          std::find_if(out_.unsteady.begin(), out_.unsteady.end(), [&](const Unsteady& one) {
            return one.side == side && one.kind == kind.name && one.metric == kind.fields[i].column;
          });
      if (known == out_.unsteady.end()) {
        out_.unsteady.push_back({side, kind.name, kind.fields[i].column, repeats.floor});
      } else {
        known->largest = std::max(known->largest, repeats.floor);
      }
    }
  }
}

void Differ::compare_fields(const KindInfo& kind, const DiffRecord& a, const DiffRecord& b,
                            size_t pair, const FigureJudge& judge) {
  const bool comparable = is_comparable(kind, a.prompt, pair);
  const size_t place = out_.places.size();
  out_.places.push_back({out_.tables.size() - 1, pair, condition_of(kind, a)});
  bool counts = false;
  lonely_.matched(kind);
  for (size_t i = 0; i < kind.fields.size(); ++i) {
    const FieldInfo& field = kind.fields[i];
    if (a.parts.contains(field.column)) continue;
    const auto [values_a, values_b] = farthest_values(a, b, i);
    if (field.role != FieldRole::key && (values_a == nullptr) != (values_b == nullptr))
      lonely_.field(kind, i, values_a != nullptr ? 'a' : 'b', a.key);
    if (field.role == FieldRole::timing) add_timing(kind, i, a, b, place);
    if (!is_result(field.role) || values_a == nullptr || values_b == nullptr) continue;
    const Judgement judged = judge.judge(i, *values_a, *values_b);
    MetricDiff metric;
    metric.kind = kind.name;
    metric.metric = field.column;
    metric.key = key_with_variant(out_, pair, a.key);
    metric.a = figure_text(field, (*values_a)[i]);
    metric.b = figure_text(field, (*values_b)[i]);
    metric.difference = judged.difference;
    metric.place = place;
    if (comparable) metric.floor = judged.floor;
    metric.verdict = comparable ? judged.verdict : Verdict::not_comparable;
    ++out_.matched;
    counts = true;
    keep(Judged{std::move(metric), a.place, sort_of(field, (*values_a)[i], (*values_b)[i])});
  }
  const bool same = std::any_of(a.repeats.begin(), a.repeats.end(), [&](const auto& one) {
    return std::any_of(b.repeats.begin(), b.repeats.end(),
                       [&](const auto& other) { return other.second.record == one.second.record; });
  });
  if (counts) ++out_.records;
  if (counts && same) ++out_.shared;
}

void Differ::add_timing(const KindInfo& kind, size_t field, const DiffRecord& a,
                        const DiffRecord& b, size_t place) {
  const auto samples_a = timing_samples(a, field), samples_b = timing_samples(b, field);
  if (samples_a.empty() || samples_b.empty()) return;
  TimingDiff timing{.kind = kind.name,
                    .metric = kind.fields[field].column,
                    .unit = kind.fields[field].unit,
                    .key = key_with_variant(out_, out_.places[place].variants, a.key),
                    .a = {},
                    .b = {},
                    .compared = {},
                    .place = place};
  judge_timing(timing, samples_a, samples_b);
  out_.timings.push_back(std::move(timing));
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

// A verdict that two are equal says how much of them was compared.
void Differ::say_what_was_not_compared() {
  std::vector<std::string> parts, parts_es;
  if (const int64_t records = out_.only_a + out_.only_b; records > 0) {
    parts.push_back(std::to_string(records) + " records have no partner");
    parts_es.push_back(std::to_string(records) + " registros no tienen par");
  }
  if (const int64_t figures = out_.figures_only_a + out_.figures_only_b; figures > 0) {
    parts.push_back(std::to_string(figures) + " figures are on one side only");
    parts_es.push_back(std::to_string(figures) + " cifras están en un solo lado");
  }
  if (parts.empty()) return;
  const std::string both = std::to_string(out_.matched);
  out_.reason = "in the " + both + " figures that both have; " + joined(parts, ", ");
  out_.reason_es = "en las " + both + " cifras que ambas tienen; " + joined(parts_es, ", ");
}

void Differ::conclude() {
  for (Judged& one : judged_) one.badness = badness(one);
  std::stable_sort(judged_.begin(), judged_.end(), [](const Judged& x, const Judged& y) {
    return std::tie(x.badness, x.metric.kind, x.place) <
           std::tie(y.badness, y.metric.kind, y.place);
  });
  // Of one place the error against the reference, then what else has a size; the worst of equals
  // comes first already.
  const auto telling = [](const Judged& one) {
    if (one.sort >= Sort::yardstick) return 2;
    return one.metric.metric == "rel_l2" ? 0 : 1;
  };
  const Judged* first = nullptr;
  for (const Judged& one : judged_) {
    if (one.metric.verdict != Verdict::diverged) break;
    if (first == nullptr ||
        std::pair(one.place, telling(one)) < std::pair(first->place, telling(*first))) {
      first = &one;
    }
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
    const MetricDiff& metric = first->metric;
    std::string where = metric.kind + "." + metric.metric;
    if (!metric.key.empty()) where += " (" + metric.key + ")";
    where += ": " + metric.a + " / " + metric.b;
    out_.first_place = metric.place;
    out_.first_metric = metric.metric;
    out_.reason = "first at " + where;
    out_.reason_es = "primero en " + where;
  } else if (out_.not_comparable > 0) {
    out_.verdict = Verdict::not_comparable;
    out_.reason = joined(out_.other_prompts, "; ");
    out_.reason_es = joined({other_prompts_es_.begin(), other_prompts_es_.end()}, "; ");
  } else {
    out_.verdict = out_.within_floor > 0 ? Verdict::within_floor : Verdict::identical;
    say_what_was_not_compared();
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
  TRY_ASSIGN(Diff out, Differ(store, sides).run());
  out.arms_a = a.arms;
  out.arms_b = b.arms;
  return out;
}

Result<Diff> diff(Store& store, int64_t run_a, int64_t run_b) {
  return diff(store, Side{{run_a}, {}}, Side{{run_b}, {}});
}

}  // namespace greta::store
