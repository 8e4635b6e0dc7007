#pragma once
// The query of a gate that compares with a partner: the worst figure and the partner's, as the
// views give them.

#include <string>
#include <string_view>
#include <vector>

#include "gates/gates_pairs.h"

namespace greta::store {

// How the query of an outcome begins that takes two runs, and so cannot be asked of one.
inline constexpr std::string_view kNamesItsRuns = "/* names its runs */ ";

// One pair: "SELECT a.value AS gap, b.value AS partner, …". `what`: SQL over a.value and b.value.
std::string pair_query(const KindScope& scope, const GatePairs& pairs, const RecordPair& pair,
                       const std::string& what);
// The ratio of the aggregates over the pairs, where the records of this run have `group` (columns
// and the values that they have there).
std::string ratio_query(const KindScope& scope, const GatePairs& pairs,
                        const std::vector<size_t>& variants,
                        const std::vector<std::pair<std::string, std::string>>& group);

}  // namespace greta::store
