#include "model/model_config.h"

#include <gtest/gtest.h>

#include <functional>

#include "testing/gguf_builder.h"

namespace greta::engine {
namespace {

using testing::bytes_of;
using testing::GgufBuilder;

// A two-layer model of zeros; each knob is what one test turns.
struct Shape {
  std::string architecture = "llama";
  uint32_t layers = 2, dim = 32, heads = 4, kv_heads = 2, ffn = 64, context = 128, rotated = 8;
  float eps = 1e-5f;
  uint64_t vocab = 10, q_rows = 32, named_layers = 2;
  std::function<void(GgufBuilder&)> more_metadata = nullptr, more_tensors = nullptr;
};

std::string build(const Shape& shape) {
  GgufBuilder file;
  file.text("general.architecture", shape.architecture)
      .integer("llama.block_count", shape.layers)
      .integer("llama.embedding_length", shape.dim)
      .integer("llama.attention.head_count", shape.heads)
      .integer("llama.attention.head_count_kv", shape.kv_heads)
      .integer("llama.feed_forward_length", shape.ffn)
      .integer("llama.context_length", shape.context)
      .integer("llama.rope.dimension_count", shape.rotated)
      .real("llama.attention.layer_norm_rms_epsilon", shape.eps)
      .integer("llama.vocab_size", 10);
  if (shape.more_metadata) shape.more_metadata(file);
  file.zeros("token_embd.weight", {32, shape.vocab}).zeros("output_norm.weight", {32});
  for (uint64_t layer = 0; layer < shape.named_layers; ++layer) {
    const std::string block = "blk." + std::to_string(layer) + ".";
    file.zeros(block + "attn_norm.weight", {32})
        .zeros(block + "attn_q.weight", {32, shape.q_rows})
        .zeros(block + "attn_k.weight", {32, 16})
        .zeros(block + "attn_v.weight", {32, 16})
        .zeros(block + "attn_output.weight", {32, 32})
        .zeros(block + "ffn_norm.weight", {32})
        .zeros(block + "ffn_gate.weight", {32, 64})
        .zeros(block + "ffn_up.weight", {32, 64})
        .zeros(block + "ffn_down.weight", {64, 32});
  }
  if (shape.more_tensors) shape.more_tensors(file);
  return file.build();
}

Result<ModelConfig> read(const Shape& shape) {
  const std::string bytes = build(shape);
  auto file = GgufFile::parse(bytes_of(bytes), "m.gguf");
  if (!file) return tl::unexpected(file.error());
  return read_model_config(*file);
}

TEST(ModelConfig, ReadsAGoodModel) {
  const auto config = read({});
  ASSERT_TRUE(config) << config.error().str();
  EXPECT_EQ(config->layers, 2);
  EXPECT_EQ(config->head_dim, 8);
  EXPECT_EQ(config->group(), 2);
  EXPECT_EQ(config->kv_dim(), 16);
  EXPECT_EQ(config->rope_base, 10000.0f);
  EXPECT_TRUE(config->tied_embeddings);
}

TEST(ModelConfig, EveryMisfitIsNamed) {
  const auto metadata = [](auto add) {
    return Shape{.more_metadata = [add](GgufBuilder& file) { add(file); }};
  };
  const auto tensor = [](const char* name, std::vector<uint64_t> dims) {
    return Shape{.more_tensors = [=](GgufBuilder& file) { file.zeros(name, dims); }};
  };
  const std::vector<std::pair<Shape, std::string>> cases = {
      {{.architecture = "qwen2"},
       "metadata `general.architecture` is \"qwen2\": this engine runs llama"},
      {{.layers = 0}, "metadata `llama.block_count` is 0, outside 1 to 1000"},
      {{.layers = 3},
       "no tensor `blk.2.attn_norm.weight` (did you mean `blk.0.attn_norm.weight`?)"},
      {{.layers = 1},
       "tensor `blk.1.attn_norm.weight` is none that a llama model of 1 layers has (did you mean "
       "`blk.0.attn_norm.weight`?)"},
      {{.heads = 3},
       "metadata `llama.attention.head_count` is 3, no multiple of "
       "`llama.attention.head_count_kv` 2"},
      {{.heads = 6},
       "metadata `llama.embedding_length` is 32, no multiple of `llama.attention.head_count` 6"},
      {{.heads = 32, .kv_heads = 16},
       "heads have 1 elements: RoPE rotates pairs, so the number must be even"},
      {{.rotated = 4},
       "metadata `llama.rope.dimension_count` is 4, but heads have 8 elements: partial "
       "rotation is not supported"},
      {{.eps = 0}, "metadata `llama.attention.layer_norm_rms_epsilon` is 0.000000, outside 0 to 1"},
      {{.vocab = 11},
       "tensor `token_embd.weight` has the shape [32, 11], but the metadata asks for [32, 10]"},
      {{.q_rows = 16},
       "tensor `blk.0.attn_q.weight` has the shape [32, 16], but the metadata asks for [32, 32]"},
      {metadata([](GgufBuilder& file) { file.text("llama.rope.scaling.type", "yarn"); }),
       "metadata `llama.rope.scaling.type` is \"yarn\": this engine has none and linear"},
      {metadata([](GgufBuilder& file) { file.real("llama.rope.scaling.factor", -8); }),
       "metadata `llama.rope.scaling.factor` is -8.000000, outside 0 to 1e6"},
      {metadata([](GgufBuilder& file) { file.integer("llama.rope.freq_bas", 8); }),
       "metadata `llama.rope.freq_bas` is not supported: it may change the computation (did you "
       "mean "
       "`llama.rope.freq_base`?)"},
      {metadata([](GgufBuilder& file) { file.integer("llama.expert_count", 8); }),
       "metadata `llama.expert_count` is 8: mixture-of-experts models are not supported"},
      {metadata([](GgufBuilder& file) { file.strings("tokenizer.ggml.tokens", {"a"}); }),
       "metadata `llama.vocab_size` is 10, but `tokenizer.ggml.tokens` has 1"},
      {metadata([](GgufBuilder& file) { file.integer("llama.attention.value_length", 16); }),
       "metadata `llama.attention.value_length` is 16, but keys have 8 elements"},
      {tensor("rope_freqs.weight", {5}),
       "tensor `rope_freqs.weight` is F32 [5]; heads of 8 elements ask for F32 [4]"},
      {tensor("rope_freqs.weight", {4}),
       "tensor `rope_freqs.weight`: element 0 is 0.000000, outside 0 to 1e6"},
      {tensor("blk.0.attn_q.bias", {32}),
       "tensor `blk.0.attn_q.bias` is none that a llama model of 2 layers has (did you mean "
       "`blk.0.attn_q.weight`?)"},
      {tensor("output.weight", {32, 9}),
       "tensor `output.weight` has the shape [32, 9], but the metadata asks for [32, 10]"},
  };
  for (const auto& [shape, message] : cases) {
    const auto config = read(shape);
    ASSERT_FALSE(config) << message;
    EXPECT_EQ(config.error().str(), "m.gguf: " + message);
    EXPECT_EQ(config.error().exit_code, 3);
  }
}

}  // namespace
}  // namespace greta::engine
