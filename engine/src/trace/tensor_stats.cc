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

Difference difference_of(std::span<const float> got, std::span<const float> want) {
  Difference out;
  double squares = 0, norm = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double difference = std::abs(static_cast<double>(got[i]) - static_cast<double>(want[i]));
    squares += difference * difference;
    norm += static_cast<double>(want[i]) * static_cast<double>(want[i]);
    out.mae += difference / static_cast<double>(got.size());
    // Not `difference > max`: the first NaN is the worst element whatever comes after it.
    if ((!(difference <= out.max_diff) && !std::isnan(out.max_diff)) || i == 0) {
      out.max_diff = difference;
      out.worst_index = static_cast<int64_t>(i);
      out.worst_value = got[i];
      out.worst_ref = want[i];
    }
  }
  // Relative to nothing: equal is 0, anything else is infinitely far.
  out.rel_l2 = squares == 0 ? 0 : std::sqrt(squares) / std::sqrt(norm);
  out.ref_rms = std::sqrt(norm / static_cast<double>(got.size()));
  return out;
}

void SumCheck::add(std::span<const float> a, std::span<const float> b, std::span<const float> sum) {
  for (size_t i = 0; i < sum.size(); ++i) {
    const double x = a[i], y = b[i], got = sum[i], off = std::abs(got - (x + y));
    const double bound = 0x1p-24 * (std::abs(x) + std::abs(y) + std::abs(got));
    if (!(off <= bound)) ++over_bound;
    if (off <= max_diff || std::isnan(max_diff)) continue;
    max_diff = off;
    worst_index = static_cast<int64_t>(i);
    worst_value = got;
    worst_ref = x + y;
  }
}

Hash64 hash_of(std::span<const float> values) {
  return {XXH3_64bits(values.data(), values.size_bytes())};
}

}  // namespace greta::engine
