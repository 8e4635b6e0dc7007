// A question about a metric as one SELECT.

#include <algorithm>

#include "compare/run_info.h"
#include "contract/text.h"
#include "db/sqlite.h"
#include "history/metric_condition.h"
#include "history/metric_rows.h"

namespace greta::store {
namespace {

using Order = MetricQuestion::Order;

// Where small values are the bad ones: rates, and truth values.
bool small_is_worse(const MetricSource& source) {
  return source.type == "boolean" || source.unit.ends_with("/s");
}

// NaN first among the worst, last among the best.
std::string order_by_value(const MetricSource& source, const std::string& value, Order order) {
  const bool worst = order == Order::worst;
  const bool descending = worst != small_is_worse(source);
  const std::string nan = is_number_type(source.type)
                              ? "typeof(" + value + ") = 'text'" + (worst ? " DESC, " : ", ")
                              : "";
  return nan + value + (descending ? " DESC" : "");
}

bool is_among(const std::vector<std::string>& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

// What `by` names beyond the columns that the rows have anyway.
std::vector<std::string> extra_columns(const std::vector<MetricSource>& sources,
                                       const std::vector<std::string>& by) {
  std::vector<std::string> out;
  for (const std::string& column : by) {
    const bool of_cell = column != "day" && column_type({}, column) != nullptr;
    const bool key = std::any_of(sources.begin(), sources.end(), [&](const MetricSource& source) {
      return is_among(source.keys, column) || source.field == column;
    });
    if (!of_cell && !key && column != "kind" && !is_among(out, column)) out.push_back(column);
  }
  return out;
}

Result<std::string> every_row(const MetricRows& rows, const MetricQuestion& question) {
  TRY_ASSIGN(std::string sql, rows.sql(question));
  if (rows.several()) sql = "SELECT * FROM (\n" + sql + ")";
  sql += "\nORDER BY ";
  sql += question.order == Order::time
             ? "started_at, run_id, record"
             : order_by_value(rows.sources[0], sql_name(rows.value()), question.order) +
                   ", started_at, run_id";
  return sql;
}

Result<std::string> every_group(const MetricRows& rows, const MetricQuestion& question,
                                const std::string& agg, const std::string& name) {
  std::vector<std::string> by = question.by;
  if (rows.several() && !is_among(by, "kind")) by.insert(by.begin(), "kind");
  TRY_ASSIGN(const std::string rows_sql, rows.sql(question));
  TRY_ASSIGN(const Aggregate aggregate, aggregate_sql(rows, rows_sql, agg, by));
  const std::string groups = joined(sql_names(by));
  std::string sql = "SELECT " + (groups.empty() ? "" : groups + ", ") + aggregate.expression +
                    " AS " + quoted_name(name) + ", count(*) AS records\nFROM " + aggregate.from;
  // Without groups there is one row, also for no record: zero rows is what "nothing" must be.
  sql += groups.empty() ? "\nHAVING count(*) > 0" : "\nGROUP BY " + groups;
  sql += "\nORDER BY ";
  sql += question.order == Order::time
             ? "min(started_at), min(run_id)"
             : order_by_value(rows.sources[0], quoted_name(name), question.order);
  return sql + (groups.empty() ? "" : ", " + groups);
}

}  // namespace

std::string default_aggregate(const MetricSource& source) {
  if (source.timing) return "median";
  if (source.type == "boolean") return "min";
  return is_number_type(source.type) ? "max" : "last";
}

Result<MetricQuery> metric_query(Store& store, const MetricQuestion& question) {
  TRY_ASSIGN(auto sources, metric_sources(store, question.metric));
  TRY_ASSIGN(sources, sources_with_columns(std::move(sources), question));
  for (const MetricSource& source : sources) TRY(check_where(store, source, question.where));
  MetricRows rows{.sources = std::move(sources), .extra = {}, .condition = {}};
  rows.extra = extra_columns(rows.sources, question.by);
  MetricQuery query;
  if (question.agg.empty() && question.by.empty()) {
    TRY_ASSIGN(query.sql, every_row(rows, question));
    query.value = rows.value();
    query.background = {"run_id", "started_at", "commit", "record"};
  } else {
    const std::string agg =
        question.agg.empty() ? default_aggregate(rows.sources[0]) : question.agg;
    query.value = agg + "(" + rows.value() + ")";
    TRY_ASSIGN(query.sql, every_group(rows, question, agg, query.value));
  }
  if (question.limit > 0) query.sql += "\nLIMIT " + std::to_string(question.limit);
  query.sources = std::move(rows.sources);
  return query;
}

}  // namespace greta::store
