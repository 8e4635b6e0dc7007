#pragma once
// The pieces of SQL that metrics and histories share.

#include <string>
#include <vector>

#include "history/metric_source.h"

namespace greta::store {

// One row a record: [kind,] the columns of the run and the cell, keys, `extra`, the metric and, of
// records, `record`.
struct MetricRows {
  std::vector<MetricSource> sources;
  std::vector<std::string> extra;  // further columns; `day`, `commit_or_run`, `machine`
  std::string condition;           // on the run, which is `r`; "" for none

  bool several() const { return sources.size() > 1; }
  const std::string& value() const { return sources[0].field; }
  std::vector<std::string> keys() const;  // of all sources, each once
  // Errors (usage): those of conditions_of.
  Result<std::string> sql(const MetricQuestion& question) const;
};

// However many they are.
std::string union_all(const std::vector<std::string>& selects);

// The aggregate over the groups of `by`, as an expression over the rows and what these must be
// selected from. Errors (usage): an unknown aggregate, one that needs numbers over texts.
struct Aggregate {
  std::string expression, from;
};
Result<Aggregate> aggregate_sql(const MetricRows& rows, const std::string& rows_sql,
                                const std::string& agg, const std::vector<std::string>& by);

}  // namespace greta::store
