#pragma once
// Which run or arm a gate compares with, and whether the two may be compared.

#include <string>
#include <vector>

#include "gates/gates_pairs.h"

namespace greta::store {

struct OtherSides {
  std::vector<OtherSide> found;  // in the order in which they are asked for the figure
  std::string reason;            // why there are none, or not more; ""
};
Result<OtherSides> other_sides(const KindScope& scope, const RunInfo& run);

// Why no figure of one may be compared with the other's: another model, timings of another machine,
// arms that ran one kernel, a flag that nothing read. "" when it may.
Result<std::string> why_not(const KindScope& scope, const RunInfo& run, const OtherSide& other);

}  // namespace greta::store
