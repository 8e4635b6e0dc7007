// Every trace that judges, and what it must and must not complain of: injected faults in a whole
// run, and single numbers changed on their way to a trace.
//
// A complaint is `name@layer` (no layer: outside of them). What must hold of a record:
//   scores, weights   attn_softmax_trace.qk_over_bound, .over_bound = 0
//   vacc              attn_vacc_trace.over_bound = 0
//   precision         attn_precision_ref.over_bound = 0
//   v_addr            v_addr_trace.v_ok
//   w_q w_k w_v w_o   qkv_w_verify, wo_verify: .w_mismatches = 0
//   q k v wo          the same: .over_bound = 0
//   w_head, head      lmhead_w_verify.w_mismatches, lmhead_cpu_probe.over_bound = 0
//   embed             embed_verify.over_bound = 0
//   norm              rmsnorm_trace.over_bound = 0
//   residual, post_wo layer_delta, post_wo_trace: .residual_over_bound = 0
//   first:POINT       prefill_decode_delta.first_point is empty; else it starts there

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "forward/backend.h"
#include "random_model.h"
#include "session/session.h"
#include "test_session.h"
#include "trace/probes.h"

namespace greta::engine {
namespace {

using json = nlohmann::json;
using testing::Letters;
using testing::Records;
constexpr const ModelConfig& kConfig = testing::kSmallModel;

using Complaints = std::set<std::string>;

Complaints complaints(const Records& records) {
  Complaints out;
  const auto where = [](const json& record) {
    return record.contains("layer") && record["layer"] >= 0
               ? "@" + std::to_string(record["layer"].get<int>())
               : std::string();
  };
  const auto none = [&](const char* event, const char* field, const std::string& name) {
    EXPECT_TRUE(records.by_event.contains(event)) << event << " wrote nothing";
    if (!records.by_event.contains(event)) return;
    for (const json& record : records.by_event.at(event)) {
      std::string who = name;
      if (record.contains("weight")) who += record["weight"].get<std::string>();
      if (record.at(field) != 0) out.insert(who + where(record));
    }
  };
  none("attn_softmax_trace", "qk_over_bound", "scores");
  none("attn_softmax_trace", "over_bound", "weights");
  none("attn_vacc_trace", "over_bound", "vacc");
  none("attn_precision_ref", "over_bound", "precision");
  none("qkv_w_verify", "w_mismatches", "w_");
  none("qkv_w_verify", "over_bound", "");
  none("wo_verify", "w_mismatches", "w_o");
  none("wo_verify", "over_bound", "wo");
  none("lmhead_w_verify", "w_mismatches", "w_head");
  none("lmhead_cpu_probe", "over_bound", "head");
  none("embed_verify", "over_bound", "embed");
  none("rmsnorm_trace", "over_bound", "norm");
  none("layer_delta", "residual_over_bound", "residual");
  none("post_wo_trace", "residual_over_bound", "post_wo");
  const auto v_addr = records.by_event.find("v_addr_trace");
  for (size_t i = 0; v_addr != records.by_event.end() && i < v_addr->second.size(); ++i) {
    const json& record = v_addr->second[i];
    if (!record["v_ok"].get<bool>()) out.insert("v_addr" + where(record));
  }
  const auto delta = records.by_event.find("prefill_decode_delta");
  if (delta == records.by_event.end()) return out;
  for (const json& record : delta->second) {
    const std::string point = record["first_point"];
    if (point.empty()) continue;
    const int layer = record["first_layer"];
    out.insert("first:" + point + (layer < 0 ? "" : "@" + std::to_string(layer)));
  }
  return out;
}

std::string text(const Complaints& some) {
  std::string out;
  for (const std::string& each : some) out += each + " ";
  return out;
}

std::vector<std::string> judging_flags() {
  return {"GRETA_TRACE_ATTN_SOFTMAX=1",  "GRETA_TRACE_ATTN_VACC=1",
          "GRETA_TRACE_ATTN_REF=1",      "GRETA_TRACE_ATTN_REF_ACCUM=bf16",
          "GRETA_TRACE_V_ADDR=1",        "GRETA_TRACE_ATTN_POSITIONS=all",
          "GRETA_TRACE_QKV_W_VERIFY=1",  "GRETA_TRACE_WO_W_VERIFY=1",
          "GRETA_TRACE_EMBED_VERIFY=1",  "GRETA_TRACE_LMHEAD_W_VERIFY=1",
          "GRETA_TRACE_W_POSITIONS=all", "GRETA_TRACE_LMHEAD_CPU_PROBE=1",
          "GRETA_TRACE_RMSNORM=1",       "GRETA_TRACE_RMS_VERIFY=1",
          "GRETA_TRACE_LAYER_DELTA=1",   "GRETA_TRACE_POST_WO=1",
          "GRETA_TRACE_HIDDEN_EQUIV=1",  "GRETA_TRACE_HIDDEN_EQUIV_POINTS=all",
          "GRETA_TRACE_LANDSCAPE=1",     "GRETA_TRACE_PREFILL_DECODE_DELTA=1"};
}

const std::vector<int32_t> kPrompt = {7, 3, 44, 21, 9, 30, 3, 12, 48, 1};

// A model of this type, and a backend with this fault.
struct Prepared {
  std::vector<std::byte> bytes;
  GgufFile file;
  Flags flags;
  BackendOptions options;
  std::unique_ptr<Backend> backend;
  Letters letters;
  Records records;

