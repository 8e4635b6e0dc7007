// Every injected fault, run through the CPU backend, and the checks that must and must not notice
// it.
//
//   oracle       attn_decode_verify.rel_l2 ≤ bound            per (layer, query head, step)
//   kv           attn_decode_verify.kv_invariant_ok           per (layer, query head, step)
//   consistency  prefill_decode_consistency.rel_l2 ≤ bound
//   readout      readout.readout_mismatch
//   align        attn_align.violations = 0
//   arms         kernel_hash of manual differs from fused's
//
// The places where oracle and kv fail must be exactly those of the fault: no more, no fewer.

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "forward/backend.h"
#include "random_model.h"
#include "session/session.h"
#include "test_session.h"

namespace greta::engine {
namespace {

using json = nlohmann::json;

using testing::Letters;
using testing::Records;
constexpr const ModelConfig& kConfig = testing::kSmallModel;
constexpr int64_t kLayers = kConfig.layers, kHeads = kConfig.heads, kKvHeads = kConfig.kv_heads;
constexpr int64_t kSteps = 3;

using Place = std::tuple<int64_t, int64_t, int64_t>;  // layer, query head, step
using Places = std::set<Place>;

struct Noticed {
  Places oracle, kv;
  std::map<Place, std::string> kv_errors;
  bool consistency = false, readout = false, align = false;
  std::set<std::string> kernel_hashes;
};

bool within(const json& record) {
  // NaN is written as text: no number, no pass.
  return record["rel_l2"].is_number() && record["bound"].is_number() &&
         record["rel_l2"].get<double>() <= record["bound"].get<double>();
}

Noticed judge(const Records& records) {
  Noticed noticed;
  for (const json& record : records.by_event.at("attn_decode_verify")) {
    const Place place{record["layer"], record["head"], record["step"]};
    if (!within(record)) noticed.oracle.insert(place);
    if (!record["kv_invariant_ok"].get<bool>()) {
      noticed.kv.insert(place);
      noticed.kv_errors[place] = record["kv_error"];
    }
    noticed.kernel_hashes.insert(record["kernel_hash"]);
  }
  for (const json& record : records.by_event.at("prefill_decode_consistency")) {
    noticed.consistency |= !within(record);
  }
  for (const json& record : records.by_event.at("readout")) {
    noticed.readout |= record["readout_mismatch"].get<bool>();
  }
  for (const json& record : records.by_event.at("attn_align")) {
    noticed.align |= record["violations"] != 0;
  }
  return noticed;
}

Noticed run(const std::string& fault, const std::string& arm, KvType kv_type) {
  static const auto bytes = reference::random_model(kConfig, 31).file(TensorType::f16);
  const auto file = GgufFile::parse(bytes, "test");
  EXPECT_TRUE(file) << file.error().str();
  const std::vector<std::string> environment = {"GRETA_TRACE_ATTN_DECODE_VERIFY=1",
                                                "GRETA_ATTN_DECODE_REF=1",
                                                "GRETA_TRACE_KV_INVARIANTS=1",
                                                "GRETA_TRACE_PREFILL_DECODE=1",
                                                "GRETA_TRACE_ATTN_ALIGN=1",
                                                "GRETA_TRACE_READOUT=1",
                                                "GRETA_FORCE_ATTN_DECODE_KERNEL=" + arm};
  const auto flags = Flags::parse(environment);
  EXPECT_TRUE(flags) << flags.error().str();
  const auto faults = Faults::parse(fault);
  EXPECT_TRUE(faults) << faults.error().str();
  const BackendOptions options{.threads = 1, .kv_type = kv_type, .max_seq = 32};
  auto backend = make_cpu_backend(*file, kConfig, options, *flags, *faults);
  EXPECT_TRUE(backend) << backend.error().str();

  Records records;
  Letters letters;
  auto session = Session::create({.backend = **backend,
                                  .file = *file,
                                  .tokenizer = letters,
                                  .config = kConfig,
                                  .options = options,
                                  .flags = *flags,
                                  .output = records});
  EXPECT_TRUE(session) << session.error().str();
  const auto result = (*session)->run(
      {.id = "r", .prompt_tokens = {7, 3, 44, 21, 9, 30, 3, 12, 48, 1}, .max_tokens = kSteps + 1});
  EXPECT_TRUE(result) << result.error().str();
  EXPECT_EQ(records.by_event["attn_decode_verify"].size(),
            static_cast<size_t>(kLayers * kHeads * kSteps));
  return judge(records);
}

using Where = std::function<bool(int64_t layer, int64_t head, int64_t step)>;

Places places(const Where& where) {
  Places out;
  for (int64_t layer = 0; layer < kLayers; ++layer) {
    for (int64_t head = 0; head < kHeads; ++head) {
      for (int64_t step = 1; step <= kSteps; ++step) {
        if (where && where(layer, head, step)) out.insert({layer, head, step});
      }
    }
  }
  return out;
}

struct Case {
  std::string fault;
  Where oracle = {}, kv = {};
  std::string kv_error = "";  // of every place where kv fails; "*": differs, see the special test
  bool consistency = true, readout = false, align = false, arms = false;
};

Where layer_is(int64_t wanted) {
  return [=](int64_t layer, int64_t, int64_t) { return layer == wanted; };
}
Where everywhere() {
  return [](int64_t, int64_t, int64_t) { return true; };
}

std::vector<Case> table() {
  return {
      {.fault = "", .consistency = false},
      {.fault = "kv_layer_base:layer=1", .oracle = layer_is(1)},
      // Layer 0 reads its own slice: exact, as in the seed report.
      {.fault = "kv_layer_base", .oracle = [](int64_t l, int64_t, int64_t) { return l > 0; }},
      {.fault = "kv_layer_base:layer=2,head=1,step=2",
       .oracle = [](int64_t l, int64_t h, int64_t s) { return l == 2 && h == 1 && s == 2; }},
      // KV head 1 lands in the next layer; the slot that its query heads read stays what it was.
      {.fault = "kv_write_hq_stride:layer=0",
       .oracle = [](int64_t l, int64_t h, int64_t) { return l == 0 && h >= 2; },
       .kv = layer_is(0),
       .kv_error = "*"},
      {.fault = "gqa_map:layer=1",  // heads 0 and 3 read the right KV head by accident
       .oracle = [](int64_t l, int64_t h, int64_t) { return l == 1 && (h == 1 || h == 2); }},
      {.fault = "seq_len_off_by_one:layer=2", .oracle = layer_is(2)},
      {.fault = "seq_len_off_by_one:layer=2,head=3,step=1",
       .oracle = [](int64_t l, int64_t h, int64_t s) { return l == 2 && h == 3 && s == 1; }},
      {.fault = "rope_k_off_by_one:layer=1",
       .oracle = layer_is(1),
       .kv = layer_is(1),
       .kv_error = "k_slot_mismatch"},
      {.fault = "rope_qk_off_by_one:layer=1",
       .oracle = layer_is(1),
       .kv = layer_is(1),
       .kv_error = "k_slot_mismatch"},
      // In prefill and decode alike: the two agree, and only an independent RoPE sees it.
      {.fault = "rope_half_split",
       .oracle = everywhere(),
       .kv = everywhere(),
       .kv_error = "k_slot_mismatch",
       .consistency = false},
      {.fault = "rope_half_split:layer=1",
       .oracle = layer_is(1),
       .kv = layer_is(1),
       .kv_error = "k_slot_mismatch",
       .consistency = false},
      {.fault = "softmax_scale:layer=0,head=3",
       .oracle = [](int64_t l, int64_t h, int64_t) { return l == 0 && h == 3; }},
      // The slot stays wrong: later steps read it, but only the update that left it out is charged.
      {.fault = "v_not_written:layer=1,step=1",
       .oracle = layer_is(1),
       .kv = [](int64_t l, int64_t, int64_t s) { return l == 1 && s == 1; },
       .kv_error = "v_slot_mismatch"},
      {.fault = "stale_slot:layer=1,step=2",
       .oracle = [](int64_t l, int64_t, int64_t s) { return l == 1 && s >= 2; },
       .kv = [](int64_t l, int64_t, int64_t s) { return l == 1 && s == 2; },
       .kv_error = "k_slot_mismatch"},
      {.fault = "kv_ignored:layer=2", .oracle = layer_is(2)},
      {.fault = "bf16_accumulate:layer=1", .oracle = layer_is(1)},
      {.fault = "readout_wrong_row", .readout = true},
      {.fault = "arms_same_kernel", .consistency = false, .arms = true},
      {.fault = "misaligned_load:layer=1", .consistency = false, .align = true},
      // Wrong weights make a wrong model, not a wrong attention: traces_catch_test.cc.
      {.fault = "wq_column_major", .consistency = false},
      {.fault = "wk_column_major", .consistency = false},
      {.fault = "wv_column_major", .consistency = false},
      {.fault = "wo_column_major", .consistency = false},
      {.fault = "embedding_column_major", .consistency = false},
      {.fault = "lm_head_tile_transposed", .consistency = false},
  };
}

std::string text(const Places& some) {
  std::string out;
  for (const auto& [layer, head, step] : some) {
    out +=
        "L" + std::to_string(layer) + "h" + std::to_string(head) + "s" + std::to_string(step) + " ";
  }
  return out;
}

TEST(FaultsCaught, EachByItsCheckAtItsPlaceAndByNoOther) {
  for (const KvType kv_type : {KvType::f32, KvType::f16, KvType::bf16}) {
    for (const Case& c : table()) {
      std::map<std::string, Noticed> noticed;
      for (const std::string arm : {"manual", "fused"}) {
        SCOPED_TRACE(c.fault + " " + arm + " kv_type " + std::to_string(static_cast<int>(kv_type)));
        const Noticed& got = noticed[arm] = run(c.fault, arm, kv_type);
        EXPECT_EQ(text(got.oracle), text(places(c.oracle)));
        EXPECT_EQ(text(got.kv), text(places(c.kv)));
        for (const auto& [place, error] : got.kv_errors) {
          EXPECT_TRUE(c.kv_error == "*" || error == c.kv_error) << error;
        }
        EXPECT_EQ(got.consistency, c.consistency);
        EXPECT_EQ(got.readout, c.readout);
        EXPECT_EQ(got.align, c.align);
      }
      EXPECT_EQ(noticed["manual"].kernel_hashes == noticed["fused"].kernel_hashes, c.arms)
          << c.fault;
    }
  }
}

TEST(FaultsCaught, TheTableHasEveryFault) {
  for (const FaultInfo& info : fault_table()) {
    if (!info.on_cpu) continue;  // device_faults_caught_test.cc has those
    bool tested = false;
    for (const Case& c : table()) {
      tested |= c.fault.substr(0, c.fault.find(':')) == info.name;
    }
    EXPECT_TRUE(tested) << info.name;
  }
}

// The wrong stride: KV head 0 is written well but the update trespasses, KV head 1 is not written.
TEST(FaultsCaught, TheQueryStrideIsNamedHeadByHead) {
  const Noticed got = run("kv_write_hq_stride:layer=0,step=1", "manual", KvType::f32);
  for (int64_t head = 0; head < kHeads; ++head) {
    EXPECT_EQ(got.kv_errors.at({0, head, 1}), head < 2 ? "kv_overlap" : "k_slot_mismatch") << head;
  }
}

// In the prefill a fault of the cache is found as well, and told by the decode records.
TEST(FaultsCaught, AWrongPrefillIsToldByTheDecodeRecords) {
  const Noticed got = run("rope_k_off_by_one:layer=1,step=0", "fused", KvType::f32);
  EXPECT_EQ(text(got.kv), text(places(layer_is(1))));
  EXPECT_EQ(text(got.oracle), text(places(layer_is(1))));
}

}  // namespace
}  // namespace greta::engine
