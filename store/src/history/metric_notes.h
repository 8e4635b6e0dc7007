#pragma once
// What an answer does not show, for whoever says so.

#include <string>
#include <vector>

#include "history/metric_asked.h"

namespace greta::store {

// Records whose metric, or whose column of a filter or of `by`, is in another column, because the
// field could not hold the value: "2 records of readout hold gap otherwise: gap__text".
Result<std::vector<std::string>> held_otherwise(Store& store, const Asked& asked,
                                                const Cancelled& cancelled);
// These, and milestones with more than one recorded run among the records.
Result<std::vector<std::string>> notes_of(Store& store, const Asked& asked,
                                          const Cancelled& cancelled);

}  // namespace greta::store
