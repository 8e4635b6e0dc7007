#include "session/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "testing/test_model.h"

namespace greta::engine {
namespace {

using testing::cpu_backend;
using testing::even_config;
using testing::Model;
using testing::some_tokens;

TEST(Windows, EveryLayoutScoresWhatItSays) {
  struct Case {
    int64_t tokens, context, stride;
    std::vector<std::vector<int64_t>> windows;  // first, length, first_scored
  };
  const std::vector<Case> cases = {
      // Side by side: half of each, the rest is left out.
      {24, 8, 0, {{0, 8, 4}, {8, 8, 4}, {16, 8, 4}}},
      {23, 8, 0, {{0, 8, 4}, {8, 8, 4}}},
      {8, 8, 0, {{0, 8, 4}}},
      {4, 2, 0, {{0, 2, 0}, {2, 2, 0}}},
      {7, 3, 0, {{0, 3, 1}, {3, 3, 1}}},
      // Sliding: the first whole, then `stride` of each, then what is left.
      {12, 8, 4, {{0, 8, 0}, {4, 8, 3}}},
      {14, 8, 4, {{0, 8, 0}, {4, 8, 3}, {8, 6, 3}}},
      {5, 8, 4, {{0, 5, 0}}},
      {4, 3, 1, {{0, 3, 0}, {1, 3, 1}}},
  };
  for (const auto& [tokens, context, stride, wanted] : cases) {
    const auto windows = make_windows(tokens, {.context = context, .stride = stride});
    ASSERT_TRUE(windows) << windows.error().str();
    ASSERT_EQ(windows->size(), wanted.size()) << tokens << " " << context << " " << stride;
    for (size_t i = 0; i < wanted.size(); ++i) {
      const Window& w = (*windows)[i];
      EXPECT_EQ((std::vector<int64_t>{w.first, w.length, w.first_scored}), wanted[i]) << i;
    }
  }
}

TEST(Windows, ASlidingWindowScoresEachTokenOnce) {
  for (int64_t tokens = 2; tokens < 60; ++tokens) {
    for (const auto& [context, stride] : {std::pair{8, 1}, {8, 3}, {8, 7}, {20, 10}}) {
      const auto windows = make_windows(tokens, {.context = context, .stride = stride});
      ASSERT_TRUE(windows);
      std::vector<int> scored(static_cast<size_t>(tokens));
      for (const Window& w : *windows) {
        for (int64_t row = w.first_scored; row < w.length - 1; ++row) {
          ++scored[static_cast<size_t>(w.target(row))];
        }
      }
      EXPECT_EQ(scored[0], 0);
      EXPECT_EQ(std::count(scored.begin(), scored.end(), 1), tokens - 1);
      EXPECT_EQ(scored_rows(*windows), tokens - 1);
    }
  }
}

TEST(Windows, RefusesWhatCannotBeScored) {
  struct Case {
    int64_t tokens, context, stride;
    EngineExit code;
    std::string message;
  };
  for (const auto& [tokens, context, stride, code, message] : std::vector<Case>{
           {100, 1, 0, EngineExit::usage, "--context 1"},
           {100, 8, 8, EngineExit::usage, "--stride 8: expected 1 to 7"},
           {100, 8, -1, EngineExit::usage, "--stride -1"},
           {7, 8, 0, EngineExit::input, "the text has 7 tokens, fewer than a window of 8"},
           {1, 8, 4, EngineExit::input, "the text has 1 tokens, fewer than 2"},
       }) {
    const auto windows = make_windows(tokens, {.context = context, .stride = stride});
    ASSERT_FALSE(windows) << message;
    EXPECT_EQ(windows.error().exit_code, static_cast<int>(code));
    EXPECT_NE(windows.error().message.find(message), std::string::npos) << windows.error().message;
  }
}

TEST(Mean, AgreesWithTheTextbook) {
  Mean mean;
  EXPECT_EQ(mean.standard_error(), 0);
  for (const double value : {2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0}) mean.add(value);
  EXPECT_DOUBLE_EQ(mean.mean(), 5);
  EXPECT_DOUBLE_EQ(mean.standard_error(), std::sqrt(32.0 / 7 / 8));
}

TEST(Perplexity, ALikelihoodByHand) {
  const std::vector<float> logits = {0, std::log(2.0f), std::log(5.0f)};
  EXPECT_NEAR(negative_log_likelihood(logits, 0), std::log(8.0), 1e-7);
  EXPECT_NEAR(negative_log_likelihood(logits, 2), std::log(8.0 / 5), 1e-7);
  const std::vector<float> far = {1e4f, -1e4f};  // no overflow on the way
  EXPECT_EQ(negative_log_likelihood(far, 1), 2e4);
}

TEST(Divergence, ByHandAndTheSameIsZero) {
  const std::vector<float> p = {0, std::log(3.0f)}, q = {0, 0};  // ¼ ¾ against ½ ½
  Divergence divergence;
  divergence.add(p, p, 1);
  divergence.add(p, q, 1);
  const auto s = divergence.summary();
  const double kl = 0.25 * std::log(0.5) + 0.75 * std::log(1.5), log3 = std::log(3.0);
  EXPECT_NEAR(s.kl.mean(), kl / 2, 1e-7);
  EXPECT_EQ(s.kl_median, 0);
  EXPECT_NEAR(s.kl_p99, kl, 1e-7);
  EXPECT_NEAR(s.kl_max, kl, 1e-7);
  EXPECT_EQ(s.top1_agreement, 0.5);
  EXPECT_NEAR(s.delta_max, log3, 1e-6);
  EXPECT_NEAR(s.delta_mean, log3 / 4, 1e-6);
  // The standard deviation of p's logits is log 3 / 2.
  EXPECT_NEAR(s.delta_max_over_std, 2, 1e-6);
  EXPECT_NEAR(s.delta_rms_over_std, 1, 1e-6);
  EXPECT_NEAR(s.base_nll.mean(), std::log(4.0 / 3), 1e-7);
  EXPECT_NEAR(s.nll_delta.mean(), (std::log(2.0) - std::log(4.0 / 3)) / 2, 1e-7);
}

struct Rows {
  std::vector<int32_t> targets;
  std::vector<std::vector<float>> logits;
  OnScoredRow keep() {
    return [this](int32_t target, std::span<const float> row) -> Result<> {
      targets.push_back(target);
      logits.emplace_back(row.begin(), row.end());
      return {};
    };
  }
};

// The rows are those of a plain forward pass over the window with BOS in its first place.
TEST(ScoreWindows, ShowsTheRowsOfEachWindow) {
  const Model model(even_config());
  const auto tokens = some_tokens(40, model.config.vocab);
  for (const int64_t stride : {0, 5}) {
    const auto windows = make_windows(40, {.context = 16, .stride = stride});
    ASSERT_TRUE(windows);
    const auto backend = cpu_backend(model);
    Rows rows;
    std::vector<double> told;
    ASSERT_TRUE(score_windows(*backend, model.config.vocab, tokens, *windows, 3, rows.keep(),
                              [&](double done, size_t) { told.push_back(done); }));
    EXPECT_TRUE(std::ranges::is_sorted(told));
    EXPECT_EQ(told.back(), static_cast<double>(windows->size()));
    EXPECT_GT(told.size(), windows->size()) << "a window that has only begun is progress";
    size_t at = 0;
    for (const Window& w : *windows) {
      std::vector<int32_t> fed(tokens.begin() + w.first, tokens.begin() + w.first + w.length - 1);
      fed[0] = 3;
      backend->reset();
      std::vector<float> want(fed.size() * static_cast<size_t>(model.config.vocab));
      ASSERT_TRUE(backend->forward({}, fed, static_cast<int64_t>(fed.size()), want));
      for (int64_t row = w.first_scored; row < w.length - 1; ++row, ++at) {
        ASSERT_LT(at, rows.targets.size());
        EXPECT_EQ(rows.targets[at], tokens[static_cast<size_t>(w.target(row))]);
        const auto begin = want.begin() + row * model.config.vocab;
        EXPECT_TRUE(std::equal(begin, begin + model.config.vocab, rows.logits[at].begin())) << at;
      }
    }
    EXPECT_EQ(at, rows.targets.size());
  }
}

TEST(ScoreWindows, ALogitThatIsNotFiniteIsNamed) {
  struct Broken final : Backend {
    int64_t vocab = 0;
    void reset() override {}
    Result<> forward(const Pass& pass, std::span<const int32_t>, int64_t rows,
                     std::span<float> logits) override {
      std::fill(logits.begin(), logits.end(), 0.0f);
      if (pass.pos0 <= 6 && pass.pos0 + rows > 6) {
        logits[static_cast<size_t>((6 - pass.pos0) * vocab)] =
            std::numeric_limits<float>::quiet_NaN();
      }
      return {};
    }
    const KvCache* kv_cache() const override { return nullptr; }
    std::vector<KernelLaunches> launches() const override { return {}; }
    void read_weight(WeightMatrix, int64_t, int64_t, std::span<float>) const override {}
    std::string isa() const override { return ""; }
  } backend;
  backend.vocab = 10;
  const std::vector<int32_t> tokens(16, 1);
  Rows rows;
  const auto done =
      score_windows(backend, 10, tokens, *make_windows(16, {.context = 8}), -1, rows.keep());
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().exit_code, static_cast<int>(EngineExit::numeric));
  EXPECT_NE(done.error().message.find("predicts token 7 of the text"), std::string::npos)
      << done.error().message;
}

}  // namespace
}  // namespace greta::engine
