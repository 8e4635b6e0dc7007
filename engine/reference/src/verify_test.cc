#include "trace/verify.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace greta::engine {
namespace {

using json = nlohmann::json;

constexpr ModelConfig kConfig{.layers = 3,
                              .dim = 8,
                              .heads = 4,
                              .kv_heads = 2,
                              .head_dim = 4,
                              .ffn = 8,
                              .vocab = 8,
                              .context = 32,
                              .rms_eps = 1e-5f,
                              .rope_base = 10000.0f,
                              .tied_embeddings = true};

struct Lines : Output {
  std::vector<json> records;
  bool wanted() const override { return true; }
  Result<> write(std::string_view event, const std::string& line) override {
    EXPECT_EQ(event, "attn_decode_verify");
    records.push_back(json::parse(line));
    return {};
  }
  Result<> rename(std::string_view, const std::string&) override { return {}; }
  Result<> write_file(const std::string&, const std::string&) override { return {}; }
};

std::unique_ptr<Probe> probe_for(std::vector<std::string> environment, Output& output) {
  const auto flags = Flags::parse(environment);
  EXPECT_TRUE(flags) << flags.error().str();
  auto probe = make_verify_probe(kConfig, *flags, {}, output);
  EXPECT_TRUE(probe);
  return std::move(*probe);
}

// One decode step at position 0, where attention is v itself: attn_out is known without computing.
struct Step {
  std::vector<float> q = std::vector<float>(16, 1.0f), k = std::vector<float>(8, 0.5f),
                     v = {1, 2, 3, 4, 5, 6, 7, 8};
  std::vector<float> attn_out = {1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8, 5, 6, 7, 8};
  Pass pass{.decode = true, .step = 1, .pos0 = 0, .rows = 1};

