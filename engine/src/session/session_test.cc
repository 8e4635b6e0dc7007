#include "session/session.h"

#include <gtest/gtest.h>

#include <cmath>

#include "session/sampler.h"
#include "testing/session_bench.h"
#include "trace/tensor_stats.h"

namespace greta::engine {
namespace {

using nlohmann::json;
using testing::Bench;
using testing::some_tokens;

TEST(Session, TwoTokensAreAPrefillAndOneDecode) {
  Bench bench;
  std::vector<int32_t> seen;
  const auto result =
      bench.session->run({.id = "p", .prompt_tokens = some_tokens(7, 97), .max_tokens = 2},
                         [&](int32_t token, const std::string& piece) {
                           seen.push_back(token);
                           EXPECT_EQ(piece, "<" + std::to_string(token) + ">");
                         });
  ASSERT_TRUE(result) << result.error().str();
  EXPECT_EQ(result->tokens, seen);
  EXPECT_EQ(result->tokens.size(), 2u);
  EXPECT_EQ(result->decode_passes, 1);
  EXPECT_EQ(result->stop_reason, "max_tokens");

  ASSERT_EQ(bench.of("readout").size(), 2u);
  const json& prefill = bench.of("readout")[0];
  EXPECT_EQ(prefill["phase"], "prefill_last");
  EXPECT_EQ(prefill["request"], "p");
  EXPECT_EQ(prefill["tokens_total"], 7);
  EXPECT_EQ(prefill["pos_id"], 6);
  EXPECT_EQ(prefill["token_index"], 6);
  EXPECT_EQ(prefill["readout_buffer_kind"], "seq");
  EXPECT_EQ(prefill["readout_mismatch"], false);
  EXPECT_EQ(prefill["token_id"], some_tokens(7, 97).back());
  EXPECT_EQ(prefill["top1_id"], result->tokens[0]);
  EXPECT_EQ(prefill["vocab"], 97);
  const json& decode = bench.of("readout")[1];
  EXPECT_EQ(decode["phase"], "decode0");
  EXPECT_EQ(decode["step"], 1);
  EXPECT_EQ(decode["pos_id"], 7);
  EXPECT_EQ(decode["token_index"], 0);
  EXPECT_EQ(decode["token_id"], result->tokens[0]);
  EXPECT_EQ(decode["top1_id"], result->tokens[1]);
  EXPECT_EQ(decode["readout_buffer_kind"], "single_token");
  EXPECT_NE(decode["logits_hash"], prefill["logits_hash"]);

  ASSERT_EQ(bench.of("tokens").size(), 9u);
  EXPECT_EQ(bench.of("tokens")[6]["source"], "prompt");
  EXPECT_EQ(bench.of("tokens")[7]["source"], "generated");
  EXPECT_EQ(bench.of("tokens")[7]["token_id"], result->tokens[0]);
  EXPECT_EQ(bench.of("timing")[0]["load_s"], 0.5);
  EXPECT_EQ(bench.output.order.back(), "request_end");
  EXPECT_EQ(bench.of("request_end")[0]["generated_tokens"], 2);
  EXPECT_TRUE(bench.of("stage_trace").empty());
  EXPECT_TRUE(bench.of("attn_align").empty());
}

// The figures of the readout, computed again from the logits.
TEST(Session, ReadoutFiguresAreThoseOfTheLogits) {
  Bench bench;
  ASSERT_TRUE(bench.run(12, 1));
  const json record = bench.of("readout")[0];
  const auto logits =
      testing::by_prefill(*bench.backend, bench.model.config, some_tokens(12, 97), 1);
  double sum = 0, total = 0, entropy = 0;
  for (const float logit : logits) sum += logit, total += std::exp(static_cast<double>(logit));
  for (const float logit : logits) {
    const double p = std::exp(static_cast<double>(logit)) / total;
    entropy -= p * std::log(p);
  }
  auto sorted = logits;
  std::ranges::sort(sorted, std::greater());
  EXPECT_EQ(record["logits_hash"], hash_of(logits).hex());
  EXPECT_EQ(record["logits_max"], sorted[0]);
  EXPECT_EQ(record["logits_min"], sorted.back());
  EXPECT_EQ(record["top1_logit"], sorted[0]);
  EXPECT_EQ(record["top2_logit"], sorted[1]);
  EXPECT_NEAR(record["gap"], sorted[0] - sorted[1], 1e-6);
  EXPECT_NEAR(record["logits_mean"], sum / 97, 1e-9);
  EXPECT_NEAR(record["entropy"], entropy, 1e-9);
  EXPECT_EQ(record["nan"], 0);
}

TEST(Session, StopsAtTheEndTokenAndAtTheEndOfTheContext) {
  Bench bench;
  const auto free_run = bench.run(5, 6);
  ASSERT_TRUE(free_run);
  bench.tokenizer.end = free_run->tokens[2];
  size_t expected = 1;
  while (free_run->tokens[expected - 1] != bench.tokenizer.end) ++expected;
  const auto ended = bench.run(5, 6);
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->tokens.size(), expected);
  EXPECT_EQ(ended->stop_reason, "eos");
  EXPECT_EQ(ended->text.find("<" + std::to_string(bench.tokenizer.end) + ">"), std::string::npos);
  const auto past_end = bench.session->run(
      {.id = "r", .prompt_tokens = some_tokens(5, 97), .max_tokens = 6, .stop_at_eos = false});
  ASSERT_TRUE(past_end);
  EXPECT_EQ(past_end->tokens, free_run->tokens);

