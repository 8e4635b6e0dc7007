// A diff for CI: every figure that both sides have is a case.

#include <algorithm>
#include <tuple>

#include "contract/text.h"
#include "store/diff.h"
#include "text/junit.h"
#include "text/markdown.h"

namespace greta::store {

namespace {

void add_timings(const Diff& diff, JunitSuite& suite) {
  const bool other_machine = !diff.timing_confounders.empty();
  for (const TimingDiff& timing : diff.timings) {
    JunitCase each{.group = timing.kind, .name = timing.metric + " " + timing.key};
    const bool judged = timing.compared.difference.has_value();
    if (!judged || other_machine) {
      each.outcome = JunitCase::Outcome::skipped;
      each.message = !judged ? "too few samples"
                             : "not the same machine: " + joined(diff.timing_confounders, ", ");
    } else if (timing.verdict == TimingVerdict::slower) {
      each.outcome = JunitCase::Outcome::failed;
      each.type = "slower";
      each.message = "medians " + number_text(timing.compared.a) + " | " +
                     number_text(timing.compared.b) + " " + timing.unit;
      each.detail = query_command("", query_of(diff, timing.place, timing.metric));
    }
    suite.cases.push_back(std::move(each));
  }
}

}  // namespace

std::string to_junit(const Diff& diff) {
  JunitSuite suite{.name = "greta diff " + diff.a.run + " " + diff.b.run,
                   .timestamp = diff.b.started_at,
                   .properties = {},
                   .cases = {}};
  for (const auto& [side, runs, mixed] : {std::tuple{"a", &diff.runs_a, &diff.mixed_a},
                                          std::tuple{"b", &diff.runs_b, &diff.mixed_b}}) {
    for (const RunSummary& run : *runs) suite.properties.emplace_back(side, run.run);
    for (const Mixed& one : *mixed)
      suite.properties.emplace_back(std::string(side) + " mixes " + one.what,
                                    joined(one.values, " | "));
  }
  for (const Confounder& one : diff.confounders)
    if (!one.background) suite.properties.emplace_back(one.what, one.a + " | " + one.b);
  if (diff.verdict == Verdict::not_comparable) {
    suite.cases.push_back({.outcome = JunitCase::Outcome::error,
                           .group = "diff",
                           .name = "comparable",
                           .type = "not_comparable",
                           .message = diff.reason});
  }
  if (diff.figures.empty() && diff.verdict != Verdict::not_comparable) {
    suite.cases.push_back({.outcome = JunitCase::Outcome::error,
                           .group = "diff",
                           .name = "figures",
                           .type = "not_measured",
                           .message = "the two have no figure in common"});
  }
  for (const FigureTally& figure : diff.figures) {
    JunitCase each{.group = figure.kind, .name = figure.metric};
    if (figure.diverged > 0) {
      each.outcome = JunitCase::Outcome::failed;
      each.type = "diverged";
      each.message = std::to_string(figure.diverged) + " of " +
                     std::to_string(figure.identical + figure.within_floor + figure.diverged) +
                     " differ beyond the floor, the most by " + number_text(figure.largest) +
                     " at " + figure.where;
      const auto worst =
          std::find_if(diff.metrics.begin(), diff.metrics.end(), [&](const MetricDiff& metric) {
            return metric.kind == figure.kind && metric.metric == figure.metric;
          });
      if (worst != diff.metrics.end())
        each.detail = worst->key + ": " + worst->a + " | " + worst->b + ", floor " +
                      number_text(worst->floor) + "\n" +
                      query_command("", query_of(diff, worst->place, worst->metric));
    }
    suite.cases.push_back(std::move(each));
  }
  for (const OneSided& one : diff.one_sided) {
    suite.cases.push_back(
        {.outcome = JunitCase::Outcome::skipped,
         .group = one.kind,
         .name = std::string("only in ") + (one.side == 'a' ? "A" : "B"),
         .message =
             one.what + (one.records > 0 ? " (" + std::to_string(one.records) + " records)" : "")});
  }
  if (diff.timings_count) add_timings(diff, suite);
  return to_junit(suite);
}

}  // namespace greta::store