  Result<> run(Probe& probe) const {
    probe.begin_request("r1");
    probe.begin_pass(pass);
    for (int64_t layer = 0; layer < kConfig.layers; ++layer) {
      probe.tensor(pass, Point::q_pre, layer, q.data(), 1, 16);
      probe.tensor(pass, Point::k_pre, layer, k.data(), 1, 8);
      probe.tensor(pass, Point::v_pre, layer, v.data(), 1, 8);
      probe.tensor(pass, Point::q, layer, q.data(), 1, 16);
      probe.tensor(pass, Point::k, layer, k.data(), 1, 8);
      probe.tensor(pass, Point::v, layer, v.data(), 1, 8);
      probe.decode_attention(pass, layer,
                             {.kernel_path = "manual",
                              .matmul_route = "valu",
                              .kernel_ids = "a+b",
                              .kernel_hash = 255,
                              .seq_len_used = 1,
                              .pos_id_used = 0});
      probe.tensor(pass, Point::attn_out, layer, attn_out.data(), 1, 16);
      probe.tensor(pass, Point::x_out, layer, v.data(), 1, 8);
    }
    return probe.end_pass(pass);
  }
};

TEST(Verify, IsAbsentUnlessAskedFor) {
  Lines lines;
  EXPECT_EQ(probe_for({}, lines), nullptr);
  EXPECT_EQ(probe_for({"GRETA_ATTN_DECODE_REF=1", "GRETA_TRACE_KV_INVARIANTS=1"}, lines), nullptr);
  EXPECT_NE(probe_for({"GRETA_TRACE_ATTN_DECODE_VERIFY=1"}, lines), nullptr);
}

TEST(Verify, OneRecordALayerAndHead) {
  Lines lines;
  const auto probe =
      probe_for({"GRETA_TRACE_ATTN_DECODE_VERIFY=1", "GRETA_ATTN_DECODE_REF=1"}, lines);
  ASSERT_TRUE(Step().run(*probe));
  ASSERT_EQ(lines.records.size(), 12u);
  const json& record = lines.records[4 * 2 + 3];  // layer 2, head 3
  EXPECT_EQ(record["request"], "r1");
  EXPECT_EQ(record["phase"], "decode0");
  EXPECT_EQ(record["step"], 1);
  EXPECT_EQ(record["layer"], 2);
  EXPECT_EQ(record["head"], 3);
  EXPECT_EQ(record["kv_head"], 1);
  EXPECT_EQ(record["kernel_hash"], "00000000000000ff");
  EXPECT_EQ(record["rel_l2"], 0.0);
  EXPECT_GT(record["bound"], 0.0);
  EXPECT_LT(record["bound"], 1e-5);
  EXPECT_EQ(record["attn_out_mae"], 0.0);
  EXPECT_EQ(record["attn_out_ref_hash"], record["attn_out_hash"]);
  EXPECT_NEAR(record["ref_rms"].get<double>(), std::sqrt((25.0 + 36 + 49 + 64) / 4), 1e-12);
  EXPECT_EQ(record["v_min"], 1.0);
  EXPECT_EQ(record["v_max"], 8.0);
  EXPECT_EQ(record["v_mean"], 4.5);
  EXPECT_EQ(record["x_out_hash"], record["v_hash"]);
  EXPECT_FALSE(record.contains("kv_invariant_ok"));  // nobody looked
}

TEST(Verify, AWrongHeadIsThatHeadsRecordAndTheLayersFigure) {
  Lines lines;
  const auto probe =
      probe_for({"GRETA_TRACE_ATTN_DECODE_VERIFY=1", "GRETA_ATTN_DECODE_REF=1"}, lines);
  Step step;
  step.attn_out[2 * 4 + 1] = 6.5f;  // head 2, element 1, should be 6
  ASSERT_TRUE(step.run(*probe));
  for (const json& record : lines.records) {
    const bool wrong = record["head"] == 2;
    EXPECT_EQ(record["rel_l2"] > record["bound"], wrong) << record;
    EXPECT_EQ(record["head_max_diff"], wrong ? 0.5 : 0.0);
    EXPECT_EQ(record["attn_out_max_diff"], 0.5);
    EXPECT_EQ(record["attn_out_mae"], 0.5 / 16);
    EXPECT_NE(record["attn_out_ref_hash"], record["attn_out_hash"]);
    if (!wrong) continue;
    EXPECT_EQ(record["worst_dim"], 1);
    EXPECT_EQ(record["worst_got"], 6.5);
    EXPECT_EQ(record["worst_ref"], 6.0);
    EXPECT_EQ(record["head_mae"], 0.125);
  }
}

TEST(Verify, NanIsWrittenAsNan) {
  Lines lines;
  const auto probe =
      probe_for({"GRETA_TRACE_ATTN_DECODE_VERIFY=1", "GRETA_ATTN_DECODE_REF=1"}, lines);
  Step step;
  step.attn_out[5] = std::numeric_limits<float>::quiet_NaN();
  ASSERT_TRUE(step.run(*probe));
  EXPECT_EQ(lines.records[0]["rel_l2"], 0.0);
  EXPECT_EQ(lines.records[1]["rel_l2"], "NaN");
  EXPECT_EQ(lines.records[1]["worst_dim"], 1);
  EXPECT_EQ(lines.records[0]["attn_out_mae"], "NaN");
  EXPECT_EQ(lines.records[0]["attn_out_max_diff"], "NaN");
  EXPECT_EQ(lines.records[0]["attn_out_max"], "NaN");
}

TEST(Verify, LayersPointsAndTheReferenceAreSelected) {
  Lines lines;
  const auto probe =
      probe_for({"GRETA_TRACE_ATTN_DECODE_VERIFY=1", "GRETA_TRACE_ATTN_LAYERS=0,last",
                 "GRETA_TRACE_ATTN_POINTS=q,attn_out"},
                lines);
  ASSERT_TRUE(Step().run(*probe));
  ASSERT_EQ(lines.records.size(), 8u);
  EXPECT_EQ(lines.records[0]["layer"], 0);
  EXPECT_EQ(lines.records[4]["layer"], 2);
  for (const char* present : {"q_hash", "q_mean", "attn_out_hash", "kernel_ids"}) {
    EXPECT_TRUE(lines.records[0].contains(present)) << present;
  }
  for (const char* absent : {"k_hash", "v_min", "x_out_mean", "rel_l2", "bound", "worst_dim",
                             "attn_out_ref_hash", "attn_out_mae", "kv_error", "kv_pos"}) {
    EXPECT_FALSE(lines.records[0].contains(absent)) << absent;
  }
}

TEST(Verify, PassesThatAreNotTracedAreInvisible) {
  Lines lines;
  const auto probe =
      probe_for({"GRETA_TRACE_ATTN_DECODE_VERIFY=1", "GRETA_ATTN_DECODE_REF=1"}, lines);
  Step hidden;
  hidden.pass.traced = false;
  ASSERT_TRUE(hidden.run(*probe));
  EXPECT_TRUE(lines.records.empty());
  ASSERT_TRUE(Step().run(*probe));
  EXPECT_EQ(lines.records.size(), 12u);
}

TEST(Verify, AnAttentionThatWasNotShownIsAnError) {
  Lines lines;
  const auto probe =
      probe_for({"GRETA_TRACE_ATTN_DECODE_VERIFY=1", "GRETA_ATTN_DECODE_REF=1"}, lines);
  const Pass pass{.decode = true, .step = 1, .pos0 = 0, .rows = 1};
  probe->begin_request("r");
  probe->begin_pass(pass);
  const auto silent = probe->end_pass(pass);
  ASSERT_FALSE(silent);
  EXPECT_EQ(silent.error().message, "verify: layer 0 of decode0 launched no attention");

  Step gap;
  gap.pass.pos0 = 4;
  const auto missing = gap.run(*probe);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message, "attention oracle: layer 0 saw no k for positions 0 to 3");
  EXPECT_TRUE(lines.records.empty());
}

}  // namespace
}  // namespace greta::engine
