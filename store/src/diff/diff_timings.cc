#include "diff/diff_timings.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

#include "contract/text.h"
#include "db/sqlite.h"
#include "diff/diff_query.h"
#include "history/metric_source.h"
#include "text/markdown.h"

namespace greta::store {
namespace {

bool more_is_faster(const std::string& unit) { return unit.ends_with("/s"); }

std::vector<double> values_of(const std::vector<TimingSample>& samples,
                              const std::set<int64_t>& without) {
  std::vector<double> out;
  std::set<int64_t> seen;  // runs that share a bundle share its records
  for (const TimingSample& sample : samples)
    if (!without.contains(sample.record) && seen.insert(sample.record).second)
      out.push_back(sample.value);
  return out;
}

std::set<int64_t> records_of(const std::vector<TimingSample>& samples) {
  std::set<int64_t> out;
  for (const TimingSample& sample : samples) out.insert(sample.record);
  return out;
}

// How far from equal, whichever side is the larger one.
double distance(const TimingDiff& timing) {
  const double a = timing.compared.a, b = timing.compared.b;
  return a > 0 && b > 0 ? std::abs(std::log(b / a)) : 0;
}

using SamplesByPrompt = std::map<std::string, std::vector<TimingSample>>;

Result<std::map<std::string, SamplesByPrompt>> wall_seconds(Store& store,
                                                            const MetricSource& source,
                                                            const LoadedSide& side) {
  std::vector<std::string> names;
  for (const RunInfo& run : side.runs) names.push_back(quoted_text(run.name));
  TRY_ASSIGN(const Table found,
             select(store, -1,
                    "SELECT variant, prompt, wall_s FROM " + source.view +
                        " WHERE wall_s IS NOT NULL AND run IN (" + joined(names, ", ") + ")"));
  std::map<std::string, SamplesByPrompt> out;  // by variant
  int64_t process = 0;                         // each row is one of its own
  for (const auto& row : found.rows) {
    const std::string prompt = row[1].type == Value::Type::null ? "" : row[1].text;
    out[row[0].text][prompt].push_back({++process, to_double(row[2])});
  }
  return out;
}

}  // namespace

std::vector<TimingSample> timing_samples(const DiffRecord& record, size_t field) {
  std::vector<TimingSample> out;
  for (const auto& [id, repeat] : record.repeats) {
    const Value& value = repeat.values[field];
    if (is_number(value)) out.push_back({repeat.record, to_double(value)});
  }
  return out;
}

void judge_timing(TimingDiff& timing, const std::vector<TimingSample>& a,
                  const std::vector<TimingSample>& b) {
  std::set<int64_t> shared = records_of(a);
  const std::set<int64_t> of_b = records_of(b);
  std::erase_if(shared, [&](int64_t record) { return !of_b.contains(record); });
  timing.a = values_of(a, shared);
  timing.b = values_of(b, shared);
  if (timing.a.empty() || timing.b.empty()) {
    timing.a = values_of(a, {});
    timing.b = values_of(b, {});
    timing.compared = {.a = median(timing.a), .b = median(timing.b), .difference = {}, .ratio = {}};
    timing.verdict = TimingVerdict::same_records;
    return;
  }
  timing.compared = compare_samples(timing.a, timing.b);
  if (!timing.compared.difference) {
    timing.verdict = TimingVerdict::too_few;
  } else if (!timing.compared.differs()) {
    timing.verdict = TimingVerdict::no_difference;
  } else {
    const bool larger = timing.compared.difference->low > 0;
    timing.verdict =
        larger == more_is_faster(timing.unit) ? TimingVerdict::faster : TimingVerdict::slower;
  }
}

void sort_timings(std::vector<TimingDiff>& timings) {
  const auto rank = [](const TimingDiff& timing) {
    const bool differs =
        timing.verdict == TimingVerdict::slower || timing.verdict == TimingVerdict::faster;
    // Without a claim no order either: as they were met.
    return std::tuple(-static_cast<int>(timing.verdict), differs ? -distance(timing) : 0.0);
  };
  std::stable_sort(timings.begin(), timings.end(),
                   [&](const TimingDiff& x, const TimingDiff& y) { return rank(x) < rank(y); });
}

std::vector<std::string> timing_confounders(const Diff& diff) {
  constexpr std::string_view kMachine[] = {
      "device", "cpu", "cpus", "gpu", "hardware", "driver", "executor", "kernel", "memory_bytes"};
  const auto is_machine = [&](std::string_view what) {
    const std::string_view word = what.substr(0, what.find('.'));
    return what.find('[') == std::string_view::npos &&
           std::find(std::begin(kMachine), std::end(kMachine), word) != std::end(kMachine);
  };
  std::vector<std::string> out;
  const auto add = [&](const std::string& what) {
    if (is_machine(what) && std::find(out.begin(), out.end(), what) == out.end())
      out.push_back(what);
  };
  for (const Confounder& one : diff.confounders)
    if (!one.background) add(one.what);
  for (const auto* mixed : {&diff.mixed_a, &diff.mixed_b})
    for (const Mixed& one : *mixed) add(one.what);
  return out;
}

Result<> add_wall_seconds(Store& store, const SidePair& sides, Diff& diff) {
  TRY_ASSIGN(const auto sources, metric_sources(store, "cells.wall_s"));
  const MetricSource& source = sources[0];
  TRY_ASSIGN(const auto a, wall_seconds(store, source, sides.a));
  TRY_ASSIGN(const auto b, wall_seconds(store, source, sides.b));
  const size_t table = diff.tables.size();
  diff.tables.push_back({source.view, "run, variant, prompt, repeat"});
  for (size_t pair = 0; pair < diff.variants.size(); ++pair) {
    const auto of_a = a.find(diff.variants[pair].a), of_b = b.find(diff.variants[pair].b);
    if (of_a == a.end() || of_b == b.end()) continue;
    for (const auto& [prompt, samples] : of_a->second) {
      const auto partner = of_b->second.find(prompt);
      if (partner == of_b->second.end()) continue;
      TimingDiff timing{
          .kind = source.kind,
          .metric = source.field,
          .unit = source.unit,
          .key = key_with_variant(diff, pair, prompt.empty() ? "" : "prompt=" + prompt),
          .a = {},
          .b = {},
          .compared = {},
          .place = diff.places.size()};
      diff.places.push_back(
          {table, pair, prompt.empty() ? "prompt IS NULL" : "prompt = " + quoted_text(prompt)});
      // Every process that ran is one of its own: none is on both sides.
      std::vector<TimingSample> own = partner->second;
      for (TimingSample& sample : own) sample.record = -sample.record;
      judge_timing(timing, samples, own);
      diff.timings.push_back(std::move(timing));
    }
  }
  return {};
}

std::string_view to_string(TimingVerdict verdict) {
  switch (verdict) {
    case TimingVerdict::too_few:
      return "too_few_samples";
    case TimingVerdict::same_records:
      return "same_records";
    case TimingVerdict::no_difference:
      return "no_difference";
    case TimingVerdict::faster:
      return "faster";
    case TimingVerdict::slower:
      return "slower";
  }
  return "too_few_samples";
}

}  // namespace greta::store
