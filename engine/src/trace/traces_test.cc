// The traces as a session writes them: what the flags select, what stands in the records, and that
// looking changes nothing.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "contract/schema.h"
#include "testing/session_bench.h"
#include "trace/consistency.h"
#include "trace/equivalence.h"
#include "trace/landscape.h"

namespace greta::engine {
namespace {

using nlohmann::json;
using testing::Bench;
using testing::odd_config;
using testing::some_tokens;

// Keeps the logits of each pass as they are.
struct KeepLogits : Probe {
  std::vector<std::vector<float>>& kept;
  explicit KeepLogits(std::vector<std::vector<float>>& to) : kept(to) {}
  void tensor(const Pass&, Point point, int64_t, const float* data, int64_t rows,
              int64_t columns) override {
    if (point == Point::logits) kept.emplace_back(data, data + rows * columns);
  }
};

// Every boolean flag of a trace or check, on or off, with every position selected.
std::vector<std::string> every_trace(bool on) {
  std::vector<std::string> out;
  for (const FlagInfo& flag : flag_table()) {
    const std::string name(flag.name);
    if (name == "GRETA_ATTN_DECODE_MFMA_SHADOW") continue;  // a device's: device_faults_caught_test
    if (flag.type == FlagType::boolean) out.push_back(name + (on ? "=1" : "=0"));
    if (flag.type == FlagType::positions) out.push_back(name + "=all");
    if (name == "GRETA_TRACE_STAGE_HEADS") out.push_back(name + "=all");
  }
  return out;
}

// Traces look; the answer stays bit for bit what it was, in the prefill and 20 decode steps.
TEST(Traces, TracesChangeNoLogit) {
  for (const std::string arm : {"manual", "fused"}) {
    for (const KvType kv_type : {KvType::f32, KvType::bf16}) {
      std::vector<std::vector<float>> logits[2];
      for (const bool on : {false, true}) {
        auto environment = every_trace(on);
        environment.push_back("GRETA_FORCE_ATTN_DECODE_KERNEL=" + arm);
        std::vector<std::unique_ptr<Probe>> keep;
        keep.push_back(std::make_unique<KeepLogits>(logits[on ? 1 : 0]));
        Bench bench(environment, {.threads = 2, .kv_type = kv_type, .max_seq = 40}, "",
                    std::move(keep));
        const auto done = bench.run(11, 21);
        ASSERT_TRUE(done) << done.error().str();
        // All on is every kind of record; all off is none but the text and the time.
        EXPECT_EQ(bench.output.records.size(), on ? builtin_schema().kinds.size() - 2 : 3u);
      }
      ASSERT_EQ(logits[0].size(), 21u);
      ASSERT_EQ(logits[1].size(), 21u);
      for (size_t i = 0; i < 21; ++i) {
        ASSERT_EQ(std::memcmp(logits[0][i].data(), logits[1][i].data(),
                              logits[0][i].size() * sizeof(float)),
                  0)
            << arm << " pass " << i;
      }
    }
  }
}

// A flag that selects within a trace is read with the trace and only with it, so that one that did
// nothing is known as such; and no flag is in the table for nothing.
TEST(Traces, FlagsOfATraceAreReadWithItAndOnlyWithIt) {
  for (const bool on : {false, true}) {
    Bench bench(every_trace(on));
    ASSERT_TRUE(bench.flags.apply_output_names(bench.output));
    ASSERT_TRUE(bench.run(5, 2));
    for (const auto& flag : bench.flags.effective()) {
      if (!flag.name.starts_with("GRETA_TRACE_")) continue;
      const bool boolean = flag.value == "0" || flag.value == "1";
      if (!on && boolean) continue;
      EXPECT_EQ(flag.read, on) << flag.name << '=' << flag.value;
    }
  }
  Bench verify_alone(
      {"GRETA_TRACE_RMS_VERIFY=1", "GRETA_TRACE_ATTN_VACC=1", "GRETA_TRACE_ATTN_KEYS_WINDOW=3"});
  ASSERT_TRUE(verify_alone.run(5, 2));
  for (const auto& flag : verify_alone.flags.effective()) {
    if (flag.source != "env") continue;
    EXPECT_EQ(flag.read, flag.name == "GRETA_TRACE_ATTN_VACC") << flag.name;
  }
}

// Layers, heads, phases and positions of every trace that has them.
TEST(Traces, TracesWriteWhatIsSelected) {
  struct Case {
    const char* event;
    std::vector<std::string> environment;
    std::string places;  // layer/head/position of each record, in their order
  };
  const std::string phases = "prefill_last,decode1";
  const Case cases[] = {
      {"attn_softmax_trace",
       {"GRETA_TRACE_ATTN_SOFTMAX=1", "GRETA_TRACE_ATTN_LAYERS=0,last", "GRETA_TRACE_ATTN_HEAD=4-5",
        "GRETA_TRACE_ATTN_PHASES=" + phases, "GRETA_TRACE_ATTN_POSITIONS=2,last"},
       "0/4/2 0/4/4 0/5/2 0/5/4 2/4/2 2/4/4 2/5/2 2/5/4 0/4/6 0/5/6 2/4/6 2/5/6 "},
      {"attn_vacc_trace",
       {"GRETA_TRACE_ATTN_VACC=1", "GRETA_TRACE_ATTN_LAYERS=1", "GRETA_TRACE_ATTN_HEAD=last"},
       "1/5/4 1/5/5 1/5/6 "},
      {"attn_decode_verify",
       {"GRETA_TRACE_ATTN_DECODE_VERIFY=1", "GRETA_TRACE_ATTN_LAYERS=1",
        "GRETA_TRACE_ATTN_HEAD=0,3", "GRETA_TRACE_ATTN_PHASES=decode1"},
       "1/0/- 1/3/- "},
      {"attn_precision_ref",
       {"GRETA_TRACE_ATTN_REF=1", "GRETA_TRACE_ATTN_LAYERS=2", "GRETA_TRACE_ATTN_POSITIONS=0,5"},
       "2/-/0 2/-/5 "},
      {"v_addr_trace",
       {"GRETA_TRACE_V_ADDR=1", "GRETA_TRACE_ATTN_LAYERS=2", "GRETA_TRACE_ATTN_POSITIONS=3",
        "GRETA_TRACE_ATTN_HEAD=5"},
       "2/-/3 "},
      {"layer_delta",
       {"GRETA_TRACE_LAYER_DELTA=1", "GRETA_TRACE_LAYER_DELTA_LAYERS=1-2",
        "GRETA_TRACE_LAYER_DELTA_PHASES=decode"},
       "1/-/5 2/-/5 1/-/6 2/-/6 "},
      {"post_wo_trace",
       {"GRETA_TRACE_POST_WO=1", "GRETA_TRACE_POST_WO_LAYERS=0",
        "GRETA_TRACE_POST_WO_POSITIONS=1-2"},
       "0/-/1 0/-/2 "},
      {"rmsnorm_trace",
       {"GRETA_TRACE_RMSNORM=1", "GRETA_TRACE_RMSNORM_LAYERS=0",
        "GRETA_TRACE_RMSNORM_POINTS=ffn_norm,final_norm", "GRETA_TRACE_RMSNORM_PHASES=decode0"},
       "0/-/5 -1/-/5 "},
      {"wo_verify",
       {"GRETA_TRACE_WO_W_VERIFY=1", "GRETA_TRACE_W_LAYERS=1", "GRETA_TRACE_W_POSITIONS=0,4"},
       "1/-/0 1/-/4 "},
      {"embed_verify",
       {"GRETA_TRACE_EMBED_VERIFY=1", "GRETA_TRACE_W_POSITIONS=all", "GRETA_TRACE_W_PHASES=decode"},
       "-/-/5 -/-/6 "},
      {"lmhead_cpu_probe",
       {"GRETA_TRACE_LMHEAD_CPU_PROBE=1", "GRETA_TRACE_LMHEAD_PHASES=decode1"},
       "-/-/6 "},
      {"landscape", {"GRETA_TRACE_LANDSCAPE=1", "GRETA_TRACE_LANDSCAPE_PHASES=decode0"}, "-/-/5 "},
      {"readout", {"GRETA_TRACE_READOUT_PHASES=prefill_last"}, "-/-/4 "},
  };
  for (const Case& c : cases) {
    Bench bench(c.environment);
    const auto done = bench.run(5, 3);
    ASSERT_TRUE(done) << done.error().str();
    std::string places;
    for (const json& record : bench.of(c.event)) {
      const auto field = [&](const char* name) {
        return record.contains(name) ? std::to_string(record[name].get<int>()) : "-";
      };
      places += field("layer") + "/" + field("head") + "/" + field("pos_id") + " ";
      // attn_decode_verify has its position under GRETA's name.
      EXPECT_EQ(record.value("pos_id_used", 6), 6);
    }
    EXPECT_EQ(places, c.places) << c.event;
  }
}

// The same figures once more from the logits, and the smaller id first among equals.
TEST(Landscape, IsThatOfTheLogits) {
  Bench bench({"GRETA_TRACE_LANDSCAPE=1"});
  ASSERT_TRUE(bench.run(12, 1));
  const json record = bench.of("landscape")[0];
  const auto logits =
      testing::by_prefill(*bench.backend, bench.model.config, some_tokens(12, 97), 1);
  std::vector<std::pair<float, int>> sorted;
  for (size_t i = 0; i < logits.size(); ++i) sorted.emplace_back(-logits[i], static_cast<int>(i));
  std::ranges::sort(sorted);
  double top = 0, all = 0, entropy = 0;
  for (size_t i = 0; i < sorted.size(); ++i) {
    const double e = std::exp(static_cast<double>(sorted[0].first - sorted[i].first));
    all += e;
    if (i < 64) top += e;
  }
  for (size_t i = 0; i < 64; ++i) {
    const double p = std::exp(static_cast<double>(sorted[0].first - sorted[i].first)) / top;
    entropy -= p * std::log(p);
  }
  EXPECT_EQ(record["topk"], 64);
  EXPECT_NEAR(record["entropy_topk"], entropy, 1e-6);
  EXPECT_NEAR(record["topk_mass"], top / all, 1e-6);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(record["top5"][i], sorted[i].second);
    EXPECT_EQ(record["top5_logit"][i], -sorted[i].first);
  }
  EXPECT_EQ(record["logits_hash"], bench.of("readout")[0]["logits_hash"]);

