// A diff for CI: every figure that both sides have is a case.

#include <algorithm>

#include "store/diff.h"
#include "text/junit.h"
#include "text/markdown.h"

namespace greta::store {

std::string to_junit(const Diff& diff) {
  JunitSuite suite{.name = "greta diff " + diff.a.run + " " + diff.b.run,
                   .timestamp = diff.b.started_at,
                   .properties = {},
                   .cases = {}};
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
                      number_text(worst->floor);
    }
    suite.cases.push_back(std::move(each));
  }
  return to_junit(suite);
}

}  // namespace greta::store
