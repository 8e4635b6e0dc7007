// The traces of the attention's steps on tensors that are known without computing: one layer, one
// head of two elements, three keys.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "trace/verify.h"

namespace greta::engine {
namespace {

using json = nlohmann::json;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr ModelConfig kConfig{.layers = 1,
                              .dim = 2,
                              .heads = 1,
                              .kv_heads = 1,
                              .head_dim = 2,
                              .ffn = 2,
                              .vocab = 4,
                              .context = 8,
                              .tied_embeddings = true};

struct Lines : Output {
  std::map<std::string, std::vector<json>> by_event;
  bool wanted() const override { return true; }
  Result<> write(std::string_view event, const std::string& line) override {
    by_event[std::string(event)].push_back(json::parse(line));
    return {};
  }
  Result<> rename(std::string_view, const std::string&) override { return {}; }
  Result<> write_file(const std::string&, const std::string&) override { return {}; }
};

// A prefill of three rows whose last one is traced. k = 0: every weight is 1/3.
struct Shown {
  std::vector<float> q = {0, 0, 0, 0, 1, 0}, k = std::vector<float>(6), v = {1, 2, 3, 4, 8, 6};
  std::vector<float> scores = {0, 0, 0};
  std::vector<float> weights = {1.0f / 3, 1.0f / 3, 1.0f / 3};
  std::vector<float> attn_out = {0, 0, 0, 0, 4, 4};  // (1 + 3 + 8) / 3, (2 + 4 + 6) / 3

  Result<> run(Lines& lines) const {
    const auto flags = Flags::parse(std::vector<std::string>{
        "GRETA_TRACE_ATTN_SOFTMAX=1", "GRETA_TRACE_ATTN_VACC=1", "GRETA_TRACE_ATTN_KEYS_WINDOW=2",
        "GRETA_TRACE_ATTN_DIMS_SAMPLE=1"});
    const auto probe = make_attention_trace_probe(kConfig, *flags, {}, lines);
    const Pass pass{.rows = 3};
    const int64_t rows[] = {2};
    probe->begin_request("r");
    probe->begin_pass(pass);
    EXPECT_EQ(probe->attention_rows(pass, 0), std::vector<int64_t>{2});
    probe->tensor(pass, Point::q_pre, 0, q.data(), 3, 2);
    probe->tensor(pass, Point::k_pre, 0, k.data(), 3, 2);
    probe->tensor(pass, Point::v_pre, 0, v.data(), 3, 2);
    probe->tensor(pass, Point::attn_out, 0, attn_out.data(), 3, 2);
    if (!scores.empty()) {
      probe->attention_weights(pass, 0,
                               {.rows = rows,
                                .heads = 1,
                                .keys = 3,
                                .scores = scores.data(),
                                .weights = weights.data()});
    }
    return probe->end_pass(pass);
  }
};

TEST(AttentionTrace, SaysWhatWasShownAndWhatItShouldBe) {
  Lines lines;
  ASSERT_TRUE(Shown().run(lines));
  ASSERT_EQ(lines.by_event["attn_softmax_trace"].size(), 1u);
  const json& softmax = lines.by_event["attn_softmax_trace"][0];
  EXPECT_EQ(softmax["phase"], "prefill_last");
  EXPECT_EQ(softmax["pos_id"], 2);
  EXPECT_EQ(softmax["keys"], 3);
  EXPECT_EQ(softmax["keys_unseen"], 0);
  EXPECT_EQ(softmax["qk_over_bound"], 0);
  EXPECT_EQ(softmax["over_bound"], 0);
  EXPECT_LE(softmax["rel_l2"], softmax["bound"]);
  EXPECT_LT(softmax["bound"], 1e-5);
  EXPECT_NEAR(softmax["entropy"], std::log(3.0), 1e-6);
  EXPECT_NEAR(softmax["ref_entropy"], std::log(3.0), 1e-12);
  EXPECT_EQ(softmax["window_first"], 1);
  EXPECT_EQ(softmax["window"].size(), 2u);
  const json& vacc = lines.by_event["attn_vacc_trace"][0];
  EXPECT_EQ(vacc["over_bound"], 0);
  EXPECT_EQ(vacc["v_layout_best"], "row");
  EXPECT_EQ(vacc["sample"], json{4.0});
  EXPECT_NEAR(vacc["sample_ref"][0], 4.0, 1e-6);
}

TEST(AttentionTrace, ChargesTheStepThatIsWrong) {
  struct Case {
    const char* name;
    Shown shown;
    int64_t scores, weights, vacc, unseen;
    const char* layout;
  };
  Case cases[] = {
      {"a score", {}, 1, 0, 0, 0, "row"},
      {"the weights", {}, 0, 3, 0, 0, "row"},
      {"the sum", {}, 0, 0, 1, 0, "row"},
      // (1 + 2 + 3) / 3, (4 + 8 + 6) / 3: V read as two rows of three.
      {"V by columns", {}, 0, 0, 2, 0, "col"},
      {"a key not read", {}, 1, 1, 0, 1, "row"},
      {"NaN", {}, 0, 0, 1, 0, "row"},
  };
  cases[0].shown.scores[1] = 1e-3f;
  cases[1].shown.weights = {0.5f, 0.25f, 0.25f};
  cases[1].shown.attn_out = {0, 0, 0, 0, 0.5f + 0.75f + 2, 1 + 1 + 1.5f};
  cases[2].shown.attn_out[5] = 4.001f;
  cases[3].shown.attn_out = {0, 0, 0, 0, 2, 6};
  cases[4].shown.scores[2] = cases[4].shown.weights[2] = kNan;
  cases[4].shown.attn_out = {0, 0, 0, 0, 4.0f / 3, 2};
  cases[5].shown.attn_out[4] = kNan;
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    Lines lines;
    ASSERT_TRUE(c.shown.run(lines));
    const json& softmax = lines.by_event["attn_softmax_trace"].at(0);
    const json& vacc = lines.by_event["attn_vacc_trace"].at(0);
    EXPECT_EQ(softmax["qk_over_bound"], c.scores);
    EXPECT_EQ(softmax["over_bound"], c.weights);
    EXPECT_EQ(softmax["keys_unseen"], c.unseen);
    EXPECT_EQ(vacc["over_bound"], c.vacc);
    EXPECT_EQ(vacc["v_layout_best"], c.layout);
  }
}

TEST(AttentionTrace, ABackendThatShowsNothingIsAnError) {
  Lines lines;
  Shown silent;
  silent.scores.clear();
  const auto done = silent.run(lines);
  ASSERT_FALSE(done);
  EXPECT_EQ(
      done.error().message,
      "GRETA_TRACE_ATTN_SOFTMAX=1: this backend showed no scores and weights of its attention in "
      "prefill_last");
}

}  // namespace
}  // namespace greta::engine
