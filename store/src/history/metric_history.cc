#include "store/metric_history.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "compare/run_info.h"
#include "contract/text.h"
#include "db/sqlite.h"
#include "history/metric_asked.h"
#include "history/metric_condition.h"
#include "history/metric_notes.h"
#include "history/metric_rows.h"
#include "text/markdown.h"

namespace greta::store {
namespace {

const std::vector<std::string> kHistoryPoints = {"run", "commit", "milestone", "day"};
// The columns of a row of a history; those of the series follow.
struct HistoryRow {
  enum : size_t {
    point,
    run,
    runs,
    milestone,
    started_at,
    run_id,
    commit,
    provenance,
    value,
    records,
    machine,
    samples,
    series
  };
};

// The question with all that its query needs.
struct HistoryShape {
  MetricRows rows;
  std::string agg, point;  // `point`: the column that tells the points apart
  std::vector<std::string> series;
  bool timing = false;
  std::string newest;  // the condition that leaves older runs out; "" when there are none
  std::string sql;
};

// A record that several runs use is a sample of the first of them alone: the others did not run it.
std::string each_once(const std::string& rows_sql) {
  return "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY record ORDER BY started_at, "
         "run_id)"
         " AS use_number\nFROM (" +
         rows_sql + "))\nWHERE record IS NULL OR use_number = 1";
}

std::string shape_sql(const HistoryShape& shape, const Aggregate& aggregate,
                      const std::vector<std::string>& groups) {
  const bool single = shape.point == "run";
  const std::string value = sql_name(shape.rows.value());
  std::vector<std::string> columns = {
      sql_name(shape.point) + " AS point",
      single ? "run" : "min(run) AS run",
      single ? "1 AS runs" : "count(DISTINCT run) AS runs",
      single ? "milestone" : "group_concat(DISTINCT milestone) AS milestone",
      "min(started_at) AS started_at",
      "min(run_id) AS run_id",
      single ? "min(\"commit\") AS \"commit\""
             : "CASE WHEN count(DISTINCT \"commit\") = 1 THEN min(\"commit\") END AS \"commit\"",
      "provenance",
      aggregate.expression + " AS " + quoted_name(shape.agg + "(" + shape.rows.value() + ")"),
      "count(*) AS records",
      shape.timing ? "machine" : "NULL AS machine",
      shape.timing ? "json_group_array(" + value + ") AS samples" : "NULL AS samples"};
  for (const std::string& column : shape.series) columns.push_back(sql_name(column));
  std::vector<std::string> order = {"min(started_at)", "min(run_id)"};
  for (const std::string& column : shape.series) order.push_back(sql_name(column));
  return "SELECT " + joined(columns) + "\nFROM " + aggregate.from + "\nGROUP BY " +
         joined(sql_names(groups)) + "\nORDER BY " + joined(order);
}

// Of the runs that have records of the metric under `condition`, those that are no older than the
// last of the newest `limit`, as a condition on `t`; "" where there are no more than these.
Result<std::string> among_newest(Store& store, const std::vector<MetricSource>& sources,
                                 const MetricQuestion& metric, const std::string& condition,
                                 const Cancelled& cancelled) {
  if (metric.limit == 0) return std::string();
  TRY_ASSIGN(const Asked asked, asked_of(sources, metric));
  std::vector<std::string> of_runs;
  for (const Condition& one : asked.kinds[0].conditions)
    if (one.column == "milestone" || one.column == "run") of_runs.push_back(one.sql);
  std::vector<std::string> records;
  for (const AskedKind& kind : asked.kinds)
    records.push_back("SELECT 1" +
                      asked.from(kind, kind.source.field, [](size_t) { return true; }) +
                      " AND t.run = r.run" + (condition.empty() ? "" : " AND " + condition));
  // The runs in order come from an index alone: their rows are long, with specs in them. LIMIT
  // keeps SQLite from looking for records in all of them before it puts them in order. The newest
  // are tried first: mostly all of them have records.
  Table found;
  for (const int64_t most : {metric.limit + 1, int64_t{-1}}) {
    if (found.rows.size() == 2) break;
    TRY_ASSIGN(
        found,
        table_of(
            store,
            "SELECT o.started_at, o.run_id FROM (SELECT t.started_at, t.run_id FROM runs AS t" +
                (of_runs.empty() ? "" : " WHERE " + joined(of_runs, " AND ")) +
                " ORDER BY 1 DESC, 2 DESC LIMIT " + std::to_string(most) +
                ") AS o WHERE EXISTS (SELECT 1 FROM runs AS r WHERE r.run_id = o.run_id AND EXISTS "
                "(" +
                union_all(records) + ")) LIMIT 2 OFFSET " + std::to_string(metric.limit - 1),
            cancelled));
  }
  if (found.rows.size() < 2) return std::string();
  // A list of runs, so that SQLite starts from them and not from every record.
  return "t.run IN (SELECT run FROM runs WHERE run_id IN (SELECT run_id FROM runs WHERE"
         " (started_at, run_id) >= (" +
         quoted_text(found.rows[0][0].text) + ", " + std::to_string(found.rows[0][1].integer) +
         ")))";
}

Result<HistoryShape> shape_of(Store& store, const HistoryQuestion& question,
                              const Cancelled& cancelled) {
  if (std::find(kHistoryPoints.begin(), kHistoryPoints.end(), question.point) ==
      kHistoryPoints.end()) {
    return fail(Exit::usage, "a history is by " + joined(kHistoryPoints) + ", not by `" +
                                 printable(question.point) + "`" +
                                 did_you_mean(question.point, kHistoryPoints));
  }
  const MetricQuestion& metric = question.metric;
  TRY_ASSIGN(auto sources, metric_sources(store, metric.metric));
  TRY_ASSIGN(sources, sources_with_columns(std::move(sources), metric));
  for (const MetricSource& source : sources) TRY(check_where(store, source, metric.where));
  HistoryShape shape{.rows = {.sources = std::move(sources), .extra = {}, .condition = {}},
                     .agg = metric.agg,
                     .point = question.point == "commit" ? "commit_or_run" : question.point,
                     .series = metric.by,
                     .timing = true,
                     .newest = {},
                     .sql = {}};
  for (const MetricSource& source : shape.rows.sources) shape.timing &= source.timing;
  if (shape.agg.empty()) shape.agg = default_aggregate(shape.rows.sources[0]);
  if (shape.rows.several()) shape.series.insert(shape.series.begin(), "kind");
  const bool names_runs =
      std::any_of(metric.filters.begin(), metric.filters.end(), [](const MetricFilter& filter) {
        return filter.column == "run" || filter.column == "provenance";
      });
  std::vector<std::string> conditions;
  if (!names_runs) conditions = {"r.purpose = 'run'", "t.provenance <> 'reenacted'"};
  TRY_ASSIGN(shape.newest, among_newest(store, shape.rows.sources, metric,
                                        joined(conditions, " AND "), cancelled));
  if (!shape.newest.empty()) conditions.push_back(shape.newest);
  shape.rows.condition = joined(conditions, " AND ");

  const auto keys = shape.rows.keys();
  for (const std::string& column : metric.by) {
    const bool there = column_type({}, column) != nullptr ||
                       std::find(keys.begin(), keys.end(), column) != keys.end();
    if (!there && column != "kind") shape.rows.extra.push_back(column);
  }
  std::vector<std::string> groups = {shape.point};
  if (question.point == "commit" || question.point == "day")
    shape.rows.extra.push_back(shape.point);
  groups.emplace_back("provenance");
  if (shape.timing) {
    shape.rows.extra.emplace_back("machine");
    groups.emplace_back("machine");
  }
  groups.insert(groups.end(), shape.series.begin(), shape.series.end());
  TRY_ASSIGN(std::string rows_sql, shape.rows.sql(metric));
  if (shape.timing) rows_sql = each_once(rows_sql);
  TRY_ASSIGN(const Aggregate aggregate, aggregate_sql(shape.rows, rows_sql, shape.agg, groups));
  shape.sql = shape_sql(shape, aggregate, groups);
  return shape;
}

double number_of(const Value& value) {
  if (value.type == Value::Type::integer) return static_cast<double>(value.integer);
  if (value.type == Value::Type::real) return value.real;
  return std::numeric_limits<double>::quiet_NaN();
}

std::vector<double> samples_of(const std::string& list) {
  std::vector<double> out;
  const auto json = nlohmann::json::parse(list, nullptr, /*allow_exceptions=*/false);
  if (!json.is_array()) return out;
  for (const auto& value : json)
    if (value.is_number() && std::isfinite(value.get<double>())) out.push_back(value.get<double>());
  return out;
}

// Rows of the query, one after the other, as points; then what all of them tell.
class HistoryReader {
 public:
  HistoryReader(const HistoryShape& shape, History& history) : shape_(shape), history_(history) {}

