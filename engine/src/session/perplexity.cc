#include "session/perplexity.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace greta::engine {
namespace {

// Rows of logits that are computed at a time take at most this many bytes.
constexpr int64_t kLogitBytes = int64_t{32} << 20;
// Rows that are not scored are fed this many at a time: enough for the matmuls, and few enough that
// progress in a long window is seen.
constexpr int64_t kFedAtATime = 256;

double log_sum_exp(std::span<const float> logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  return largest + std::log(sum);
}

size_t largest(std::span<const float> logits) {
  return static_cast<size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

// The smallest value that `share` of all do not exceed (nearest rank).
double quantile(const std::vector<double>& sorted, double share) {
  const auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(sorted.size())));
  return sorted[std::max<size_t>(rank, 1) - 1];
}

class WindowScorer {
 public:
  // Called with the rows of the window that were fed up to now.
  using OnRows = std::function<void(const Window& window, int64_t rows)>;

  WindowScorer(Backend& backend, int64_t vocab, std::span<const int32_t> tokens, int32_t bos,
               const OnScoredRow& on_row, OnRows on_rows)
      : backend_(backend),
        vocab_(vocab),
        tokens_(tokens),
        bos_(bos),
        on_row_(on_row),
        on_rows_(std::move(on_rows)),
        rows_at_a_time_(
            std::max<int64_t>(1, kLogitBytes / (vocab * static_cast<int64_t>(sizeof(float))))) {}

  Result<> score(const Window& window) {
    const auto text =
        tokens_.subspan(static_cast<size_t>(window.first), static_cast<size_t>(window.length));
    std::vector<int32_t> fed(text.begin(), text.end());
    if (bos_ >= 0) fed[0] = bos_;
    backend_.reset();
    for (int64_t row = 0; row < window.first_scored; row += kFedAtATime) {
      const int64_t rows = std::min(kFedAtATime, window.first_scored - row);
      TRY(feed(fed, row, rows, 0));
      on_rows_(window, row + rows);
    }
    // The last token is not fed: nothing is left for it to predict.
    for (int64_t row = window.first_scored; row < window.length - 1; row += rows_at_a_time_) {
      const int64_t rows = std::min(rows_at_a_time_, window.length - 1 - row);
      TRY(feed(fed, row, rows, rows));
      TRY(show(window, row, rows));
      on_rows_(window, row + rows);
    }
    return {};
  }

 private:
  Result<> feed(std::span<const int32_t> fed, int64_t row, int64_t rows, int64_t logit_rows) {
    logits_.resize(static_cast<size_t>(logit_rows * vocab_));
    return backend_.forward({.pos0 = row, .rows = rows},
                            fed.subspan(static_cast<size_t>(row), static_cast<size_t>(rows)),
                            logit_rows, logits_);
  }

  Result<> show(const Window& window, int64_t first, int64_t rows) {
    for (int64_t r = 0; r < rows; ++r) {
      const std::span<const float> row(logits_.data() + r * vocab_, static_cast<size_t>(vocab_));
      const int64_t target = window.target(first + r);
      if (!std::all_of(row.begin(), row.end(), [](float x) { return std::isfinite(x); })) {
        return fail(EngineExit::numeric, "a logit that predicts token " + std::to_string(target) +
                                             " of the text is not finite");
      }
      TRY(on_row_(tokens_[static_cast<size_t>(target)], row));
    }
    return {};
  }

  Backend& backend_;
  int64_t vocab_;
  std::span<const int32_t> tokens_;
  int32_t bos_;
  const OnScoredRow& on_row_;
  OnRows on_rows_;
  int64_t rows_at_a_time_;
  std::vector<float> logits_;
};

}  // namespace

void Mean::add(double value) {
  ++count_;
  const double before = value - mean_;
  mean_ += before / static_cast<double>(count_);
  squares_ += before * (value - mean_);
}

double Mean::standard_error() const {
  if (count_ < 2) return 0;
  const auto n = static_cast<double>(count_);
  return std::sqrt(squares_ / (n - 1) / n);
}

double negative_log_likelihood(std::span<const float> logits, int32_t target) {
  return log_sum_exp(logits) - logits[static_cast<size_t>(target)];
}

Divergence::Deltas Divergence::deltas(std::span<const float> base, std::span<const float> logits) {
  Deltas out;
  const auto n = static_cast<double>(base.size());
  double mean = 0, base_squares = 0;
  for (const float logit : base) mean += logit / n;
  for (size_t i = 0; i < base.size(); ++i) {
    const double delta = std::abs(static_cast<double>(logits[i]) - base[i]);
    out.sum += delta;
    out.squares += delta * delta;
    out.max = std::max(out.max, delta);
    base_squares += (base[i] - mean) * (base[i] - mean);
  }
  out.base_std = std::sqrt(base_squares / n);
  return out;
}

void Divergence::add(std::span<const float> base, std::span<const float> logits, int32_t target) {
  const double p_total = log_sum_exp(base), q_total = log_sum_exp(logits);
  double kl = 0;
  for (size_t i = 0; i < base.size(); ++i) {
    const double log_p = base[i] - p_total;
    kl += std::exp(log_p) * (log_p - (logits[i] - q_total));
  }
  kl = std::max(kl, 0.0);  // what is below 0 is rounding
  kl_.push_back(kl);
  so_far_.kl.add(kl);
  agree_ += largest(base) == largest(logits) ? 1 : 0;

  const Deltas d = deltas(base, logits);
  const auto n = static_cast<double>(base.size());
  delta_.add(d.sum / n);
  so_far_.delta_max = std::max(so_far_.delta_max, d.max);
  if (d.base_std > 0) {
    relative_square_.add(d.squares / n / (d.base_std * d.base_std));
    so_far_.delta_max_over_std = std::max(so_far_.delta_max_over_std, d.max / d.base_std);
  }
  const double base_nll = p_total - base[static_cast<size_t>(target)];
  so_far_.base_nll.add(base_nll);
  so_far_.nll_delta.add(q_total - logits[static_cast<size_t>(target)] - base_nll);
}

Divergence::Summary Divergence::summary() const {
  Summary out = so_far_;
  if (kl_.empty()) return out;
  std::vector<double> sorted = kl_;
  std::sort(sorted.begin(), sorted.end());
  out.kl_median = quantile(sorted, 0.5);
  out.kl_p99 = quantile(sorted, 0.99);
  out.kl_max = sorted.back();
  out.top1_agreement = static_cast<double>(agree_) / static_cast<double>(kl_.size());
  out.delta_mean = delta_.mean();
  out.delta_rms_over_std = std::sqrt(relative_square_.mean());
  return out;
}

Result<> score_windows(Backend& backend, int64_t vocab, std::span<const int32_t> tokens,
                       const std::vector<Window>& windows, int32_t bos, const OnScoredRow& on_row,
                       const OnProgress& on_progress) {
  size_t whole = 0;
  WindowScorer scorer(backend, vocab, tokens, bos, on_row, [&](const Window& window, int64_t rows) {
    const auto part = static_cast<double>(rows) / static_cast<double>(window.length - 1);
    if (on_progress) on_progress(static_cast<double>(whole) + part, windows.size());
  });
  for (; whole < windows.size(); ++whole) TRY(scorer.score(windows[whole]));
  return {};
}

}  // namespace greta::engine
