// The CPU backend's logits against the fp64 reference's, for the whole model, prefill and decode.
//
// What may be between them. Each layer has nine ops whose results carry rounding errors of a few u
// (u = 2^-24; sums run in 16 lanes, so that even 700 terms are 45 roundings deep). They are
// independent and add in quadrature: u·√(9·layers + 3). The factor 16 is for depth of the sums and
// for what norms and softmax amplify; the weakest fault, a bf16 sum, is a thousand times larger.
//   Where the KV cache rounds to unit roundoff r, a relative error e of what is stored tips a
//   rounding over
// with probability e / r, and is then r large: √(e·r) in quadrature, on top, with a factor 4.

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "forward/backend.h"
#include "random_model.h"

namespace greta::engine {
namespace {

double limit(int64_t layers, KvType kv_type) {
  const double rounding = 16 * 0x1p-24 * std::sqrt(9.0 * static_cast<double>(layers) + 3.0);
  const double storage = kv_type == KvType::f32 ? 0.0 : kv_type == KvType::f16 ? 0x1p-11 : 0x1p-8;
  return rounding + 4 * std::sqrt(rounding * storage);
}

double relative_l2(std::span<const float> got, std::span<const float> want) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double d = static_cast<double>(got[i]) - static_cast<double>(want[i]);
    difference += d * d;
    norm += static_cast<double>(want[i]) * static_cast<double>(want[i]);
  }
  return std::sqrt(difference / norm);
}

// Logits of every position: `prompt` in one prefill, the rest token by token.
std::vector<float> answer(Backend& backend, const ModelConfig& config,
                          std::span<const int32_t> tokens, size_t prompt) {
  const auto vocab = static_cast<size_t>(config.vocab);
  std::vector<float> logits(tokens.size() * vocab);
  const std::span<float> room(logits);
  auto result = backend.forward({}, tokens.first(prompt), static_cast<int64_t>(prompt),
                                room.first(prompt * vocab));
  for (size_t t = prompt; t < tokens.size() && result; ++t) {
    const Pass pass{.decode = true,
                    .step = static_cast<int64_t>(t - prompt) + 1,
                    .pos0 = static_cast<int64_t>(t)};
    result = backend.forward(pass, tokens.subspan(t, 1), 1, room.subspan(t * vocab, vocab));
  }
  EXPECT_TRUE(result) << result.error().str();
  return logits;
}

struct Distance {
  double rel_l2 = 0, limit = 0;
};

Distance distance(const GgufFile& file, const ModelConfig& config, int64_t count, KvType kv_type,
                  const std::string& fault = "") {
  std::mt19937 random(5);
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < count; ++i) {
    tokens.push_back(static_cast<int32_t>(random() % static_cast<uint32_t>(config.vocab)));
  }
  const BackendOptions options{.threads = 2, .kv_type = kv_type, .max_seq = count};
  auto cpu = make_cpu_backend(file, config, options, *Flags::parse({}), *Faults::parse(fault));
  auto ref = make_ref_backend(file, config, options);
  EXPECT_TRUE(cpu && ref);
  const auto prompt = static_cast<size_t>(count * 3 / 4);
  return {relative_l2(answer(**cpu, config, tokens, prompt), answer(**ref, config, tokens, prompt)),
          limit(config.layers, kv_type)};
}

constexpr ModelConfig kConfig{.layers = 4,
                              .dim = 64,
                              .heads = 4,
                              .kv_heads = 2,
                              .head_dim = 16,
                              .ffn = 96,
                              .vocab = 50,
                              .context = 64,
                              .rms_eps = 1e-5f,
                              .rope_base = 10000.0f,
                              .tied_embeddings = true};

TEST(CpuAgainstRef, RandomModelsOfEveryTensorAndCacheType) {
  for (const TensorType type :
       {TensorType::f32, TensorType::f16, TensorType::bf16, TensorType::q8_0}) {
    for (const KvType kv_type : {KvType::f32, KvType::f16, KvType::bf16}) {
      const auto bytes = reference::random_model(kConfig, 77).file(type);
      const auto file = GgufFile::parse(bytes, "test");
      ASSERT_TRUE(file);
      const Distance d = distance(*file, kConfig, 40, kv_type);
      EXPECT_LT(d.rel_l2, d.limit) << to_string(type) << ' ' << static_cast<int>(kv_type);
      EXPECT_GT(d.rel_l2, 0) << "both sides are one computation";
    }
  }
}

TEST(CpuAgainstRef, FaultsAreFarOutside) {
  const auto bytes = reference::random_model(kConfig, 77).file(TensorType::f16);
  const auto file = GgufFile::parse(bytes, "test");
  ASSERT_TRUE(file);
  for (const char* fault : {"kv_layer_base", "gqa_map", "seq_len_off_by_one", "rope_half_split",
                            "softmax_scale", "bf16_accumulate", "rope_k_off_by_one"}) {
    const Distance d = distance(*file, kConfig, 40, KvType::f32, fault);
    EXPECT_GT(d.rel_l2, 100 * d.limit) << fault;
  }
}

TEST(CpuAgainstRef, GretaTiny) {
  const std::filesystem::path path = GRETA_TINY;
  ASSERT_TRUE(std::filesystem::exists(path)) << path << " is part of the repository";
  const auto file = GgufFile::open(path);
  ASSERT_TRUE(file) << file.error().str();
  const auto config = read_model_config(*file);
  ASSERT_TRUE(config) << config.error().str();
  for (const KvType kv_type : {KvType::f32, KvType::bf16}) {
    const Distance d = distance(*file, *config, 48, kv_type);
    EXPECT_LT(d.rel_l2, d.limit) << static_cast<int>(kv_type);
    EXPECT_GT(d.rel_l2, 0);
    RecordProperty(kv_type == KvType::f32 ? "rel_l2_f32" : "rel_l2_bf16", std::to_string(d.rel_l2));
  }
}

}  // namespace
}  // namespace greta::engine