  bool row(const std::vector<Value>& row) {
    HistoryPoint point;
    point.place = places_.emplace(value_text(row[HistoryRow::point]), places_.size()).first->second;
    point.run = row[HistoryRow::run].text;
    point.runs = row[HistoryRow::runs].integer;
    point.milestone = row[HistoryRow::milestone].text;
    point.started_at = row[HistoryRow::started_at].text;
    point.commit = row[HistoryRow::commit].text;
    point.provenance = row[HistoryRow::provenance].text;
    point.value = row[HistoryRow::value];
    point.number = number_of(row[HistoryRow::value]);
    point.records = row[HistoryRow::records].integer;
    point.machine = row[HistoryRow::machine].text;
    if (shape_.timing) point.samples = samples_of(row[HistoryRow::samples].text);
    labels_.emplace_back(row.begin() + HistoryRow::series, row.end());
    history_.points.push_back(std::move(point));
    return true;
  }

  void finish() {
    name_series();
    if (shape_.timing && shape_.agg == "median") {
      for (HistoryPoint& point : history_.points)
        point.interval = bootstrap_interval(point.samples);
    }
    compare_with_the_one_before();
    if (shape_.timing && shape_.agg == "median") find_changes();
  }

 private:
  // Only what can be told apart in figures: one series, one way to come about, one machine.
  using Line = std::tuple<size_t, std::string, std::string>;
  static Line line_of(const HistoryPoint& point) {
    return {point.series, point.provenance, point.machine};
  }

