// A question that found nothing: what was looked for, and what there is instead.

#include <algorithm>

#include "compare/run_info.h"
#include "contract/text.h"
#include "db/sqlite.h"
#include "history/metric_condition.h"
#include "history/metric_source.h"
#include "text/markdown.h"

namespace greta::store {
namespace {

constexpr size_t kMostValues = 200, kMostShown = 8;

Result<Table> ask(Store& store, const std::string& sql, const Cancelled& cancelled) {
  Table table;
  const RowSink sink{.columns = [](const std::vector<std::string>&) { return true; },
                     .row =
                         [&](const std::vector<Value>& row) {
                           table.rows.push_back(row);
                           return true;
                         },
                     .cancelled = cancelled};
  TRY(store.query(sql, -1, sink));
  return table;
}

std::string range_text(int64_t low, int64_t high) {
  return low == high ? std::to_string(low) : std::to_string(low) + "–" + std::to_string(high);
}

// 0, 1, 2, 7 → "0–2, 7"; the values are in order.
std::string whole_numbers(const Table& values) {
  std::vector<std::string> out;
  for (size_t i = 0; i < values.rows.size();) {
    const int64_t low = values.rows[i][0].integer;
    int64_t high = low;
    for (++i; i < values.rows.size() && values.rows[i][0].integer == high + 1; ++i) ++high;
    out.push_back(range_text(low, high));
  }
  return joined(out);
}

std::string listed(const Table& values) {
  const bool whole = std::all_of(values.rows.begin(), values.rows.end(), [](const auto& row) {
    return row[0].type == Value::Type::integer;
  });
  if (whole) return whole_numbers(values);
  std::vector<std::string> out;
  for (size_t i = 0; i < values.rows.size() && i < kMostShown; ++i)
    out.push_back(visible_text(value_text(values.rows[i][0])));
  const size_t more = values.rows.size() - out.size();
  return joined(out) + (more == 0 ? "" : ", … " + std::to_string(more) + " more");
}

// Of texts: a number that is near another one is no slip of it.
std::string nearest_of(const std::vector<std::string>& accepted, const Table& values) {
  std::vector<std::string> names;
  for (const auto& row : values.rows)
    if (row[0].type == Value::Type::text) names.push_back(row[0].text);
  return accepted.empty() ? "" : did_you_mean(accepted[0], names);
}

struct Asked {
  const MetricSource& source;
  const MetricQuestion& question;
  std::vector<Condition> conditions;

  // The records that hold for the conditions of which `use` says true.
  template <class Use>
  std::string from(const Use& use) const {
    std::string sql = " FROM ";
    sql += question.where.empty() || !use(conditions.size())
               ? source.view
               : "(SELECT * FROM " + source.view + " WHERE (" + question.where + "\n))";
    sql += " AS t WHERE t." + sql_name(source.field) + " IS NOT NULL";
    for (size_t i = 0; i < conditions.size(); ++i)
      if (use(i)) sql += " AND " + conditions[i].sql;
    return sql;
  }
  // An axis of the variant, or a column.
  std::string values_sql(size_t i, const std::string& from) const {
    const bool axis = i >= question.filters.size();
    const std::string value = axis ? "a.value" : "t." + sql_name(conditions[i].column);
    const std::string records =
        axis ? " FROM axes AS a WHERE a.axis = " + quoted_text(conditions[i].column) +
                   " AND EXISTS (SELECT 1" + from + " AND t.run = a.run AND t.variant = a.variant)"
             : from + " AND " + value + " IS NOT NULL";
    return "SELECT DISTINCT " + value + records + " ORDER BY 1 LIMIT " +
           std::to_string(kMostValues);
  }
};

// "layer 31: there is 0–7", for the first condition that alone keeps the others from finding
// anything; "" when there is none.
template <class Use>
Result<std::string> first_to_blame(Store& store, const Asked& asked, const Use& use,
                                   const std::string& said, const Cancelled& cancelled) {
  for (size_t i = 0; i < asked.conditions.size(); ++i) {
    const std::string from = asked.from([&](size_t other) { return use(other, i); });
    TRY_ASSIGN(const Table values, ask(store, asked.values_sql(i, from), cancelled));
    if (values.rows.empty()) continue;
    TRY_ASSIGN(
        const Table both,
        ask(store, "SELECT 1" + from + " AND " + asked.conditions[i].sql + " LIMIT 1", cancelled));
    if (!both.rows.empty()) continue;
    const bool axis = i >= asked.question.filters.size();
    const auto& accepted =
        axis ? std::vector<std::string>{asked.question.axes[i - asked.question.filters.size()]
                                            .second}
             : asked.question.filters[i].accepted;
    return "no " + asked.conditions[i].shown + said + ": there is " + asked.conditions[i].column +
           " " + listed(values) + nearest_of(accepted, values);
  }
  return std::string();
}

}  // namespace

Result<std::string> why_nothing(Store& store, const MetricQuestion& question,
                                const Cancelled& cancelled) {
  TRY_ASSIGN(auto sources, metric_sources(store, question.metric));
  TRY_ASSIGN(sources, sources_with_columns(std::move(sources), question));
  const MetricSource& source = sources[0];
  Asked asked{.source = source, .question = question, .conditions = {}};
  TRY_ASSIGN(asked.conditions, conditions_of(source, question));

  std::vector<std::string> wanted;
  for (const Condition& condition : asked.conditions) wanted.push_back(condition.shown);
  if (!question.where.empty()) wanted.push_back("where " + question.where);
  const std::string name = source.kind + "." + source.field;
  const std::string nothing =
      "nothing found: " + name + (wanted.empty() ? "" : " with " + joined(wanted));

  const auto none = [](size_t) { return false; };
  TRY_ASSIGN(const Table any, ask(store, "SELECT 1" + asked.from(none) + " LIMIT 1", cancelled));
  if (any.rows.empty()) return nothing + "; no record has it at all";
  const auto every = [](size_t) { return true; };
  TRY_ASSIGN(const Table all, ask(store, "SELECT 1" + asked.from(every) + " LIMIT 1", cancelled));
  if (!all.rows.empty()) {
    return nothing +
           " but in runs with a fault injected on purpose, replays and probes, which"
           " --provenance or --run asks for";
  }
  const auto alone = [](size_t, size_t) { return false; };
  TRY_ASSIGN(std::string blame, first_to_blame(store, asked, alone, "", cancelled));
  if (blame.empty()) {
    const auto others = [](size_t other, size_t i) { return other != i; };
    TRY_ASSIGN(blame, first_to_blame(store, asked, others, " with all the rest", cancelled));
  }
  return nothing + (blame.empty() ? "; each of these has records, but none has all" : "; " + blame);
}

}  // namespace greta::store
