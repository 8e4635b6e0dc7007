#pragma once
// The records that a question is about, of every kind, under all of its conditions or some.

#include <functional>
#include <string>
#include <vector>

#include "history/metric_condition.h"
#include "history/metric_source.h"

namespace greta::store {

struct AskedKind {
  MetricSource source;
  std::vector<Condition> conditions;  // of the filters, then of the axes
};

struct Asked {
  MetricQuestion question;
  std::vector<AskedKind> kinds;
  std::string further = {};  // one more condition on `t`, which always holds; "" for none

  // Conditions are counted through: filters, axes, `where`.
  using Use = std::function<bool(size_t)>;
  size_t conditions() const;
  std::string shown(size_t condition) const;
  // " FROM … AS t WHERE …": records of the kind that have `column` and for which the conditions
  // hold of which `use` is true.
  std::string from(const AskedKind& kind, const std::string& column, const Use& use) const;
  // The records of all kinds that have the metric: columns of `t`.
  std::string select(const std::string& columns, const Use& use) const;
};

// Errors (usage): those of metric_query.
Result<Asked> asked_of(Store& store, const MetricQuestion& question);
Result<Asked> asked_of(const std::vector<MetricSource>& sources, const MetricQuestion& question);
// Rows of a query over all runs.
Result<Table> table_of(Store& store, const std::string& sql, const Cancelled& cancelled);

}  // namespace greta::store
