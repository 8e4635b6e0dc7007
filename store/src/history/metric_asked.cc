#include "history/metric_asked.h"

#include "compare/run_info.h"
#include "history/metric_rows.h"

namespace greta::store {

size_t Asked::conditions() const {
  return question.filters.size() + question.axes.size() + (question.where.empty() ? 0 : 1);
}

std::string Asked::shown(size_t condition) const {
  const auto& conditions = kinds[0].conditions;
  return condition < conditions.size() ? conditions[condition].shown : "where " + question.where;
}

std::string Asked::from(const AskedKind& kind, const std::string& column, const Use& use) const {
  std::string sql = " FROM ";
  sql += question.where.empty() || !use(kind.conditions.size())
             ? kind.source.view
             : "(SELECT * FROM " + kind.source.view + " WHERE (" + question.where + "\n))";
  sql += " AS t WHERE t." + sql_name(column) + " IS NOT NULL";
  for (size_t i = 0; i < kind.conditions.size(); ++i)
    if (use(i)) sql += " AND " + kind.conditions[i].sql;
  return further.empty() ? sql : sql + " AND " + further;
}

std::string Asked::select(const std::string& columns, const Use& use) const {
  std::vector<std::string> selects;
  for (const AskedKind& kind : kinds)
    selects.push_back("SELECT " + columns + from(kind, kind.source.field, use));
  return union_all(selects);
}

Result<Asked> asked_of(const std::vector<MetricSource>& sources, const MetricQuestion& question) {
  Asked asked{.question = question, .kinds = {}, .further = {}};
  for (const MetricSource& source : sources) {
    TRY_ASSIGN(auto conditions, conditions_of(source, question));
    asked.kinds.push_back({source, std::move(conditions)});
  }
  return asked;
}

Result<Asked> asked_of(Store& store, const MetricQuestion& question) {
  TRY_ASSIGN(auto sources, metric_sources(store, question.metric));
  TRY_ASSIGN(sources, sources_with_columns(std::move(sources), question));
  return asked_of(sources, question);
}

Result<Table> table_of(Store& store, const std::string& sql, const Cancelled& cancelled) {
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

}  // namespace greta::store
