#include "session/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace greta::engine {

Result<int32_t> greedy(std::span<const float> logits) {
  const kernels::Top2 top = kernels::top2(logits);
  if (top.id[0] >= 0) return static_cast<int32_t>(top.id[0]);
  return fail(EngineExit::numeric, "all " + std::to_string(logits.size()) + " logits are NaN");
}

Result<> check(const Sampling& s) {
  if (!(s.temperature >= 0 && s.temperature <= 100)) {
    return fail(EngineExit::usage,
                "--temperature " + std::to_string(s.temperature) + " is outside 0 to 100");
  }
  if (s.top_k < 0) {
    return fail(EngineExit::usage, "--top-k " + std::to_string(s.top_k) + " is below 0");
  }
  if (!(s.top_p > 0 && s.top_p <= 1)) {
    return fail(EngineExit::usage,
                "--top-p " + std::to_string(s.top_p) + ": expected above 0 and at most 1");
  }
  if (s.temperature == 0 && (s.top_k != 0 || s.top_p != 1 || s.seed != 0)) {
    return fail(
        EngineExit::usage,
        "--top-k, --top-p and --seed need a --temperature above 0: without it the token with "
        "the largest logit is taken");
  }
  return {};
}

Result<int32_t> Sampler::next(std::span<const float> logits) {
  TRY_ASSIGN(const int32_t best, greedy(logits));
  const auto largest = static_cast<double>(logits[static_cast<size_t>(best)]);
  if (sampling_.temperature == 0 || std::isinf(largest)) return best;
  std::vector<int32_t> ids;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!std::isnan(logits[i])) ids.push_back(static_cast<int32_t>(i));
  }
  // Of equal logits the smaller id counts as the likelier one, so that cuts are the same
  // everywhere.
  const auto likelier = [&](int32_t a, int32_t b) {
    const float x = logits[static_cast<size_t>(a)], y = logits[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  };
  const auto most = static_cast<size_t>(sampling_.top_k);
  if (most > 0 && most < ids.size()) {
    std::nth_element(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(most), ids.end(),
                     likelier);
    ids.resize(most);
  }
  std::sort(ids.begin(), ids.end(), likelier);
  std::vector<double> weights;
  weights.reserve(ids.size());
  for (const int32_t id : ids) {
    weights.push_back(std::exp((static_cast<double>(logits[static_cast<size_t>(id)]) - largest) /
                               sampling_.temperature));
  }
  double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  double kept = 0;
  for (size_t i = 0; i < weights.size() && sampling_.top_p < 1; ++i) {
    kept += weights[i];
    if (kept < sampling_.top_p * total) continue;
    weights.resize(i + 1);
    total = kept;
  }
  // Not std::uniform_real_distribution: its numbers differ between standard libraries.
  double left = static_cast<double>(random_() >> 11) * 0x1p-53 * total;
  for (size_t i = 0; i < weights.size(); ++i) {
    left -= weights[i];
    if (left < 0) return ids[i];
  }
  return ids[weights.size() - 1];
}

}  // namespace greta::engine
