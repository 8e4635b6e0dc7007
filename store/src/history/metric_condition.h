#pragma once
// Filters as SQL conditions on the records of one kind, which its query names `t`.

#include <string>
#include <string_view>
#include <vector>

#include "store/metric.h"

namespace greta::store {

struct Condition {
  std::string column;  // "" for `where`
  std::string sql;
  std::string shown;  // as it was asked for: "layer 31"
};

// Every filter, axis and `where`. Errors (usage): a column that the kind does not have, a text
// where a number must stand.
Result<std::vector<Condition>> conditions_of(const MetricSource& source,
                                             const MetricQuestion& question);
// Columns of filters and `by` that a kind lacks make it none of those asked about; an error when
// that leaves none.
Result<std::vector<MetricSource>> sources_with_columns(std::vector<MetricSource> sources,
                                                       const MetricQuestion& question);
// `where` as SQL before it becomes part of a larger query, so that a mistake has its own place.
Result<> check_where(Store& store, const MetricSource& source, const std::string& where);

}  // namespace greta::store