  testing::MemoryOutput output;
  const auto probe = make_landscape_probe(odd_config(), bench.flags, output);
  const float few[] = {NAN, 3, 1, 3};
  probe->tensor({.rows = 1}, Point::logits, -1, few, 1, 4);
  ASSERT_TRUE(probe->end_pass({}));
  const json& of_few = output.records["landscape"].at(0);
  EXPECT_EQ(of_few["top5"], (json{1, 3, 2}));
  EXPECT_EQ(of_few["nan"], 1);
  EXPECT_EQ(of_few["topk"], 3);
  EXPECT_EQ(of_few["gap"], 0.0);
}

// Rows at other positions, or of other tokens, are never compared.
TEST(Equivalence, OnlyTheSamePositionAndTokenAreCompared) {
  const ModelConfig config = odd_config();
  const Selection everything(testing::flags_of({}), "", config);
  const float row[] = {1, 2, 3, 4};
  const auto shown = [&](int64_t pos0, std::vector<int32_t> tokens, int64_t rows) {
    RowCapture capture(config, everything, true, 1);
    const Pass pass{.pos0 = pos0, .rows = rows, .tokens = tokens};
    capture.tensor(pass, Point::logits, -1, row, rows, 2);
    return capture;
  };
  struct Case {
    RowCapture prefill, decode;
    std::string error;
  };
  const Case cases[] = {
      {shown(1, {7}, 1), shown(1, {7}, 1), ""},
      {shown(0, {6, 7}, 2), shown(1, {7}, 1), ""},  // position 0 comes before the first
      {shown(1, {7}, 1), shown(2, {7}, 1),
       "prefill against decode: decode showed no logits of layer -1 at position 1"},
      {shown(1, {7}, 1), shown(1, {8}, 1),
       "prefill against decode: logits of layer -1 at position 1 belongs to token 7 in the "
       "prefill, "
       "8 in decode"},
      {shown(1, {7, 8}, 2), shown(1, {7}, 1), "prefill against decode: 2 and 1 rows were shown"}};
  for (const Case& c : cases) {
    testing::MemoryOutput output;
    const auto done = write_equivalence(c.prefill, c.decode,
                                        {.config = config,
                                         .selection = everything,
                                         .hidden_equiv = true,
                                         .delta = true,
                                         .bound = 0,
                                         .request = "r"},
                                        output);
    EXPECT_EQ(done ? "" : done.error().message, c.error);
    EXPECT_EQ(output.records["prefill_decode_delta"].size(), c.error.empty() ? 1u : 0u);
  }
}

TEST(StageTrace, WritesWhatTheFlagsSelect) {
  Bench all({"GRETA_TRACE_STAGE=1"});
  ASSERT_TRUE(all.run(5, 3));
  EXPECT_EQ(all.of("stage_trace").size(), 3u * (14 * 3 + 3));

  Bench few({"GRETA_TRACE_STAGE=1", "GRETA_TRACE_STAGE_LAYERS=0,last",
             "GRETA_TRACE_STAGE_POINTS=q,x_out", "GRETA_TRACE_STAGE_PHASES=decode1",
             "GRETA_TRACE_STAGE_SAMPLE=3"});
  ASSERT_TRUE(few.run(5, 3));
  ASSERT_EQ(few.of("stage_trace").size(), 4u);
  const json& record = few.of("stage_trace")[0];
  EXPECT_EQ(record["phase"], "decode1");
  EXPECT_EQ(record["point"], "q");
  EXPECT_EQ(record["layer"], 0);
  EXPECT_EQ(record["pos_id"], 6);
  EXPECT_EQ(record["stride_elems"], 60);
  EXPECT_EQ(record["sample"].size(), 3u);
  EXPECT_EQ(few.of("stage_trace")[3]["layer"], 2);

  // Positions and heads: a whole row has head -1, and a layer that is not asked for no record.
  Bench heads({"GRETA_TRACE_STAGE=1", "GRETA_TRACE_STAGE_LAYERS=1", "GRETA_TRACE_STAGE_POINTS=q,k",
               "GRETA_TRACE_STAGE_POSITIONS=0-1,5", "GRETA_TRACE_STAGE_HEADS=1,last"});
  ASSERT_TRUE(heads.run(5, 3));
  std::map<std::string, std::string> seen;
  for (const json& r : heads.of("stage_trace")) {
    EXPECT_EQ(r["layer"], 1);
    seen[r["point"]] +=
        std::to_string(r["pos_id"].get<int>()) + "h" + std::to_string(r["head"].get<int>()) + " ";
  }
  EXPECT_EQ(seen["q"], "0h-1 0h1 0h5 1h-1 1h1 1h5 5h-1 5h1 5h5 ");
  EXPECT_EQ(seen["k"], "0h-1 0h1 1h-1 1h1 5h-1 5h1 ");  // two KV heads, the last one is 1

  // The hash is over every row: prefills that differ in an early token only.
  const auto hash_of_embedding = [](int32_t first) {
    Bench bench({"GRETA_TRACE_STAGE=1", "GRETA_TRACE_STAGE_POINTS=embed_out"});
    EXPECT_TRUE(bench.session->run({.id = "r", .prompt_tokens = {first, 2, 3}, .max_tokens = 1}));
    return std::pair(bench.of("stage_trace")[0]["hash"], bench.of("stage_trace")[0]["row_hash"]);
  };
  const auto one = hash_of_embedding(1), two = hash_of_embedding(2);
  EXPECT_NE(one.first, two.first);
  EXPECT_EQ(one.second, two.second);
}

TEST(AlignTrace, CountsEveryHeadOfEveryStep) {
  for (const std::string fault : {"", "misaligned_load:layer=1"}) {
    Bench bench({"GRETA_TRACE_ATTN_ALIGN=1"}, {.max_seq = 40}, fault);
    ASSERT_TRUE(bench.run(6, 4));  // 3 decode steps
    ASSERT_EQ(bench.of("attn_align").size(), 3u * 6);
    for (const json& record : bench.of("attn_align")) {
      const bool query = record["tensor"] == "q" || record["tensor"] == "o";
      EXPECT_EQ(record["checks"], 3 * (query ? 6 : 2)) << record;
      EXPECT_EQ(record["required_bytes"], 8);  // heads of 10 floats
      const bool bad = !fault.empty() && record["layer"] == 1 && record["tensor"] == "q";
      EXPECT_EQ(record["violations"], bad ? 18 : 0) << record;
      EXPECT_EQ(record["min_alignment"], bad ? 4 : 8) << record;
      EXPECT_LE(record["misaligned_16"], record["misaligned_32"]);
    }
  }
}

TEST(Consistency, IsZeroWhereTheOrderIsFixed) {
  for (const KvType kv_type : {KvType::f32, KvType::f16, KvType::bf16}) {
    Bench bench({"GRETA_TRACE_PREFILL_DECODE=1", "GRETA_PREFILL_DECODE_SPAN=6"},
                {.threads = 2, .kv_type = kv_type, .max_seq = 40});
    ASSERT_TRUE(bench.run(20, 3));
    ASSERT_EQ(bench.of("prefill_decode_consistency").size(), 6u);
    int64_t position = 17;
    for (const json& record : bench.of("prefill_decode_consistency")) {
      EXPECT_EQ(record["position"], position++);
      EXPECT_EQ(record["rel_l2"], 0.0);
      EXPECT_EQ(record["bound"], 0.0);
      EXPECT_EQ(record["top1_equal"], true);
      EXPECT_EQ(record["prefill_hash"], record["decode_hash"]);
    }
    // The token chosen at a position is what the run chose there.
    const json& last_prompt = bench.of("prefill_decode_consistency")[2];
    EXPECT_EQ(last_prompt["top1_decode"], bench.of("tokens")[20]["token_id"]);
  }
}

TEST(Consistency, SeesADecodeThatDiffers) {
  Bench bench({"GRETA_TRACE_PREFILL_DECODE=1"}, {.max_seq = 40}, "seq_len_off_by_one:layer=2");
  ASSERT_TRUE(bench.run(10, 2));
  ASSERT_EQ(bench.of("prefill_decode_consistency").size(), 11u);  // N − 1 < 16
  for (const json& record : bench.of("prefill_decode_consistency")) {
    EXPECT_GT(record["rel_l2"].get<double>(), record["bound"].get<double>());
    EXPECT_NE(record["prefill_hash"], record["decode_hash"]);
  }
}

TEST(Consistency, FitsAFullContextAndASingleToken) {
  Bench bench({"GRETA_TRACE_PREFILL_DECODE=1"});
  ASSERT_TRUE(bench.run(40, 1));  // 41 tokens, 40 of them fit
  EXPECT_EQ(bench.of("prefill_decode_consistency").size(), 16u);
  ASSERT_TRUE(bench.run(1, 0, "single"));
  EXPECT_EQ(bench.of("prefill_decode_consistency").size(), 16u);
  EXPECT_EQ(bench.of("request_end").size(), 2u);
}

TEST(Consistency, BoundsFollowTheElementType) {
  EXPECT_EQ(consistency_bound(true, KvType::bf16), 0);
  EXPECT_EQ(consistency_bound(false, KvType::f32), 1e-5);
  EXPECT_EQ(consistency_bound(false, KvType::f16), 0x1p-9);
  EXPECT_EQ(consistency_bound(false, KvType::bf16), 0x1p-7);
}

}  // namespace
}  // namespace greta::engine
