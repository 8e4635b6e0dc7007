#include <algorithm>
#include <cmath>

#include "commands/history_output.h"
#include "commands/table_output.h"
#include "contract/text.h"

namespace greta::runner {
namespace {

using store::History;
using store::HistoryPoint;

constexpr size_t kPlaceDigits = 10, kDay = 10;

std::string short_value(double value) { return tick_text(value); }

// "12 points of 2 series from 2026-02-03 to 2026-03-01, from 0.1 to 10.7; 1 NaN; 3 recorded"
std::string description_of(const History& history) {
  size_t finite = 0, nan = 0, infinite = 0, recorded = 0;
  double low = 0, high = 0;
  for (const HistoryPoint& point : history.points) {
    recorded += point.provenance == "recorded" ? 1 : 0;
    nan += std::isnan(point.number) ? 1 : 0;
    infinite += std::isinf(point.number) ? 1 : 0;
    if (!std::isfinite(point.number)) continue;
    low = finite == 0 ? point.number : std::min(low, point.number);
    high = finite == 0 ? point.number : std::max(high, point.number);
    ++finite;
  }
  const auto& points = history.points;
  std::string out = std::to_string(points.size()) + " points of " +
                    std::to_string(history.series.size()) + " series from " +
                    points.front().started_at.substr(0, kDay) + " to " +
                    points.back().started_at.substr(0, kDay);
  if (finite > 0) {
    out += ", values from " + short_value(low) + " to " + short_value(high) +
           (history.unit.empty() ? "" : " " + history.unit);
  }
  if (nan > 0) out += "; " + std::to_string(nan) + " NaN";
  if (infinite > 0) out += "; " + std::to_string(infinite) + " infinite";
  if (recorded > 0) out += "; " + std::to_string(recorded) + " recorded in reports, not run here";
  if (!history.changes.empty())
    out += "; a new level begins at " + std::to_string(history.changes.size()) + " of them";
  return out;
}

std::string place_name(const HistoryPoint& point, const std::string& by) {
  if (by == "day") return point.started_at.substr(0, kDay);
  if (by == "milestone") return point.milestone;
  if (by == "commit" && !point.commit.empty()) return point.commit.substr(0, kPlaceDigits);
  return point.run;
}

}  // namespace

Chart history_chart(const History& history, const std::string& point) {
  Chart chart;
  chart.title =
      history.metric + (history.constant.empty() ? "" : " (" + joined(history.constant) + ")");
  chart.description = description_of(history);
  chart.value_name = history.agg + (history.unit.empty() ? "" : ", " + history.unit);
  chart.place_name = "by " + point + ", in order of time";
  for (const std::string& name : history.series)
    chart.series.push_back({.name = name, .points = {}});
  for (const HistoryPoint& from : history.points) {
    if (from.place >= chart.places.size()) chart.places.resize(from.place + 1);
    chart.places[from.place] = place_name(from, point);
    ChartPoint to{.place = from.place,
                  .value = from.number,
                  .recorded = from.provenance == "recorded",
                  .low = {},
                  .high = {},
                  .label = place_name(from, point) + ", " + from.milestone + ": " +
                           to_text(from.value) +
                           (from.provenance == "executed" ? "" : ", " + from.provenance)};
    if (from.interval) {
      to.low = from.interval->low;
      to.high = from.interval->high;
    }
    chart.series[from.series].points.push_back(std::move(to));
  }
  for (const store::HistoryChange& change : history.changes)
    chart.changes.push_back(history.points[change.point].place);
  return chart;
}

}  // namespace greta::runner