  Prepared(TensorType type, KvType kv_type, const std::string& fault)
      : bytes(reference::random_model(kConfig, 31).file(type)),
        file(GgufFile::parse(bytes, "test").value()),
        flags(Flags::parse(judging_flags()).value()),
        options({.threads = 2, .kv_type = kv_type, .max_seq = 32}),
        backend(
            make_cpu_backend(file, kConfig, options, flags, Faults::parse(fault).value()).value()) {
  }
};

Complaints run(const std::string& fault, KvType kv_type = KvType::f32,
               TensorType type = TensorType::f16, Records* kept = nullptr) {
  Prepared setup(type, kv_type, fault);
  auto session = Session::create({.backend = *setup.backend,
                                  .file = setup.file,
                                  .tokenizer = setup.letters,
                                  .config = kConfig,
                                  .options = setup.options,
                                  .flags = setup.flags,
                                  .output = setup.records});
  EXPECT_TRUE(session) << session.error().str();
  const auto result = (*session)->run({.id = "r", .prompt_tokens = kPrompt, .max_tokens = 4});
  EXPECT_TRUE(result) << result.error().str();
  if (kept != nullptr) kept->by_event = setup.records.by_event;
  return complaints(setup.records);
}

TEST(TracesCatch, NothingInACleanRun) {
  for (const TensorType type :
       {TensorType::f32, TensorType::f16, TensorType::bf16, TensorType::q8_0}) {
    for (const KvType kv_type : {KvType::f32, KvType::f16, KvType::bf16}) {
      EXPECT_EQ(text(run("", kv_type, type)), "") << to_string(type);
    }
  }
}

// The fp64 backend shows the weights of its attention as well; a cache it does not have.
TEST(TracesCatch, NothingInTheReferenceBackendExceptThatItHasNoCache) {
  for (const bool v_addr : {false, true}) {
    Prepared setup(TensorType::q8_0, KvType::f32, "");
    auto flags = judging_flags();
    if (!v_addr) std::erase(flags, "GRETA_TRACE_V_ADDR=1");
    setup.flags = Flags::parse(flags).value();
    setup.backend = make_ref_backend(setup.file, kConfig, setup.options).value();
    auto session = Session::create({.backend = *setup.backend,
                                    .file = setup.file,
                                    .tokenizer = setup.letters,
                                    .config = kConfig,
                                    .options = setup.options,
                                    .flags = setup.flags,
                                    .output = setup.records});
    if (v_addr) {
      ASSERT_FALSE(session);
      EXPECT_EQ(
          session.error().message,
          "GRETA_TRACE_V_ADDR=1: this backend has no KV cache to look into; --backend cpu has");
      continue;
    }
    ASSERT_TRUE(session) << session.error().str();
    const auto result = (*session)->run({.id = "r", .prompt_tokens = kPrompt, .max_tokens = 3});
    ASSERT_TRUE(result) << result.error().str();
    EXPECT_EQ(text(complaints(setup.records)), "");
    EXPECT_EQ(setup.records.by_event["attn_softmax_trace"].size(), 3u * 4 * (10 + 2));
  }
}

struct Case {
  const char* fault;
  const char* complaints;
};

TEST(TracesCatch, EveryFaultAtItsStage) {
  const Case cases[] = {
      {"kv_layer_base:layer=1", "first:attn_out@1 precision@1 scores@1 vacc@1 weights@1 "},
      {"gqa_map:layer=1", "first:attn_out@1 precision@1 scores@1 vacc@1 weights@1 "},
      // The key that was missed has no weight: the sum over the others is right.
      {"seq_len_off_by_one:layer=2", "first:attn_out@2 precision@2 scores@2 weights@2 "},
      {"rope_k_off_by_one:layer=1", "first:k@1 precision@1 scores@1 weights@1 "},
      // The same in prefill and decode, which therefore agree.
      {"rope_half_split:layer=1", "precision@1 scores@1 weights@1 "},
      {"softmax_scale:layer=0", "first:attn_out@0 precision@0 scores@0 weights@0 "},
      {"v_not_written:layer=1", "first:attn_out@1 precision@1 v_addr@1 vacc@1 "},
      {"stale_slot:layer=1", "first:attn_out@1 precision@1 scores@1 v_addr@1 vacc@1 weights@1 "},
      {"kv_write_hq_stride:layer=0",
       "first:attn_out@0 precision@0 scores@0 v_addr@0 vacc@0 weights@0 "},
      {"kv_ignored:layer=2", "first:attn_out@2 precision@2 scores@2 vacc@2 weights@2 "},
      {"bf16_accumulate:layer=1", "first:attn_out@1 precision@1 scores@1 vacc@1 weights@1 "},
      {"readout_wrong_row", "first:logits head "},
      // Everything after a wrong matrix is right for what it was given.
      {"wq_column_major:layer=1", "q@1 w_q@1 "},
      {"wk_column_major:layer=1", "k@1 w_k@1 "},
      {"wv_column_major:layer=1", "v@1 w_v@1 "},
      {"wo_column_major:layer=1", "w_o@1 wo@1 "},
      {"embedding_column_major", "embed "},
      {"lm_head_tile_transposed", "head w_head "},
  };
  for (const Case& c : cases) {
    for (const KvType kv_type : {KvType::f32, KvType::bf16}) {
      EXPECT_EQ(text(run(c.fault, kv_type)), c.complaints)
          << c.fault << " kv_type " << static_cast<int>(kv_type);
    }
  }
}

// Hands on what it is shown, one number of one tensor changed.
class Perturbed final : public Probe {
 public:
  Perturbed(Probe& inner, Point point, int64_t layer, float factor)
      : inner_(inner), point_(point), layer_(layer), factor_(factor) {}
  void begin_request(std::string_view id) override { inner_.begin_request(id); }
  Result<> end_request() override { return inner_.end_request(); }
  void begin_pass(const Pass& pass) override { inner_.begin_pass(pass); }
  void tensor(const Pass& pass, Point point, int64_t layer, const float* data, int64_t rows,
              int64_t columns) override {
    if (point != point_ || layer != layer_) {
      return inner_.tensor(pass, point, layer, data, rows, columns);
    }
    std::vector<float> changed(data, data + rows * columns);
    changed[static_cast<size_t>((rows - 1) * columns + 5)] *= factor_;
    inner_.tensor(pass, point, layer, changed.data(), rows, columns);
  }
  void before_kv_update(const Pass& pass, int64_t layer, const KvCache& cache) override {
    inner_.before_kv_update(pass, layer, cache);
  }
  void after_kv_update(const Pass& pass, int64_t layer, const KvCache& cache) override {
    inner_.after_kv_update(pass, layer, cache);
  }
  void readout_row(const Pass& pass, int64_t row) override { inner_.readout_row(pass, row); }
  void decode_attention(const Pass& pass, int64_t layer, const DecodeLaunch& launch) override {
    inner_.decode_attention(pass, layer, launch);
  }
  std::vector<int64_t> attention_rows(const Pass& pass, int64_t layer) const override {
    return inner_.attention_rows(pass, layer);
  }
  void attention_weights(const Pass& pass, int64_t layer, const AttentionWeights& shown) override {
    inner_.attention_weights(pass, layer, shown);
  }
  Result<> end_pass(const Pass& pass) override { return inner_.end_pass(pass); }

