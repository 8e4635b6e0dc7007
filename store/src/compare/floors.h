#pragma once
// How far apart two correct results may be. The repeat floor is measured (identical repeats of one
// run), the numeric floor is derived from what the records say of themselves.

#include <map>
#include <string>

#include "compare/run_records.h"

namespace greta::store {

// What is true of all records of a diff.
struct FloorContext {
  // Same backend, ISA and strict numerics on both sides: one reduction order, so only the
  // conversion of the figures remains. Otherwise sums may be ordered differently.
  bool same_order = false;
  // Figures of a past report carry the digits that were printed.
  bool a_printed = false, b_printed = false;
};

// |a - b| that a record's field may have between two correct runs. `bound` of the record, where it
// has one, is the derived relative error of the tensor that the record speaks of; else a few units
// in the last place of fp32 at the size of the tensor.
double numeric_floor(const KindInfo& kind, size_t field, const std::vector<Value>& a,
                     const std::vector<Value>& b, const FloorContext& context);

// Largest difference of each field among the repeats of the same record in runs of one group;
// hashes and texts count as infinitely different.
std::vector<double> repeat_floors(const KindInfo& kind, const RecordSet::Records& records);

}  // namespace greta::store
