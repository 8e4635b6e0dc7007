#pragma once
// The two ways to compare a figure with its partner's: divided by it, and within the floor of it.

#include "gates/gates_bounds.h"
#include "gates/gates_pairs.h"

namespace greta::store {

// Errors (usage) that need no record: a text has no ratio, a timing no floor; `per` of a ratio
// names what tells no pairs apart.
Result<> check_pair_keys(const KindScope& scope);
Result<> check_ratio(const KindScope& scope, const GateBounds& bounds);
Result<> check_floor(const KindScope& scope);

Result<GateOutcome> measure_ratio(const KindScope& scope, const GateBounds& bounds);
Result<GateOutcome> measure_floor(const KindScope& scope);

}  // namespace greta::store