  void name_series() {
    std::vector<std::set<std::string>> values(shape_.series.size());
    for (const auto& label : labels_)
      for (size_t i = 0; i < label.size(); ++i)
        values[i].insert(visible_text(value_text(label[i])));
    for (size_t i = 0; i < values.size(); ++i)
      if (values[i].size() == 1)
        history_.constant.push_back(shape_.series[i] + " " + *values[i].begin());
    std::map<std::string, size_t> known;
    for (size_t at = 0; at < labels_.size(); ++at) {
      std::vector<std::string> parts;
      for (size_t i = 0; i < values.size(); ++i)
        if (values[i].size() > 1) parts.push_back(visible_text(value_text(labels_[at][i])));
      const std::string name = joined(parts);
      const auto [it, added] = known.emplace(name, history_.series.size());
      if (added) history_.series.push_back(name);
      history_.points[at].series = it->second;
    }
  }

  void compare_with_the_one_before() {
    std::map<Line, const HistoryPoint*> before;
    for (HistoryPoint& point : history_.points) {
      const HistoryPoint*& last = before[line_of(point)];
      if (last != nullptr && history_.numeric) point.change = point.number - last->number;
      if (last != nullptr && point.interval.has_value() + last->interval.has_value() == 2)
        point.comparison = compare_samples(last->samples, point.samples);
      last = &point;
    }
  }

  void find_changes() {
    std::map<Line, std::vector<size_t>> lines;
    for (size_t i = 0; i < history_.points.size(); ++i)
      if (std::isfinite(history_.points[i].number)) lines[line_of(history_.points[i])].push_back(i);
    for (const auto& [line, points] : lines) {
      std::vector<double> series;
      for (const size_t point : points) series.push_back(history_.points[point].number);
      const auto found = change_points(series);
      for (size_t i = 0; i < found.size(); ++i) {
        const size_t begin = i == 0 ? 0 : found[i - 1].position;
        const size_t end = i + 1 == found.size() ? points.size() : found[i + 1].position;
        history_.changes.push_back(
            {.point = points[found[i].position],
             .change = found[i],
             .levels = compare_samples(samples(points, begin, found[i].position),
                                       samples(points, found[i].position, end))});
      }
    }
    std::sort(history_.changes.begin(), history_.changes.end(),
              [](const HistoryChange& a, const HistoryChange& b) { return a.point < b.point; });
  }

  std::vector<double> samples(const std::vector<size_t>& points, size_t begin, size_t end) const {
    std::vector<double> out;
    for (size_t i = begin; i < end; ++i) {
      const auto& more = history_.points[points[i]].samples;
      out.insert(out.end(), more.begin(), more.end());
    }
    return out;
  }

  const HistoryShape& shape_;
  History& history_;
  std::map<std::string, size_t> places_;
  std::vector<std::vector<Value>> labels_;
};

}  // namespace

Result<std::string> history_sql(Store& store, const HistoryQuestion& question,
                                const Cancelled& cancelled) {
  TRY_ASSIGN(const HistoryShape shape, shape_of(store, question, cancelled));
  return shape.sql;
}

Result<History> metric_history(Store& store, const HistoryQuestion& question,
                               const Cancelled& cancelled) {
  TRY_ASSIGN(const HistoryShape shape, shape_of(store, question, cancelled));
  const MetricSource& source = shape.rows.sources[0];
  History history;
  history.sql = shape.sql;
  history.metric = (shape.rows.several() ? "" : source.kind + ".") + source.field;
  history.agg = shape.agg;
  history.unit = shape.agg == "count" ? "records" : source.unit;
  history.timing = shape.timing;
  history.numeric = shape.agg == "count" || is_number_type(source.type) || source.type == "boolean";
  history.older = !shape.newest.empty();
  HistoryReader reader(shape, history);
  const RowSink sink{.columns = [](const std::vector<std::string>&) { return true; },
                     .row = [&](const std::vector<Value>& row) { return reader.row(row); },
                     .cancelled = cancelled};
  TRY(store.query(shape.sql, -1, sink));
  reader.finish();
  if (history.points.empty()) return history;
  TRY_ASSIGN(Asked asked, asked_of(shape.rows.sources, question.metric));
  asked.further = shape.newest;
  TRY_ASSIGN(history.notes, notes_of(store, asked, cancelled));
  return history;
}

}  // namespace greta::store
