#include "trace/tensor_stats.h"

#include <xxhash.h>

#include <algorithm>
#include <cmath>

namespace greta::engine {

TensorStats stats_of(std::span<const float> values) {
  TensorStats stats;
  double sum = 0, squares = 0;
  int64_t finite = 0;
  for (const float value : values) {
    if (value != 0) ++stats.nonzero;
    if (std::isnan(value)) {
      ++stats.nan;
    } else if (std::isinf(value)) {
      ++stats.inf;
    } else {
      const double x = value;
      stats.min = finite == 0 ? x : std::min(stats.min, x);
      stats.max = finite == 0 ? x : std::max(stats.max, x);
      sum += x;
      squares += x * x;
      stats.abs_sum += std::abs(x);
      ++finite;
    }
  }
  if (finite == 0) return stats;
  const auto n = static_cast<double>(finite);
  stats.mean = sum / n;
  stats.rms = std::sqrt(squares / n);
  double deviations = 0;
  for (const float value : values) {
    if (std::isfinite(value)) deviations += (value - stats.mean) * (value - stats.mean);
  }
  stats.std = std::sqrt(deviations / n);
  return stats;
}

Hash64 hash_of(std::span<const float> values) {
  return {XXH3_64bits(values.data(), values.size_bytes())};
}

}  // namespace greta::engine
