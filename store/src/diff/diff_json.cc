// A diff for programs.

#include <cmath>
#include <nlohmann/json.hpp>

#include "store/diff.h"
#include "text/markdown.h"

namespace greta::store {

namespace {

nlohmann::ordered_json to_json(const RunSummary& run) {
  return {{"run", run.run},       {"milestone", run.milestone}, {"provenance", run.provenance},
          {"status", run.status}, {"commit", run.commit},       {"started_at", run.started_at},
          {"cells", run.cells},   {"cells_ok", run.cells_ok}};
}

nlohmann::ordered_json to_json(double value) {
  if (std::isfinite(value)) return value;
  if (std::isnan(value)) return nullptr;
  return number_text(value);
}

// The queries of the worst figures: those of what is identical would make most of the file.
constexpr size_t kMostQueries = 1000;

nlohmann::ordered_json metrics_json(const Diff& diff) {
  auto out = nlohmann::ordered_json::array();
  for (const MetricDiff& metric : diff.metrics) {
    out.push_back({{"kind", metric.kind},
                   {"metric", metric.metric},
                   {"key", metric.key},
                   {"a", metric.a},
                   {"b", metric.b},
                   {"difference", to_json(metric.difference)},
                   {"floor", to_json(metric.floor)},
                   {"verdict", to_string(metric.verdict)}});
    if (out.size() <= kMostQueries && metric.verdict != Verdict::identical)
      out.back()["query"] = query_of(diff, metric.place, metric.metric);
  }
  return out;
}

nlohmann::ordered_json to_json(const std::optional<Interval>& interval) {
  if (!interval) return nullptr;
  return nlohmann::ordered_json::array({interval->low, interval->high});
}

nlohmann::ordered_json timings_json(const Diff& diff) {
  auto out = nlohmann::ordered_json::array();
  for (const TimingDiff& timing : diff.timings) {
    const SampleComparison& compared = timing.compared;
    out.push_back({{"kind", timing.kind},
                   {"metric", timing.metric},
                   {"unit", timing.unit},
                   {"key", timing.key},
                   {"a", timing.a},
                   {"b", timing.b},
                   {"median_a", compared.a},
                   {"median_b", compared.b},
                   {"difference_95", to_json(compared.difference)},
                   {"ratio_95", to_json(compared.ratio)},
                   {"verdict", to_string(timing.verdict)}});
    if (out.size() <= kMostQueries)
      out.back()["query"] = query_of(diff, timing.place, timing.metric);
  }
  return out;
}

nlohmann::ordered_json side_json(const std::vector<RunSummary>& runs,
                                 const std::map<std::string, std::string>& arms,
                                 const std::vector<Mixed>& mixed) {
  nlohmann::ordered_json out = to_json(runs[0]);
  out["arms"] = arms;
  out["runs"] = nlohmann::ordered_json::array();
  for (const RunSummary& run : runs) out["runs"].push_back(to_json(run));
  out["mixed"] = nlohmann::ordered_json::array();
  for (const Mixed& one : mixed)
    out["mixed"].push_back({{"what", one.what}, {"values", one.values}});
  return out;
}

}  // namespace

std::string to_json(const Diff& diff) {
  nlohmann::ordered_json out;
  out["a"] = side_json(diff.runs_a, diff.arms_a, diff.mixed_a);
  out["b"] = side_json(diff.runs_b, diff.arms_b, diff.mixed_b);
  out["verdict"] = to_string(diff.verdict);
  out["reason"] = diff.reason;
  out["exit_code"] = exit_code(diff);
  if (!diff.first_metric.empty())
    out["first"] = {{"metric", diff.first_metric},
                    {"query", query_of(diff, diff.first_place, diff.first_metric)}};
  out["matched"] = diff.matched;
  out["identical"] = diff.identical;
  out["within_floor"] = diff.within_floor;
  out["diverged"] = diff.diverged;
  out["not_comparable"] = diff.not_comparable;
  out["not_comparable_because"] = diff.other_prompts;
  out["records"] = diff.records;
  out["shared_records"] = diff.shared;
  out["only_a"] = diff.only_a;
  out["only_b"] = diff.only_b;
  out["figures_only_a"] = diff.figures_only_a;
  out["figures_only_b"] = diff.figures_only_b;
  out["unsteady"] = nlohmann::ordered_json::array();
  for (const Unsteady& one : diff.unsteady) {
    out["unsteady"].push_back({{"side", std::string(1, one.side)},
                               {"kind", one.kind},
                               {"metric", one.metric},
                               {"largest", to_json(one.largest)}});
  }
  out["confounders"] = nlohmann::ordered_json::array();
  for (const Confounder& one : diff.confounders) {
    out["confounders"].push_back(
        {{"what", one.what}, {"a", one.a}, {"b", one.b}, {"background", one.background}});
  }
  out["variants"] = nlohmann::ordered_json::array();
  for (const VariantPair& pair : diff.variants) {
    out["variants"].push_back(
        {{"a", pair.a}, {"b", pair.b}, {"same", pair.same}, {"note", pair.note}});
  }
  out["figures"] = nlohmann::ordered_json::array();
  for (const FigureTally& tally : diff.figures) {
    out["figures"].push_back({{"kind", tally.kind},
                              {"metric", tally.metric},
                              {"identical", tally.identical},
                              {"within_floor", tally.within_floor},
                              {"diverged", tally.diverged},
                              {"largest_difference", to_json(tally.largest)},
                              {"where", tally.where}});
  }
  out["metrics"] = metrics_json(diff);
  out["one_sided"] = nlohmann::ordered_json::array();
  for (const OneSided& one : diff.one_sided) {
    out["one_sided"].push_back({{"side", std::string(1, one.side)},
                                {"kind", one.kind},
                                {"what", one.what},
                                {"records", one.records}});
  }
  out["timings_count"] = diff.timings_count;
  out["timing_confounders"] = diff.timing_confounders;
  out["timings"] = timings_json(diff);
  return out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace greta::store