 private:
  Probe& inner_;
  const Point point_;
  const int64_t layer_;
  const float factor_;
};

Complaints run_perturbed(Point point, int64_t layer, float factor) {
  Prepared setup(TensorType::f16, KvType::f32, "");
  auto probes = make_probes({.backend = *setup.backend,
                             .file = setup.file,
                             .tokenizer = setup.letters,
                             .config = kConfig,
                             .options = setup.options,
                             .flags = setup.flags,
                             .output = setup.records});
  EXPECT_TRUE(probes) << probes.error().str();
  std::vector<std::unique_ptr<Perturbed>> wrapped;
  for (const auto& probe : *probes) {
    wrapped.push_back(std::make_unique<Perturbed>(*probe, point, layer, factor));
    setup.backend->attach(wrapped.back().get());
    wrapped.back()->begin_request("r");
  }
  std::vector<float> logits(static_cast<size_t>(kConfig.vocab));
  auto done = setup.backend->forward({}, kPrompt, 1, logits);
  const int32_t token = 17;
  const Pass decode{.decode = true, .step = 1, .pos0 = static_cast<int64_t>(kPrompt.size())};
  if (done) done = setup.backend->forward(decode, {&token, 1}, 1, logits);
  EXPECT_TRUE(done) << done.error().str();
  return complaints(setup.records);
}

// A ten-thousandth of one element: who must notice, and nobody else.
TEST(TracesCatch, ANumberThatIsOffByATenThousandth) {
  struct Perturbation {
    Point point;
    int64_t layer;
    const char* complaints;
  };
  const Perturbation cases[] = {
      {Point::embed_out, -1, "embed "},
      {Point::x_in, 1, "norm@1 post_wo@1 residual@1 "},
      {Point::attn_norm, 1, "k@1 norm@1 q@1 v@1 "},
      {Point::q_pre, 1, "precision@1 q@1 scores@1 weights@1 "},
      {Point::k_pre, 1, "k@1 precision@1 scores@1 weights@1 "},
      {Point::v_pre, 1, "precision@1 v@1 v_addr@1 vacc@1 "},
      {Point::attn_out, 1, "precision@1 vacc@1 wo@1 "},
      {Point::wo_out, 1, "post_wo@1 residual@1 wo@1 "},
      {Point::x_after_attn, 1, "norm@1 post_wo@1 residual@1 "},
      {Point::ffn_norm, 1, "norm@1 "},
      {Point::mlp_out, 1, "residual@1 "},
      {Point::x_out, 1, "residual@1 "},
      {Point::final_norm, -1, "head norm "},
      {Point::logits, -1, "head "},
  };
  for (const Perturbation& c : cases) {
    EXPECT_EQ(text(run_perturbed(c.point, c.layer, 1.0001f)), c.complaints)
        << to_string(c.point) << " by 1e-4";
    EXPECT_EQ(text(run_perturbed(c.point, c.layer, 1.0f)), "") << to_string(c.point);
  }
}

const json& first_where(const Records& records, const char* event, const char* field,
                        const json& value) {
  for (const json& record : records.by_event.at(event)) {
    if (record.at(field) == value) return record;
  }
  ADD_FAILURE() << "no " << event << " with " << field << " = " << value;
  return records.by_event.at(event)[0];
}

// What the records of a fault say besides that something is wrong.
TEST(TracesCatch, TheRecordsSayWhatItIs) {
  Records clean, records;
  run("", KvType::f32, TensorType::f16, &clean);
  // Precision: the engine lies at the reference of that precision, and the effect is measured.
  EXPECT_EQ(first_where(clean, "attn_precision_ref", "step", 1)["nearest"], "hp");
  EXPECT_EQ(first_where(clean, "attn_precision_ref", "step", 1)["per_head_rel_l2"].size(), 4u);
  run("bf16_accumulate", KvType::f32, TensorType::f16, &records);
  const json& precision = first_where(records, "attn_precision_ref", "step", 1);
  EXPECT_EQ(precision["nearest"], "accum");
  EXPECT_GT(precision["attn_accum_rel_l2"], 1e-3);
  EXPECT_LT(precision["engine_accum_rel_l2"], precision["attn_accum_rel_l2"].get<double>() / 10);

  const std::pair<const char*, const char*> layouts[] = {
      {"wq_column_major", "qkv_w_verify"},
      {"wo_column_major", "wo_verify"},
      {"embedding_column_major", "embed_verify"}};
  for (const auto& [fault, event] : layouts) {
    run(fault, KvType::f32, TensorType::f16, &records);
    EXPECT_EQ(records.by_event[event][0]["layout_best"], "col") << fault;
    EXPECT_EQ(clean.by_event[event][0]["layout_best"], "row") << fault;
    if (records.by_event[event][0].contains("w_hash")) {
      EXPECT_NE(records.by_event[event][0]["w_hash"], records.by_event[event][0]["w_file_hash"]);
      EXPECT_EQ(clean.by_event[event][0]["w_hash"], clean.by_event[event][0]["w_file_hash"]);
    }
  }

  // KV head 1 is found where a cache with the query heads' stride would have it: in layer 1.
  run("kv_write_hq_stride:layer=0,step=1", KvType::f32, TensorType::f16, &records);
  for (const json& record : records.by_event["v_addr_trace"]) {
    const bool moved = record["layer"] == 0 && record["step"] == 1 && record["kv_head"] == 1;
    EXPECT_EQ(record["v_ok"].get<bool>(), !moved) << record;
    EXPECT_EQ(record["found_layer"], moved ? json(1) : record["layer"]) << record;
    EXPECT_EQ(record["found_kv_head"], moved ? json(0) : record["kv_head"]) << record;
  }
  run("v_not_written:layer=1,step=2", KvType::f32, TensorType::f16, &records);
  for (const json& record : records.by_event["v_addr_trace"]) {
    const bool lost = record["layer"] == 1 && record["step"] == 2;
    EXPECT_EQ(record["found_pos"], lost ? json(-1) : record["pos_id"]) << record;
  }

  // Of a key that was not read there is no score; the others' are right.
  run("seq_len_off_by_one:layer=0,head=2,step=1", KvType::f32, TensorType::f16, &records);
  for (const json& record : records.by_event["attn_softmax_trace"]) {
    const bool missed = record["layer"] == 0 && record["head"] == 2 && record["step"] == 1;
    EXPECT_EQ(record["keys_unseen"], missed ? 1 : 0) << record;
    EXPECT_EQ(record["qk_over_bound"], missed ? 1 : 0) << record;
    if (missed) {
      EXPECT_EQ(record["qk_worst_index"], record["keys"].get<int>() - 1);
    }
  }

  // Teacher-forced, tensor by tensor: equal before the fault, different from it on.
  run("softmax_scale:layer=1", KvType::f32, TensorType::f16, &records);
  EXPECT_EQ(records.by_event["hidden_equiv"].size(),
            13u * (14 * 3 + 3));  // 14 tokens, but the first
  for (const json& record : records.by_event["hidden_equiv"]) {
    const std::string point = record["point"];
    const int layer = record["layer"];
    const bool before = point == "embed_out" || layer == 0 ||
                        (layer == 1 && (point == "x_in" || point == "attn_norm" || point == "q" ||
                                        point == "k" || point == "v" || point.ends_with("_pre")));
    EXPECT_EQ(record["bitwise_equal"].get<bool>(), before) << record;
    EXPECT_EQ(record["rel_l2"] == 0.0, before) << record;
    EXPECT_EQ(record["bound"], 0.0);
  }
}

}  // namespace
}  // namespace greta::engine
