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

// What the repeats of one record say of a field: those in runs of one group (RepeatId).
struct RepeatFloor {
  // Largest difference between two finite numbers; between texts and hashes, which have no
  // distance, infinite.
  double floor = 0;
  bool agree = true;      // no two of them differ, in whatever
  bool measured = false;  // some record has two
};
// Over all records; one for every field of the kind.
std::vector<RepeatFloor> repeat_floors(const KindInfo& kind, const RecordSet::Records& records);

// The floor of a figure from the repeats of both sides: what both lie apart from a common value; a
// side without repeats is taken to be as noisy as the other. A side whose repeats agree in every
// record is steady: that the other's do not is then a difference, and no noise.
double repeat_floor(const RepeatFloor& a, const RepeatFloor& b);

}  // namespace greta::store
