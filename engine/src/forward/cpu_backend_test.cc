#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <set>
#include <utility>

#include "forward/backend.h"
#include "kernels/kernels.h"
#include "testing/test_model.h"

namespace greta::engine {
namespace {

using testing::by_decode;
using testing::by_prefill;
using testing::cpu_backend;
using testing::even_config;
using testing::Model;
using testing::odd_config;
using testing::some_tokens;
using testing::wide_config;

constexpr TensorType kAllTypes[] = {TensorType::f32, TensorType::f16, TensorType::bf16,
                                    TensorType::q8_0};
constexpr KvType kKvTypes[] = {KvType::f32, KvType::f16, KvType::bf16};

// The invariant of strict numerics, end to end: lengths across every block size, all KV types, both
// arms, any number of threads.
TEST(CpuBackend, PrefillAndDecodeHaveTheSameBits) {
  const Model model(odd_config(), {TensorType::f32, TensorType::f16, TensorType::bf16});
  for (const int64_t length : {1, 15, 16, 17, 63, 64, 65, 206, 255, 256, 257}) {
    const auto tokens = some_tokens(length, model.config.vocab);
    const int64_t rows = std::min<int64_t>(length, 5);
    for (const KvType kv_type : kKvTypes) {
      std::vector<float> want;
      for (const int threads : {1, 2, 3, 8}) {
        for (const char* arm : {"manual", "fused"}) {
          if (threads > 2 && length > 65 && kv_type != KvType::f32) continue;  // time
          const auto backend = cpu_backend(
              model, {.options = {.threads = threads, .kv_type = kv_type, .max_seq = length},
                      .environment = {"GRETA_FORCE_ATTN_DECODE_KERNEL=" + std::string(arm)}});
          if (want.empty()) want = by_prefill(*backend, model.config, tokens, rows);
          ASSERT_EQ(want, by_prefill(*backend, model.config, tokens, rows))
              << length << " tokens, " << threads << " threads";
          ASSERT_EQ(want, by_decode(*backend, model.config, tokens, rows))
              << length << " tokens, " << threads << " threads, " << arm;
        }
      }
      for (const float logit : want) ASSERT_TRUE(std::isfinite(logit));
    }
  }
}

// The same with quantised weights, in both numerics.
TEST(CpuBackend, QuantisedPrefillAndDecodeHaveTheSameBits) {
  const Model model(wide_config(), {TensorType::q8_0, TensorType::q4_k, TensorType::q6_k,
                                    TensorType::q5_k, TensorType::q4_0, TensorType::q5_0});
  std::vector<std::vector<float>> last;
  for (const Numerics numerics : {Numerics::strict, Numerics::fast}) {
    for (const int64_t length : {1, 15, 16, 17, 63, 64, 65, 206, 255, 256, 257}) {
      const auto tokens = some_tokens(length, model.config.vocab);
      const int64_t rows = std::min<int64_t>(length, 5);
      std::vector<float> want;
      for (const int threads : {1, 2, 3, 8}) {
        const auto backend = cpu_backend(
            model, {.options = {.threads = threads, .numerics = numerics, .max_seq = length}});
        if (want.empty()) want = by_prefill(*backend, model.config, tokens, rows);
        ASSERT_EQ(want, by_prefill(*backend, model.config, tokens, rows))
            << length << " tokens, " << threads << " threads";
        ASSERT_EQ(want, by_decode(*backend, model.config, tokens, rows))
            << length << " tokens, " << threads << " threads";
      }
      for (const float logit : want) ASSERT_TRUE(std::isfinite(logit));
      if (length == 257) last.push_back(want);
    }
  }
  if (kernels::has_matmul_int8(kernels::DType::q8_0, 256)) {
    EXPECT_NE(last[0], last[1]) << "fast computed what strict does";
  }
}

// Keeps the last row of every tensor.
struct LastRows final : Probe {
  bool only = false;
  int64_t most_rows = 0, readout = -1;
  std::map<std::pair<Point, int64_t>, std::vector<float>> rows;
  bool last_row_only() const override { return only; }
  void tensor(const Pass& pass, Point point, int64_t layer, const float* data, int64_t count,
              int64_t columns) override {
    EXPECT_EQ(pass.rows, 600);
    most_rows = std::max(most_rows, count);
    const float* last = data + (count - 1) * columns;
    rows[{point, layer}] = {last, last + columns};
  }
  void readout_row(const Pass&, int64_t row) override { readout = row; }
};

TEST(CpuBackend, ProbesOfTheLastRowSeeWhatOthersDo) {
  ModelConfig config = even_config();
  config.context = 600;
  const Model model(config);
  const auto tokens = some_tokens(600, config.vocab);
  LastRows whole, last;
  last.only = true;
  for (LastRows* probe : {&whole, &last}) {
    const auto backend = cpu_backend(model, {.options = {.threads = 2, .max_seq = 600}});
    backend->attach(probe);
    by_prefill(*backend, config, tokens, 1);
  }
  EXPECT_EQ(whole.most_rows, 600);
  EXPECT_LT(last.most_rows, 600);
  EXPECT_EQ(whole.rows, last.rows);
  EXPECT_EQ(whole.readout, 599);
  EXPECT_EQ(last.readout, 599);
}

TEST(CpuBackend, PrefillInPiecesIsThePrefillInOne) {
  const Model model(odd_config());
  const auto tokens = some_tokens(90, model.config.vocab);
  const auto backend = cpu_backend(model);
  const auto want = by_prefill(*backend, model.config, tokens, 1);
  for (const size_t cut : {1, 16, 33, 89}) {
    std::vector<float> logits(want.size());
    backend->reset();
    ASSERT_TRUE(backend->forward({}, std::span(tokens).first(cut), 0, {}));
    ASSERT_TRUE(backend->forward({.pos0 = static_cast<int64_t>(cut)},
                                 std::span(tokens).subspan(cut), 1, logits));
    EXPECT_EQ(want, logits) << cut;
  }
}

TEST(CpuBackend, EveryMixOfWeightTypesRuns) {
  for (const bool tied : {false, true}) {
    for (size_t first = 0; first < 4; ++first) {
      std::vector<TensorType> types;
      for (size_t i = 0; i < 4; ++i) types.push_back(kAllTypes[(first + i) % 4]);
      ModelConfig config = even_config();
      config.tied_embeddings = tied;
      const Model model(config, types);
      const auto tokens = some_tokens(20, config.vocab);
      const auto backend = cpu_backend(model);
      const auto prefill = by_prefill(*backend, config, tokens, 4);
      EXPECT_EQ(prefill, by_decode(*backend, config, tokens, 4));
      for (const float logit : prefill) ASSERT_TRUE(std::isfinite(logit));
    }
  }
}

// Logits must depend on every token before, and on the order.
TEST(CpuBackend, EarlierTokensMatter) {
  const Model model(odd_config());
  const auto backend = cpu_backend(model);
  const auto tokens = some_tokens(20, model.config.vocab);
  const auto want = by_prefill(*backend, model.config, tokens, 1);
  for (size_t i = 0; i + 1 < tokens.size(); i += 6) {
    auto other = tokens;
    std::swap(other[i], other[i + 1]);
    EXPECT_NE(want, by_prefill(*backend, model.config, other, 1)) << i;
  }
}

// Slots that were never written hold NaN; a sequence after a longer one must not see its leftovers.
TEST(CpuBackend, TheTailOfTheCacheNeverLeaks) {
  const Model model(odd_config());
  for (const KvType kv_type : kKvTypes) {
    const auto backend =
        cpu_backend(model, {.options = {.threads = 2, .kv_type = kv_type, .max_seq = 64}});
    const auto shorter = some_tokens(21, model.config.vocab);
    const auto fresh = by_decode(*backend, model.config, shorter, 7);
    for (const float logit : fresh) ASSERT_TRUE(std::isfinite(logit));
    by_prefill(*backend, model.config, some_tokens(64, model.config.vocab), 1);
    EXPECT_EQ(fresh, by_decode(*backend, model.config, shorter, 7));
    const KvCache& cache = *backend->kv_cache();
    EXPECT_EQ(cache.length, 21);
    // The slot behind the last one is poisoned again.
    const auto element = static_cast<size_t>(cache.element_bytes());
    std::vector<std::byte> bytes(cache.v.begin() + 21 * 10 * static_cast<long>(element),
                                 cache.v.begin() + 22 * 10 * static_cast<long>(element));
    for (size_t i = 0; i < bytes.size(); i += element) {
      uint32_t bits = 0;
      std::memcpy(&bits, &bytes[i], element);
      const uint32_t exponent = kv_type == KvType::f32   ? 0x7f800000
                                : kv_type == KvType::f16 ? 0x7c00
                                                         : 0x7f80;
      EXPECT_GT(bits & 0x7fffffff, exponent);
    }
  }
}

// A probe reads. Attached, with every trace, it changes nothing.
struct Reader : Probe {
  int64_t tensors = 0;
  void tensor(const Pass&, Point, int64_t, const float*, int64_t, int64_t) override { ++tensors; }
};

TEST(CpuBackend, ProbesChangeNothingAndSeeEveryPoint) {
  const Model model(odd_config());
  const auto tokens = some_tokens(30, model.config.vocab);
  const auto backend = cpu_backend(model, {.options = {.threads = 2, .max_seq = 40}});
  const auto without = by_decode(*backend, model.config, tokens, 3);
  Reader reader;
  backend->attach(&reader);
  EXPECT_EQ(without, by_decode(*backend, model.config, tokens, 3));
  // 14 points a layer; embed_out and final_norm outside; logits where they were asked for.
  EXPECT_EQ(reader.tensors, 4 * (14 * 3 + 2) + 3);
  std::vector<float> logits(97);
  backend->reset();
  ASSERT_TRUE(backend->forward({.traced = false}, tokens, 1, logits));
  EXPECT_EQ(reader.tensors, 4 * (14 * 3 + 2) + 3) << "an untraced pass was shown";
}

struct Launch : Probe {
  DecodeLaunch last;
  void decode_attention(const Pass&, int64_t, const DecodeLaunch& launch) override {
    last = launch;
  }
};

TEST(CpuBackend, TheArmsAreDifferentCode) {
  const Model model(odd_config());
  const auto tokens = some_tokens(6, model.config.vocab);
  const auto run = [&](const std::string& arm) {
    const auto backend =
        cpu_backend(model, {.environment = {"GRETA_FORCE_ATTN_DECODE_KERNEL=" + arm}});
    Launch probe;
    backend->attach(&probe);
    by_decode(*backend, model.config, tokens, 2);
    std::set<std::string> ids;
    for (const KernelLaunches& kernel : backend->launches()) {
      EXPECT_GT(kernel.launches, 0);
      ids.insert(kernel.id);
    }
    // The prefill's own rope and kv_update are launched in both.
    EXPECT_EQ(ids.contains("fused_rope_kv_update_decode.cpu"), arm != "manual");
    return probe.last;
  };
  const auto manual = run("manual"), fused = run("fused"), chosen = run("auto");
  EXPECT_EQ(manual.kernel_path, "manual");
  EXPECT_EQ(manual.kernel_ids, "rope.cpu+kv_update.cpu+attention_decode.cpu");
  EXPECT_EQ(fused.kernel_ids, "fused_rope_kv_update_decode.cpu+attention_decode.cpu");
  EXPECT_NE(manual.kernel_hash, fused.kernel_hash);
  EXPECT_EQ(chosen.kernel_path, "fused");
  EXPECT_EQ(chosen.kernel_hash, fused.kernel_hash);
  EXPECT_EQ(manual.matmul_route, "valu");
  EXPECT_EQ(manual.seq_len_used, 6);
  EXPECT_EQ(manual.pos_id_used, 5);
}

TEST(CpuBackend, MfmaIsARouteOfOtherBackends) {
  const Model model(odd_config());
  const auto flags = testing::flags_of({"GRETA_FORCE_ATTN_DECODE_MATMUL=mfma"});
  const auto backend = make_cpu_backend(model.file, model.config, {.max_seq = 8}, flags, {});
  ASSERT_FALSE(backend);
  EXPECT_EQ(backend.error().exit_code, static_cast<int>(EngineExit::device));
  EXPECT_NE(backend.error().message.find("cpu+emu, emu, hip or cuda"), std::string::npos);
  for (const char* route : {"auto", "valu"}) {
    cpu_backend(model, {.environment = {"GRETA_FORCE_ATTN_DECODE_MATMUL=" + std::string(route)}});
  }
}

TEST(CpuBackend, RefusesPassesThatDoNotFit) {
  const Model model(odd_config());
  const auto backend = cpu_backend(model, {.options = {.max_seq = 8}});
  std::vector<float> logits(97);
  const auto forward = [&](const Pass& pass, std::vector<int32_t> tokens, int64_t rows) {
    const auto done = backend->forward(pass, tokens, rows,
                                       std::span(logits).first(static_cast<size_t>(97 * rows)));
    return done ? std::string() : done.error().message;
  };
  EXPECT_EQ(forward({}, {}, 0), "forward pass without a token");
  EXPECT_EQ(forward({}, {1, 97}, 1), "token id 97 is outside the vocabulary (0 to 96)");
  EXPECT_EQ(forward({}, {-1}, 1), "token id -1 is outside the vocabulary (0 to 96)");
  EXPECT_EQ(forward({.pos0 = 1}, {1}, 1), "position 1 is not the next one, 0");
  EXPECT_EQ(forward({.decode = true}, {1, 2}, 1), "a decode pass takes one token, not 2");
  EXPECT_EQ(forward({}, {1, 2, 3, 4, 5, 6, 7, 8, 9}, 1),
            "the KV cache holds 8 positions, position 8 is outside");
  EXPECT_EQ(forward({}, {1, 2, 3, 4, 5, 6, 7, 8}, 1), "");
}

// The committed model, where it is: the same invariant on real weights.
TEST(CpuBackend, TheCommittedModelAgreesWithItself) {
  const std::filesystem::path path = GRETA_TINY_MODEL;
  ASSERT_TRUE(std::filesystem::exists(path)) << path;
  auto file = GgufFile::open(path);
  ASSERT_TRUE(file) << file.error().str();
  const auto config = read_model_config(*file);
  ASSERT_TRUE(config) << config.error().str();
  const auto tokens = some_tokens(70, config->vocab);
  std::vector<float> want;
  for (const int threads : {1, 2}) {
    auto backend = make_cpu_backend(*file, *config, {.threads = threads, .max_seq = 70},
                                    testing::flags_of({}), {});
    ASSERT_TRUE(backend) << backend.error().str();
    if (want.empty()) want = by_prefill(**backend, *config, tokens, 3);
    EXPECT_EQ(want, by_decode(**backend, *config, tokens, 3));
  }
}

}  // namespace
}  // namespace greta::engine
