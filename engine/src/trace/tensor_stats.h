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

// XXH3-64 over all bytes.
Hash64 hash_of(std::span<const float> values);

}  // namespace greta::engine
