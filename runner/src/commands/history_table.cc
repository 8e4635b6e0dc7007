#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "commands/history_output.h"
#include "commands/table_output.h"

namespace greta::runner {
namespace {

using store::History;
using store::HistoryPoint;
using store::Value;

constexpr size_t kCommitDigits = 10, kDate = 10, kMinute = 16;

Value text(std::string value) {
  return {.type = Value::Type::text, .integer = 0, .real = 0, .text = std::move(value)};
}
Value integer(int64_t value) {
  return {.type = Value::Type::integer, .integer = value, .real = 0, .text = {}};
}
Value real(std::optional<double> value) {
  if (!value) return {};
  if (std::isnan(*value)) return text("NaN");
  return {.type = Value::Type::real, .integer = 0, .real = *value, .text = {}};
}

std::string few_digits(const char* format, double value) {
  std::array<char, 40> out{};
  std::snprintf(out.data(), out.size(), format, value);
  return out.data();
}

// "+4.5 %" of a base that is not 0; "" otherwise.
std::string percent(double by, double base) {
  if (!(std::abs(base) > 0) || !std::isfinite(by / base)) return {};
  return few_digits("%+.3g", 100 * by / std::abs(base)) + " %";
}

// "B3.20,B3.21"; of more than two how many they are.
std::string milestones_of(const HistoryPoint& point) {
  const auto commas = std::count(point.milestone.begin(), point.milestone.end(), ',');
  return commas < 2 ? point.milestone : std::to_string(commas + 1) + " milestones";
}

// "2026-02-03T10:00:00.000Z" → "2026-02-03 10:00"
std::string minute_of(const std::string& time) {
  return time.size() < kMinute
             ? time
             : time.substr(0, kDate) + " " + time.substr(kDate + 1, kMinute - kDate - 1);
}

std::string value_of(const HistoryPoint& point, bool timing) {
  return timing && std::isfinite(point.number) ? few_digits("%.4g", point.number)
                                               : to_text(point.value);
}

std::string span(const store::Interval& interval) {
  return few_digits("%.4g", interval.low) + " … " + few_digits("%.4g", interval.high);
}

// "+0.012 (+4.5 %)"; timings: "+4.5 %, 95 % +2.1 … +7 %", or why nothing is claimed.
std::string change_text(const History& history, const HistoryPoint& point) {
  if (!point.change || std::isnan(*point.change)) return {};
  const double base = point.number - *point.change;
  const std::string relative = percent(*point.change, base);
  if (!history.timing) {
    if (*point.change == 0) return "0";
    return few_digits("%+.3g", *point.change) + (relative.empty() ? "" : " (" + relative + ")");
  }
  const std::string by = relative.empty() ? few_digits("%+.3g", *point.change) : relative;
  if (!point.comparison) return by + ", not judged";
  const store::Interval& interval = *point.comparison->difference;
  return by + ", 95 % " + percent(interval.low, base) + " … " + percent(interval.high, base) +
         (point.comparison->differs() ? "" : ": may be noise");
}

std::string note_of(const History& history, size_t index) {
  const HistoryPoint& point = history.points[index];
  std::string note = point.provenance == "executed" ? "" : point.provenance;
  for (const store::HistoryChange& change : history.changes)
    if (change.point == index) note += (note.empty() ? "" : ", ") + std::string("new level");
  return note;
}

}  // namespace

store::Table history_table(const History& history) {
  const bool several = history.series.size() > 1;
  store::Table table;
  table.columns = {"run", "milestone", "date", "commit"};
  if (several) table.columns.emplace_back("series");
  table.columns.push_back(history.agg + (history.unit.empty() ? "" : ", " + history.unit));
  if (history.timing) table.columns.emplace_back("95 %");
  for (const char* column : {"records", "change", "note"}) table.columns.emplace_back(column);
  for (size_t i = 0; i < history.points.size(); ++i) {
    const HistoryPoint& point = history.points[i];
    std::vector<Value> row = {
        text(point.runs > 1 ? std::to_string(point.runs) + " runs" : point.run),
        text(milestones_of(point)), text(minute_of(point.started_at)),
        text(point.commit.substr(0, kCommitDigits))};
    if (several) row.push_back(text(history.series[point.series]));
    row.push_back(history.timing ? text(value_of(point, true)) : point.value);
    if (history.timing) row.push_back(text(point.interval ? span(*point.interval) : ""));
    row.push_back(integer(point.records));
    row.push_back(text(change_text(history, point)));
    row.push_back(text(note_of(history, i)));
    table.rows.push_back(std::move(row));
  }
  return table;
}

store::Table history_rows(const History& history) {
  store::Table table;
  table.columns = {"run",     "runs",   "milestone", "started_at", "commit",      "provenance",
                   "machine", "series", "agg",       "value",      "unit",        "records",
                   "low",     "high",   "change",    "change_low", "change_high", "new_level_p"};
  for (size_t i = 0; i < history.points.size(); ++i) {
    const HistoryPoint& point = history.points[i];
    const auto part = [](const std::optional<store::Interval>& interval, bool low) {
      return real(interval ? std::optional(low ? interval->low : interval->high) : std::nullopt);
    };
    const auto difference = point.comparison ? point.comparison->difference : std::nullopt;
    std::optional<double> p;
    for (const store::HistoryChange& change : history.changes)
      if (change.point == i) p = change.change.p;
    const auto known = [](const std::string& value) {
      return value.empty() ? Value{} : text(value);
    };
    table.rows.push_back(
        {text(point.run), integer(point.runs), text(point.milestone), text(point.started_at),
         known(point.commit), text(point.provenance), known(point.machine),
         text(history.series[point.series]), text(history.agg), point.value, known(history.unit),
         integer(point.records), part(point.interval, true), part(point.interval, false),
         real(point.change), part(difference, true), part(difference, false), real(p)});
  }
  return table;
}

std::string changes_text(const History& history) {
  std::string out;
  for (const store::HistoryChange& found : history.changes) {
    const HistoryPoint& point = history.points[found.point];
    const double by = found.change.after - found.change.before;
    out += "new level at " + point.run + ": " + few_digits("%.4g", found.change.before) + " → " +
           few_digits("%.4g", found.change.after) +
           (history.unit.empty() ? "" : " " + history.unit);
    if (const std::string relative = percent(by, found.change.before); !relative.empty())
      out += ", " + relative;
    if (found.levels.difference) {
      out += " (95 % " + percent(found.levels.difference->low, found.levels.a) + " … " +
             percent(found.levels.difference->high, found.levels.a) + ")";
    }
    out += ", p = " + few_digits("%.3g", found.change.p);
    if (history.series.size() > 1) out += ", " + history.series[point.series];
    out += "\n";
  }
  return out;
}

}  // namespace greta::runner
