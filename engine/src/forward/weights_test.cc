#include "forward/weights.h"

#include <gtest/gtest.h>

#include <functional>

#include "testing/test_model.h"

namespace greta::engine {
namespace {

using testing::TensorSpec;
using Tensors = std::vector<TensorSpec>;

TensorSpec& named(Tensors& tensors, const std::string& name) {
  return *std::ranges::find(tensors, name, &TensorSpec::name);
}

std::string error_of(const ModelConfig& config, const std::function<void(Tensors&)>& change) {
  auto tensors = testing::random_tensors(config);
  change(tensors);
  const auto bytes = testing::gguf_bytes(tensors);
  const auto file = GgufFile::parse(bytes, "m.gguf");
  EXPECT_TRUE(file) << file.error().str();
  const auto weights = bind_weights(*file, config);
  return weights ? "" : weights.error().str();
}

TEST(Weights, BindsWhatFits) {
  EXPECT_EQ(error_of(testing::odd_config(), [](Tensors&) {}), "");
  EXPECT_EQ(error_of(testing::even_config(), [](Tensors&) {}), "");
}

TEST(Weights, NamesTheTensorAndBothShapes) {
  const auto shape = error_of(testing::odd_config(), [](Tensors& tensors) {
    auto& tensor = named(tensors, "blk.1.attn_k.weight");
    tensor.dims = {60, 40};
    tensor.values.resize(60 * 40);
  });
  EXPECT_EQ(shape,
            "m.gguf: tensor `blk.1.attn_k.weight` has shape [60, 40], the model's metadata asks "
            "for [60, 20] (columns first)");
  const auto transposed = error_of(testing::odd_config(), [](Tensors& tensors) {
    std::swap(named(tensors, "blk.0.ffn_up.weight").dims[0],
              named(tensors, "blk.0.ffn_up.weight").dims[1]);
  });
  EXPECT_NE(transposed.find("[77, 60]"), std::string::npos) << transposed;
}

TEST(Weights, AMissingTensorIsNamed) {
  const auto missing = error_of(testing::odd_config(), [](Tensors& tensors) {
    std::erase_if(tensors, [](const TensorSpec& t) { return t.name == "blk.2.ffn_down.weight"; });
  });
  EXPECT_NE(missing.find("blk.2.ffn_down.weight"), std::string::npos) << missing;
}

TEST(Weights, ATensorThatWouldBeLeftOutIsAnError) {
  const auto bias = error_of(testing::odd_config(), [](Tensors& tensors) {
    tensors.push_back({.name = "blk.0.attn_q.bias", .dims = {60}, .values = std::vector(60, 1.0f)});
  });
  EXPECT_NE(bias.find("`blk.0.attn_q.bias` has no place in a llama model"), std::string::npos)
      << bias;
  // Tied embeddings and an LM head of its own contradict each other.
  const auto head = error_of(testing::odd_config(), [](Tensors& tensors) {
    tensors.push_back(
        {.name = "output.weight", .dims = {60, 97}, .values = std::vector<float>(60 * 97)});
  });
  EXPECT_NE(head.find("output.weight"), std::string::npos) << head;
}

TEST(Weights, NormsAreNotQuantised) {
  const auto norm = error_of(testing::even_config(), [](Tensors& tensors) {
    named(tensors, "output_norm.weight").type = TensorType::q8_0;
  });
  EXPECT_NE(norm.find("`output_norm.weight` is Q8_0"), std::string::npos) << norm;
}

}  // namespace
}  // namespace greta::engine
