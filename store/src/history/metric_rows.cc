#include "history/metric_rows.h"

#include <algorithm>

#include "compare/run_info.h"
#include "contract/text.h"
#include "db/sqlite.h"
#include "history/metric_condition.h"

namespace greta::store {
namespace {

const std::string kRowColumns[] = {"run",    "run_id",  "milestone", "started_at", "provenance",
                                   "commit", "variant", "prompt",    "repeat"};
// What the rows have besides the columns of a kind: a key of that name would hide it.
constexpr std::string_view kTaken[] = {"kind",          "run_id",  "started_at", "day",
                                       "commit_or_run", "machine", "value_rank", "value_count",
                                       "use_number",    "point"};
// What is no column of a kind but can be had of every row.
constexpr std::pair<std::string_view, std::string_view> kMade[] = {
    {"run_id", "r.run_id"},
    {"started_at", "r.started_at"},
    {"day", "substr(r.started_at, 1, 10)"},
    {"commit_or_run", "ifnull(t.\"commit\", t.run)"},
    {"machine",
     "coalesce((SELECT min(e.value) FROM environment AS e WHERE e.run = t.run AND e.key = "
     "'device'), (SELECT min(e.value) FROM environment AS e WHERE e.run = t.run AND e.key = "
     "'cpu'))"},
};
const std::vector<std::string> kAggregates = {"max", "min", "mean", "median", "count", "last"};

template <class List>
bool holds(const List& list, std::string_view name) {
  return std::find(std::begin(list), std::end(list), name) != std::end(list);
}

// A column that this kind lacks is NULL in the rows of several kinds.
std::string selected(const MetricSource& source, const std::string& column) {
  const std::string name = sql_name(column);
  for (const auto& [made, sql] : kMade)
    if (made == column) return std::string(sql) + " AS " + name;
  if (column_type(source, column) == nullptr) return "NULL AS " + name;
  return "t." + name + " AS " + name;
}

Result<std::string> rows_of(const MetricRows& rows, const MetricSource& source,
                            const MetricQuestion& question) {
  std::vector<std::string> columns;
  if (rows.several()) columns.push_back(quoted_text(source.kind) + " AS kind");
  for (const std::string& column : kRowColumns) columns.push_back(selected(source, column));
  for (const std::string& key : rows.keys()) columns.push_back(selected(source, key));
  for (const std::string& column : rows.extra) columns.push_back(selected(source, column));
  const std::string value = sql_name(source.field);
  columns.push_back("t." + value + " AS " + value);
  columns.push_back(source.has_record ? "t.record AS record" : "NULL AS record");

  TRY_ASSIGN(const auto conditions, conditions_of(source, question));
  std::string sql = "SELECT " + joined(columns) + "\nFROM ";
  sql += question.where.empty()
             ? source.view
             : "(SELECT * FROM " + source.view + " WHERE (" + question.where + "\n))";
  sql += " AS t JOIN runs AS r ON r.run = t.run\nWHERE t." + value + " IS NOT NULL";
  for (const Condition& condition : conditions) sql += " AND " + condition.sql;
  if (!rows.condition.empty()) sql += " AND " + rows.condition;
  return sql;
}

// NaN is a text: an aggregate that meets one is NaN.
std::string nan_or(const std::string& value, const std::string& otherwise) {
  return "CASE WHEN max(typeof(" + value + ") = 'text') THEN 'NaN' ELSE " + otherwise + " END";
}

// The rows with each one's place in its group.
std::string ranked(const std::string& rows_sql, const std::vector<std::string>& by,
                   const std::string& order) {
  const std::string partition = by.empty() ? "" : "PARTITION BY " + joined(sql_names(by)) + " ";
  return "SELECT *, row_number() OVER (" + partition + "ORDER BY " + order +
         ") AS value_rank, count(*) OVER (" + partition + ") AS value_count\nFROM (" + rows_sql +
         ")";
}

}  // namespace

std::string union_all(const std::vector<std::string>& selects) {
  constexpr std::string_view kBetween = "\nUNION ALL\n";
  constexpr size_t kMost = 400;  // SQLite's limit is 500
  if (selects.size() <= kMost) return joined(selects, kBetween);
  std::vector<std::string> parts;
  for (auto begin = selects.begin(); begin != selects.end();) {
    const auto end = begin + std::min<ptrdiff_t>(kMost, selects.end() - begin);
    parts.push_back("SELECT * FROM (\n" + joined({begin, end}, kBetween) + ")");
    begin = end;
  }
  return joined(parts, kBetween);
}

std::vector<std::string> MetricRows::keys() const {
  std::vector<std::string> out;
  for (const MetricSource& source : sources)
    for (const std::string& key : source.keys)
      if (!holds(out, key) && !holds(kTaken, key) && !holds(extra, key) && key != value())
        out.push_back(key);
  return out;
}

Result<std::string> MetricRows::sql(const MetricQuestion& question) const {
  std::vector<std::string> parts;
  for (const MetricSource& source : sources) {
    TRY_ASSIGN(std::string part, rows_of(*this, source, question));
    parts.push_back(std::move(part));
  }
  return union_all(parts);
}

Result<Aggregate> aggregate_sql(const MetricRows& rows, const std::string& rows_sql,
                                const std::string& agg, const std::vector<std::string>& by) {
  const std::string value = sql_name(rows.value());
  const std::string& type = rows.sources[0].type;
  const bool number = is_number_type(type) || type == "boolean";
  const auto guarded = [&](const std::string& sql) { return number ? nan_or(value, sql) : sql; };
  const std::string plain = "(" + rows_sql + ")";
  if (!holds(kAggregates, agg)) {
    return fail(Exit::usage, "unknown aggregate `" + printable(agg) + "`: " + joined(kAggregates) +
                                 did_you_mean(agg, kAggregates));
  }
  if (!number && (agg == "mean" || agg == "median")) {
    return fail(Exit::usage, "`" + rows.value() + "` is " + type + ": there is no " + agg +
                                 " of it, but last and count");
  }
  if (agg == "count") return Aggregate{"count(*)", plain};
  if (agg == "max") return Aggregate{"max(" + value + ")", plain};
  if (agg == "min") return Aggregate{guarded("min(" + value + ")"), plain};
  if (agg == "mean") return Aggregate{guarded("ifnull(avg(" + value + "), 'NaN')"), plain};
  if (agg == "last") {
    return Aggregate{"max(CASE WHEN value_rank = value_count THEN " + value + " END)",
                     "(" + ranked(rows_sql, by, "started_at, run_id, repeat, record") + ")"};
  }
  return Aggregate{guarded("ifnull(avg(CASE WHEN value_rank IN ((value_count + 1) / 2,"
                           " (value_count + 2) / 2) THEN " +
                           value + " END), 'NaN')"),
                   "(" + ranked(rows_sql, by, value) + ")"};
}

}  // namespace greta::store
