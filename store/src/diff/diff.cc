#include "store/diff.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

#include "compare/judge.h"
#include "compare/pairing.h"
#include "contract/text.h"
#include "diff/diff_confounders.h"
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
  void one_sided(const KindInfo& kind, char side, const std::vector<const DiffRecord*>& records);
  void lonely_fields(const KindInfo& kind, const std::vector<bool>& in_a,
                     const std::vector<bool>& in_b);
  void say_once(OneSided what);
  void note_context(const KindInfo& kind, const VariantPair& pair, const Records& a,
                    const Records& b);
  bool is_comparable(const KindInfo& kind, const std::string& prompt, size_t pair);
  void count(const MetricDiff& metric);
  void keep(Judged judged);
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
  std::map<std::pair<char, std::string>, int64_t> lonely_arms_;  // side and variant → records
  FloorContext floors_;
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
  floors_ = floor_context(a_, b_);
  TRY_ASSIGN(auto kinds, load_kinds(store_));
  // What was fed decides whether the rest can be compared.
  std::stable_partition(kinds.begin(), kinds.end(),
                        [](const KindInfo& kind) { return kind.name == kTokens; });
  for (const KindInfo& kind : kinds) TRY(compare_kind(kind));
  TRY(add_wall_seconds(store_, sides_, out_));
  sort_timings(out_.timings);
  for (const auto& [arm, count] : lonely_arms_)
    out_.one_sided.push_back(OneSided{"all kinds", arm.first, "variant " + arm.second, count});
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
      say_once(OneSided{kind.name, records.single_heads, "figures of single heads", 0});
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
      const auto count = static_cast<int64_t>(its.size());
      (side == 'a' ? out_.only_a : out_.only_b) += count;
      lonely_arms_[{side, variant.name}] += count;
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
  const FigureJudge judge(kind, a, b, floors_);
  std::vector<const DiffRecord*> only_a, only_b;
  std::vector<bool> in_a(kind.fields.size()), in_b(kind.fields.size());
  const auto note_fields = [](const DiffRecord& record, std::vector<bool>& in) {
    for (const auto& [id, repeat] : record.repeats)
      for (size_t i = 0; i < in.size(); ++i)
        if (repeat.values[i].type != Value::Type::null) in[i] = true;
  };
  bool matched = false;
  for (const auto& [key, record] : a) {
    const auto partner = b.find(key);
    if (partner == b.end()) {
      only_a.push_back(&record);
      continue;
    }
    matched = true;
    note_fields(record, in_a);
    note_fields(partner->second, in_b);
    compare_fields(kind, record, partner->second, pair, judge);
  }
  for (const auto& [key, record] : b) {
    if (!a.contains(key)) only_b.push_back(&record);
  }
  one_sided(kind, 'a', only_a);
  one_sided(kind, 'b', only_b);
  if (matched) lonely_fields(kind, in_a, in_b);
}

void Differ::say_once(OneSided what) {
  const bool said =
      std::any_of(out_.one_sided.begin(), out_.one_sided.end(), [&](const OneSided& other) {
        return other.kind == what.kind && other.side == what.side && other.what == what.what;
      });
  if (!said) out_.one_sided.push_back(std::move(what));
}

// Fields that only one side writes. One that was described with another type has another column.
void Differ::lonely_fields(const KindInfo& kind, const std::vector<bool>& in_a,
                           const std::vector<bool>& in_b) {
  std::vector<std::string> fields_a, fields_b;
  for (size_t i = 0; i < kind.fields.size(); ++i) {
    const FieldInfo& field = kind.fields[i];
    if (field.role == FieldRole::key || in_a[i] == in_b[i]) continue;
    const auto other = [&](const std::vector<bool>& here, const std::vector<bool>& there) {
      for (size_t k = 0; k < kind.fields.size(); ++k)
        if (kind.fields[k].name == field.name && there[k] && !here[k]) return k;
      return kind.fields.size();
    };
    const size_t twin = in_a[i] ? other(in_a, in_b) : other(in_b, in_a);
    if (twin == kind.fields.size()) {
      (in_a[i] ? fields_a : fields_b).push_back(field.column);
    } else {
      const std::string side = in_a[i] ? "B" : "A";
      say_once(OneSided{kind.name, in_a[i] ? 'a' : 'b',
                        field.name + " as " + field.type + " (in " + side + " it is " +
                            kind.fields[twin].type + "), so it is not compared",
                        0});
    }
  }
  if (!fields_a.empty()) say_once({kind.name, 'a', "fields " + joined(fields_a, ", "), 0});
  if (!fields_b.empty()) say_once({kind.name, 'b', "fields " + joined(fields_b, ", "), 0});
}

void Differ::compare_fields(const KindInfo& kind, const DiffRecord& a, const DiffRecord& b,
                            size_t pair, const FigureJudge& judge) {
  const bool comparable = is_comparable(kind, a.prompt, pair);
  const size_t place = out_.places.size();
  out_.places.push_back({out_.tables.size() - 1, pair, condition_of(kind, a)});
  bool counts = false;
  for (size_t i = 0; i < kind.fields.size(); ++i) {
    const FieldInfo& field = kind.fields[i];
    if (field.role == FieldRole::key || field.role == FieldRole::context ||
        field.role == FieldRole::address || a.parts.contains(field.column)) {
      continue;
    }
    if (field.role == FieldRole::timing) {
      add_timing(kind, i, a, b, place);
      continue;
    }
    const auto [values_a, values_b] = values_to_judge(a, b, i);
    if (values_a == nullptr) continue;
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
  TRY_ASSIGN(Diff out, Differ(store, sides).run());
  out.arms_a = a.arms;
  out.arms_b = b.arms;
  return out;
}

Result<Diff> diff(Store& store, int64_t run_a, int64_t run_b) {
  return diff(store, Side{{run_a}, {}}, Side{{run_b}, {}});
}

}  // namespace greta::store
