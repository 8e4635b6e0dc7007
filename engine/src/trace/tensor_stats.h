#pragma once
// Figures of one row of fp32 numbers, as the records give them. Sums are fp64, in index order.

#include <cstdint>
#include <span>

#include "contract/json_line.h"

namespace greta::engine {

struct TensorStats {
  double min = 0, max = 0, mean = 0, rms = 0, std = 0, abs_sum = 0;  // over the finite elements
  int64_t nan = 0, inf = 0, nonzero = 0;                             // NaN counts as not zero
};
TensorStats stats_of(std::span<const float> values);

// `got` against `want`, element by element. A NaN makes every figure NaN and is the worst element.
struct Difference {
  double rel_l2 = 0;  // ‖got − want‖₂ / ‖want‖₂
  double max_diff = 0, mae = 0;
  double ref_rms = 0;  // of want
  int64_t worst_index = 0;
  double worst_value = 0, worst_ref = 0;
};
Difference difference_of(std::span<const float> got, std::span<const float> want);

// Is sum = a + b as fp32 gives it? Where every number was rounded from a wider one, each may be off
// by a rounding of its own: |sum - (a + b)| ≤ u(|a| + |b| + |sum|), u = 2^-24.
struct SumCheck {
  int64_t over_bound = 0;
  double max_diff = 0;
  int64_t worst_index = -1;  // of the largest difference that is not 0
  double worst_value = 0, worst_ref = 0;
  void add(std::span<const float> a, std::span<const float> b, std::span<const float> sum);
};

// XXH3-64 over all bytes.
Hash64 hash_of(std::span<const float> values);

}  // namespace greta::engine
