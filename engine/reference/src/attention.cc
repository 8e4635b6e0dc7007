#include "reference/attention.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "reference/numbers.h"

namespace greta::reference {
namespace {

constexpr double kUnit = 0x1p-24;        // unit roundoff of fp32
constexpr double kUnderflow = 0x1p-149;  // ω: a product of fp32 is off by this where it is tiny
constexpr double kRopeError = 4 * kUnit;
constexpr double kRopeUnderflow = 2 * kUnderflow;  // two products an element
constexpr double kExpError = 5 * kUnit;            // with the product that it goes into
constexpr double kLambda = 8;
constexpr double kSmallest = 0x1p-126;  // a weight below it may be flushed to zero

// A bound with this denominator; NaN where no useful one exists.
double checked(double denominator, double numerator) {
  return denominator >= 0.5 ? numerator / denominator : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

double sum_error(int64_t roundings) {
  const auto n = static_cast<double>(roundings);
  return std::min(n * kUnit / (1.0 - n * kUnit), kLambda * std::sqrt(n) * kUnit);
}

AttentionShape shape_of(const engine::ModelConfig& config, const engine::BackendOptions& options) {
  return {.layers = config.layers,
          .heads = config.heads,
          .kv_heads = config.kv_heads,
          .head_dim = config.head_dim,
          .rope_base = config.rope_base,
          .rope_factors = config.rope_factors,
          .kv_type = options.kv_type};
}

History::History(const AttentionShape& shape)
    : shape_(shape), rope_(shape.head_dim, shape.rope_base, shape.rope_factors) {
  clear();
}

void History::clear() {
  k_pre_.assign(static_cast<size_t>(shape_.layers), {});
  v_pre_.assign(static_cast<size_t>(shape_.layers), {});
}

Result<> History::remember(std::vector<std::vector<float>>& rows_of_layer, const char* what,
                           int64_t layer, int64_t pos0, int64_t rows, const float* data) {
  const size_t width = static_cast<size_t>(shape_.kv_heads * shape_.head_dim);
  auto& kept = rows_of_layer.at(static_cast<size_t>(layer));
  if (kept.size() < static_cast<size_t>(pos0) * width) {
    return fail(EngineExit::numeric, std::string("attention oracle: layer ") +
                                         std::to_string(layer) + " saw no " + what +
                                         " for positions " + std::to_string(kept.size() / width) +
                                         " to " + std::to_string(pos0 - 1));
  }
  kept.resize(static_cast<size_t>(pos0) * width);
  kept.insert(kept.end(), data, data + static_cast<size_t>(rows) * width);
  return {};
}

Result<> History::remember_k(int64_t layer, int64_t pos0, int64_t rows, const float* k_pre) {
  return remember(k_pre_, "k", layer, pos0, rows, k_pre);
}

Result<> History::remember_v(int64_t layer, int64_t pos0, int64_t rows, const float* v_pre) {
  return remember(v_pre_, "v", layer, pos0, rows, v_pre);
}

int64_t History::positions(int64_t layer) const {
  const auto at = static_cast<size_t>(layer);
  return static_cast<int64_t>(std::min(k_pre_.at(at).size(), v_pre_.at(at).size())) /
         (shape_.kv_heads * shape_.head_dim);
}

StoredHead History::stored(int64_t layer, int64_t kv_head, int64_t first, int64_t count) const {
  const int64_t d = shape_.head_dim;
  StoredHead slots{.positions = count, .head_dim = d, .k = {}, .k_error = {}, .v = {}};
  slots.smooth_k_errors = shape_.kv_type == engine::KvType::f32;
  slots.k.resize(static_cast<size_t>(count * d));
  slots.k_error.resize(slots.k.size());
  slots.v.resize(slots.k.size());
  std::vector<double> pre(static_cast<size_t>(d)), rotated(pre.size()), reach(pre.size());
  for (int64_t row = 0; row < count; ++row) {
    const auto source = static_cast<size_t>(((first + row) * shape_.kv_heads + kv_head) * d);
    const auto target = static_cast<size_t>(row * d);
    for (size_t i = 0; i < pre.size(); ++i) {
      pre[i] = k_pre_[static_cast<size_t>(layer)][source + i];
      slots.v[target + i] =
          round_to_storage(v_pre_[static_cast<size_t>(layer)][source + i], shape_.kv_type);
    }
    rope_.rotate(first + row, pre, rotated, reach);
    for (size_t i = 0; i < pre.size(); ++i) {
      const double error = kRopeError * reach[i] + kRopeUnderflow;
      if (slots.smooth_k_errors) {  // the rounding to fp32 is within `error`
        slots.k[target + i] = rotated[i];
        slots.k_error[target + i] = error;
        continue;
      }
      const double middle = round_to_storage(rotated[i], shape_.kv_type);
      const double low = round_to_storage(rotated[i] - error, shape_.kv_type);
      const double high = round_to_storage(rotated[i] + error, shape_.kv_type);
      slots.k[target + i] = middle;
      slots.k_error[target + i] = std::max(middle - low, high - middle);
    }
  }
  return slots;
}

HeadAnswer attend(std::span<const float> q_pre, int64_t position, const StoredHead& keys,
                  const Rope& rope) {
  const size_t d = q_pre.size();
  const auto n = static_cast<size_t>(keys.positions);
  const double scale = 1.0 / std::sqrt(static_cast<double>(d));
  const double dot_error = sum_error(static_cast<int64_t>(d) + 5);

  const std::vector<double> pre(q_pre.begin(), q_pre.end());
  std::vector<double> q(d), q_error(d);
  rope.rotate(position, pre, q, q_error);
  for (double& reach : q_error) reach = reach * kRopeError + kRopeUnderflow;

  HeadAnswer answer{.out = std::vector<double>(d), .bound = std::vector<double>(d)};
  std::vector<double> score(n), common(n), own(n);  // s_j, a_j, b_j
  std::vector<bool> record(n);
  double largest = -std::numeric_limits<double>::infinity();
  for (size_t j = 0; j < n; ++j) {
    double sum = 0, magnitude = 0, from_q = 0, from_k = 0, underflow = 2 * kUnderflow;
    for (size_t i = 0; i < d; ++i) {
      const double k = keys.k[j * d + i], k_error = keys.k_error[j * d + i];
      sum += q[i] * k;
      magnitude += std::abs(q[i] * k);
      from_q += q_error[i] * (std::abs(k) + k_error);
      from_k += std::abs(q[i]) * k_error * (1 + dot_error);
      underflow += kUnderflow * (1 + std::abs(k));
    }
    score[j] = scale * sum;
    common[j] = scale * (from_q + (keys.smooth_k_errors ? 0 : from_k));
    own[j] = scale * (dot_error * magnitude + (keys.smooth_k_errors ? from_k : 0)) + underflow;
    answer.score_bound.push_back(common[j] + own[j]);
    record[j] = j > 0 && score[j] > largest;
    // Written so that a NaN score becomes the maximum, and everything after it NaN.
    largest = score[j] <= largest ? largest : score[j];
  }
  int64_t rescalings = std::bit_width(n - 1);  // ⌈log2 n⌉
  for (size_t j = n; j-- > 0;) {
    own[j] += kUnit * (largest - score[j]);
    common[j] += kExpError * static_cast<double>(1 + rescalings);
    if (record[j]) ++rescalings;
  }

  std::vector<double> weight(n);
  double total = 0;
  for (size_t j = 0; j < n; ++j) total += weight[j] = std::exp(score[j] - largest);

  for (size_t j = 0; j < n; ++j) {
    weight[j] /= total;
    for (size_t i = 0; i < d; ++i) answer.out[i] += weight[j] * keys.v[j * d + i];
  }

  std::vector<double> moved(d), straight(d), squares(d), summed(d);
  double weight_error = 0;
  for (size_t j = 0; j < n; ++j) {
    const double growth = std::exp(common[j] + own[j]);
    const double shared = weight[j] * common[j] * growth + kSmallest;
    const double alone = weight[j] * own[j] * growth;
    weight_error += shared + alone;
    for (size_t i = 0; i < d; ++i) {
      const double v = keys.v[j * d + i], distance = std::abs(v - answer.out[i]);
      moved[i] += shared * distance;
      straight[i] += alone * distance;
      squares[i] += alone * distance * alone * distance;
      summed[i] += (weight[j] + shared + alone) * std::abs(v);
    }
  }
  const int64_t roundings = static_cast<int64_t>(n) + rescalings + 3;
  const double sums = sum_error(roundings);
  const double underflow = static_cast<double>(roundings) * kUnderflow;
  const double denominator = 1 - weight_error - sums;
  for (size_t i = 0; i < d; ++i) {
    const double weights = moved[i] + std::min(straight[i], kLambda * std::sqrt(squares[i]));
    answer.bound[i] =
        checked(denominator, weights + sums * (summed[i] + std::abs(answer.out[i])) + underflow);
  }
  for (size_t j = 0; j < n; ++j) {
    const double own_error = weight[j] * std::expm1(common[j] + own[j]);
    answer.weight_bound.push_back(
        checked(denominator, own_error + weight[j] * (weight_error + sums)) + kSmallest);
  }
  answer.score = std::move(score);
  answer.weight = std::move(weight);
  return answer;
}

HeadAnswer mix(std::span<const float> weights, const StoredHead& keys) {
  const auto d = static_cast<size_t>(keys.head_dim), n = static_cast<size_t>(keys.positions);
  HeadAnswer answer{.out = std::vector<double>(d), .bound = std::vector<double>(d)};
  for (size_t j = 0; j < n; ++j) {
    if (std::isnan(weights[j])) continue;
    for (size_t i = 0; i < d; ++i) {
      const double term = static_cast<double>(weights[j]) * keys.v[j * d + i];
      answer.out[i] += term;
      answer.bound[i] += std::abs(term);
    }
  }
  const double error = sum_error(keys.positions + 3);
  for (double& bound : answer.bound) bound = error * bound + kSmallest;
  return answer;
}

std::vector<double> attend_reduced(std::span<const float> q_pre, int64_t position,
                                   const StoredHead& keys, const Rope& rope,
                                   engine::KvType accumulator) {
  const size_t d = q_pre.size();
  const auto n = static_cast<size_t>(keys.positions);
  const auto rounded = [&](double value) { return round_to_storage(value, accumulator); };
  const std::vector<double> pre(q_pre.begin(), q_pre.end());
  std::vector<double> q(d), score(n), out(d);
  rope.rotate(position, pre, q);
  for (size_t j = 0; j < n; ++j) {
    for (size_t i = 0; i < d; ++i) score[j] = rounded(score[j] + q[i] * keys.k[j * d + i]);
    score[j] /= std::sqrt(static_cast<double>(d));
  }
  const double largest = *std::ranges::max_element(score);
  double total = 0;
  for (size_t j = 0; j < n; ++j) {
    const double weight = std::exp(score[j] - largest);
    total = rounded(total + weight);
    for (size_t i = 0; i < d; ++i) out[i] = rounded(out[i] + weight * keys.v[j * d + i]);
  }
  for (double& value : out) value /= total;
  return out;
}

HeadComparison compare(std::span<const float> got, const HeadAnswer& ref) {
  return compare(got, ref.out, ref.bound);
}

HeadComparison compare(std::span<const float> got, std::span<const double> ref,
                       std::span<const double> bound) {
  HeadComparison result;
  double difference2 = 0, bound2 = 0, ref2 = 0, sum = 0;
  bool unordered = false;
  for (size_t i = 0; i < got.size(); ++i) {
    const double difference = std::abs(static_cast<double>(got[i]) - ref[i]);
    difference2 += difference * difference;
    bound2 += bound[i] * bound[i];
    ref2 += ref[i] * ref[i];
    if (!(difference <= bound[i])) ++result.over_bound;
    sum += difference;
    // The first NaN is the worst element whatever comes after it.
    if (!unordered && (std::isnan(difference) || difference > result.max_diff || i == 0)) {
      unordered = std::isnan(difference);
      result.max_diff = difference;
      result.worst_dim = static_cast<int64_t>(i);
      result.worst_got = got[i];
      result.worst_ref = ref[i];
    }
  }
  // Relative to nothing is relative to the smallest numbers that fp32 has: both sides of `rel_l2 ≤
  // bound` stay finite, and it stays the comparison of the two absolute errors.
  const double least = kUnderflow * std::sqrt(static_cast<double>(got.size()));
  const double norm = ref2 < least * least ? least : std::sqrt(ref2);  // NaN stays NaN
  const auto relative = [norm](double value) { return value / norm; };
  result.rel_l2 = relative(std::sqrt(difference2));
  result.bound = relative(std::sqrt(bound2));
  result.ref_rms = std::sqrt(ref2 / static_cast<double>(got.size()));
  result.mae = sum / static_cast<double>(got.size());
  return result;
}

}  // namespace greta::reference