  bench.tokenizer.end = -1;
  // 40 positions hold a prompt of 38 and two decoded tokens; the third answer needs no slot.
  const auto full = bench.run(38, 10);
  ASSERT_TRUE(full) << full.error().str();
  EXPECT_EQ(full->stop_reason, "context_full");
  EXPECT_EQ(full->tokens.size(), 3u);
  const auto exact = bench.run(38, 3);
  ASSERT_TRUE(exact);
  EXPECT_EQ(exact->stop_reason, "max_tokens");
  const auto none = bench.run(40, 0);
  ASSERT_TRUE(none);
  EXPECT_TRUE(none->tokens.empty());
}

TEST(Session, RefusesRequestsThatCannotRun) {
  Bench bench;
  struct Case {
    std::vector<int32_t> tokens;
    int64_t max_tokens;
    EngineExit code;
    std::string message;
  };
  const Case cases[] = {
      {{}, 1, EngineExit::input, "the prompt has no token"},
      {some_tokens(41, 97), 1, EngineExit::input, "the prompt has 41 tokens, the context holds 40"},
      {{1, 97}, 1, EngineExit::input, "token 1 has id 97, outside the vocabulary (0 to 96)"},
      {{1}, -1, EngineExit::usage, "max_tokens is -1, below 0"}};
  for (const Case& c : cases) {
    const auto result =
        bench.session->run({.id = "r", .prompt_tokens = c.tokens, .max_tokens = c.max_tokens});
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().message, c.message);
    EXPECT_EQ(result.error().exit_code, static_cast<int>(c.code));
  }
  EXPECT_TRUE(bench.output.order.empty()) << "a refused request left records";
}

TEST(Session, RequestsDoNotInfluenceEachOther) {
  Bench bench;
  const auto first = bench.run(9, 4, "a");
  ASSERT_TRUE(bench.run(30, 4, "b"));
  const auto again = bench.run(9, 4, "c");
  ASSERT_TRUE(first && again);
  EXPECT_EQ(first->tokens, again->tokens);
  EXPECT_EQ(bench.of("readout")[0]["logits_hash"], bench.of("readout")[8]["logits_hash"]);
}

TEST(Session, AFullDiskIsAnErrorAndLeavesNoRequestEnd) {
  for (const int64_t room : {0, 1, 3, 12}) {
    Bench bench({"GRETA_TRACE_STAGE=1", "GRETA_TRACE_PREFILL_DECODE=1"});
    bench.output.fail_after = room;
    const auto result = bench.run(6, 3);
    ASSERT_FALSE(result) << room;
    EXPECT_EQ(result.error().message, "disk full");
    EXPECT_TRUE(bench.of("request_end").empty());
  }
}

TEST(Sampler, TakesTheLargestAndNeverNan) {
  EXPECT_EQ(greedy(std::vector<float>{1, NAN, 3, 3}).value(), 2);
  const auto none = greedy(std::vector<float>{NAN, NAN});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().exit_code, static_cast<int>(EngineExit::numeric));
}

std::vector<int> drawn(const Sampling& sampling, const std::vector<float>& logits, int draws) {
  Sampler sampler(sampling);
  std::vector<int> counts(logits.size());
  for (int i = 0; i < draws; ++i) ++counts[static_cast<size_t>(sampler.next(logits).value())];
  return counts;
}

