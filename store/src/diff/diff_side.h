#pragma once
// The two runs of a diff, each cut down to the arms that were asked for.

#include "compare/run_info.h"
#include "store/diff.h"

namespace greta::store {

struct SidePair {
  RunInfo a, b;
};

// Chosen axes are taken off the variants' axes and labels, so that what is left tells which arms
// belong together; an axis that only one side chose, and the other has, stays.
Result<SidePair> load_sides(Store& store, const Side& a, const Side& b);

}  // namespace greta::store
