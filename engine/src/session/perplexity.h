#pragma once
// How well a model predicts a text, and how far its logits are from those of another run.

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "contract/result.h"
#include "forward/backend.h"
#include "session/windows.h"

namespace greta::engine {

// A mean and the standard error of it, added up one value at a time (Welford).
class Mean {
 public:
  void add(double value);
  int64_t count() const { return count_; }
  double mean() const { return mean_; }
  double standard_error() const;  // 0 of fewer than two values

 private:
  int64_t count_ = 0;
  double mean_ = 0, squares_ = 0;
};

// −log softmax(logits)[target], in nats, in fp64.
double negative_log_likelihood(std::span<const float> logits, int32_t target);

// A run against a base: the same positions, base's probabilities p and this run's q.
class Divergence {
 public:
  void add(std::span<const float> base, std::span<const float> logits, int32_t target);

  struct Summary {
    Mean kl = {};  // KL(p ‖ q), nats
    double kl_median = 0, kl_p99 = 0, kl_max = 0;
    double top1_agreement = 0;  // share of positions with one most likely token
    // |Δlogit| over positions × vocabulary. The last two are in units of the standard deviation of
    // base's logits at the position: the root of the mean square, and the largest.
    double delta_mean = 0, delta_max = 0, delta_rms_over_std = 0, delta_max_over_std = 0;
    Mean base_nll = {},
         nll_delta = {};  // of the scored tokens; Δ is here − base, position by position
  };
  Summary summary() const;

 private:
  struct Deltas {
    double sum = 0, squares = 0, max = 0, base_std = 0;
  };
  static Deltas deltas(std::span<const float> base, std::span<const float> logits);

  Summary so_far_;
  std::vector<double> kl_;  // one number a position: for the quantiles
  int64_t agree_ = 0;
  Mean delta_, relative_square_;
};

// Called with each scored row, in the order of the text.
using OnScoredRow = std::function<Result<>(int32_t target, std::span<const float> logits)>;
// Called many times a window, which may be long: windows done, with the part of the one that runs.
using OnProgress = std::function<void(double done, size_t windows)>;

// Feeds the windows of `tokens`, teacher-forced, and shows every scored row. The memory of logits
// is bounded whatever the window: a few rows at a time. Errors (EngineExit::numeric) when a logit
// is not finite.
Result<> score_windows(Backend& backend, int64_t vocab, std::span<const int32_t> tokens,
                       const std::vector<Window>& windows, int32_t bos, const OnScoredRow& on_row,
                       const OnProgress& on_progress = {});

}  // namespace greta::engine