TEST(Sampler, DrawsWithTheProbabilitiesOfTheSoftmax) {
  // Probabilities 1/2, 1/4, 1/8, 1/8 at temperature 1.
  const std::vector<float> logits = {std::log(2.0f), std::log(1.0f), std::log(0.5f),
                                     std::log(0.5f)};
  constexpr int kDraws = 40000;
  struct Case {
    Sampling sampling;
    std::vector<double> wanted;
  };
  const Case cases[] = {
      {{.temperature = 1, .seed = 1}, {0.5, 0.25, 0.125, 0.125}},
      {{.temperature = 0.5, .seed = 2}, {16 / 22.0, 4 / 22.0, 1 / 22.0, 1 / 22.0}},
      {{.temperature = 1, .top_k = 2, .seed = 3}, {2 / 3.0, 1 / 3.0, 0, 0}},
      {{.temperature = 1, .top_k = 3, .seed = 4}, {4 / 7.0, 2 / 7.0, 1 / 7.0, 0}},
      {{.temperature = 1, .top_p = 0.5, .seed = 5}, {1, 0, 0, 0}},
      {{.temperature = 1, .top_p = 0.6, .seed = 6}, {2 / 3.0, 1 / 3.0, 0, 0}},
      {{.temperature = 1, .top_k = 2, .top_p = 0.6, .seed = 7}, {1, 0, 0, 0}},
      {{}, {1, 0, 0, 0}},
  };
  for (const Case& c : cases) {
    const auto counts = drawn(c.sampling, logits, kDraws);
    for (size_t i = 0; i < counts.size(); ++i) {
      const double wanted = c.wanted[i] * kDraws;
      // Five standard deviations: one case in two million fails by chance, and the seeds are fixed.
      EXPECT_NEAR(counts[i], wanted, 5 * std::sqrt(wanted))
          << "seed " << c.sampling.seed << ", " << i;
    }
    EXPECT_EQ(counts, drawn(c.sampling, logits, kDraws)) << "the same seed gives other draws";
  }
}

TEST(Sampler, NanIsNeverDrawnAndInfinityAlways) {
  Sampler sampler({.temperature = 2, .seed = 1});
  for (int i = 0; i < 100; ++i) {
    EXPECT_NE(sampler.next(std::vector<float>{0, NAN, 0, -INFINITY}).value() % 2, 1);
    EXPECT_EQ(sampler.next(std::vector<float>{0, INFINITY, 0}).value(), 1);
  }
  EXPECT_FALSE(sampler.next(std::vector<float>{NAN, NAN}));
}

TEST(Sampler, SettingsThatMeanNothingAreRefused) {
  for (const Sampling& bad :
       {Sampling{.temperature = -1}, Sampling{.temperature = NAN},
        Sampling{.temperature = 1, .top_k = -1}, Sampling{.temperature = 1, .top_p = 0},
        Sampling{.temperature = 1, .top_p = 1.5}, Sampling{.top_k = 5}, Sampling{.top_p = 0.5},
        Sampling{.seed = 1}}) {
    EXPECT_FALSE(check(bad));
  }
  EXPECT_TRUE(check({}));
  EXPECT_TRUE(check({.temperature = 0.7, .top_k = 40, .top_p = 0.9, .seed = 3}));
}

TEST(TensorStats, CountsWhatIsNotANumber) {
  const TensorStats stats = stats_of(std::vector<float>{3, NAN, -1, INFINITY, 0, 2});
  EXPECT_EQ(stats.nan, 1);
  EXPECT_EQ(stats.inf, 1);
  EXPECT_EQ(stats.nonzero, 5);
  EXPECT_EQ(stats.min, -1);
  EXPECT_EQ(stats.max, 3);
  EXPECT_EQ(stats.mean, 1);
  EXPECT_EQ(stats.abs_sum, 6);
  EXPECT_DOUBLE_EQ(stats.rms, std::sqrt(14.0 / 4));
  EXPECT_DOUBLE_EQ(stats.std, std::sqrt(10.0 / 4));
  // The last element counts: a hash over a part would not see it.
  std::vector<float> values(1000, 1.0f);
  const auto before = hash_of(values);
  values.back() = 2.0f;
  EXPECT_NE(before, hash_of(values));
}

}  // namespace
}  // namespace greta::engine
