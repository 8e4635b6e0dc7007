#pragma once
// Small random llama models as GGUF bytes, of any shape and mix of tensor types, and the parts
// around a backend that a test needs.

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "forward/backend.h"
#include "io/output.h"
#include "model/gguf.h"
#include "model/model_config.h"
#include "tokenizer/tokenizer.h"

namespace greta::engine::testing {

struct TensorSpec {
  std::string name;
  TensorType type = TensorType::f32;
  std::vector<int64_t> dims = {};  // ggml order
  std::vector<float> values = {};
};

// 3 layers, 6 query heads over 2 KV heads of 10 elements, 97 tokens: no power of two anywhere.
ModelConfig odd_config();
// 2 layers, 4 query heads over 2 KV heads of 16; columns are multiples of 32, so that Q8_0 fits.
ModelConfig even_config();
// 2 layers, 4 query heads over 2 KV heads of 64; columns are multiples of 256, so that K types fit.
ModelConfig wide_config();

// Matrices take `types` in turn; norms are F32. `values` of types that are quantised in other ways
// than Q8_0 are of the size of the weights, not the weights.
std::vector<TensorSpec> random_tensors(const ModelConfig& config,
                                       const std::vector<TensorType>& types = {TensorType::f32});
// A GGUF v3 file without metadata.
std::vector<std::byte> gguf_bytes(const std::vector<TensorSpec>& tensors);

// A model file in memory with everything to run it.
struct Model {
  ModelConfig config;
  std::vector<std::byte> bytes;
  GgufFile file;
  explicit Model(const ModelConfig& config,
                 const std::vector<TensorType>& types = {TensorType::f32});
};

struct Setup {
  BackendOptions options = {.threads = 1, .max_seq = 300};
  std::vector<std::string> environment = {};  // GRETA_NAME=value
  std::string inject = {};
};
std::unique_ptr<Backend> cpu_backend(const Model& model, const Setup& setup = {});
Flags flags_of(const std::vector<std::string>& environment);

// Token ids that depend on the position, within the vocabulary.
std::vector<int32_t> some_tokens(int64_t n, int64_t vocab);

// Logits of the last `rows` positions by one prefill, and by decode after a prefill of the rest.
std::vector<float> by_prefill(Backend& backend, const ModelConfig& config,
                              const std::vector<int32_t>& tokens, int64_t rows);
std::vector<float> by_decode(Backend& backend, const ModelConfig& config,
                             const std::vector<int32_t>& tokens, int64_t rows);

// Token i is the text "<i>"; token 5 ends the text when asked for.
struct NumberTokenizer : Tokenizer {
  int64_t vocab = 0;
  int32_t end = -1;
  explicit NumberTokenizer(int64_t tokens) : vocab(tokens) {}
  std::vector<int32_t> encode(std::string_view, bool, bool) const override { return {}; }
  std::string piece(int32_t id, bool special) const override {
    return id == end && !special ? "" : "<" + std::to_string(id) + ">";
  }
  int64_t size() const override { return vocab; }
  bool adds_bos() const override { return false; }
  bool is_end(int32_t id) const override { return id == end; }
};

// Keeps records as JSON; fails from record `fail_after` on (-1: never).
struct MemoryOutput : Output {
  std::map<std::string, std::vector<nlohmann::json>> records;
  std::vector<std::string> order;  // events as they came
  int64_t fail_after = -1;
  bool wanted() const override { return true; }
  Result<> write(std::string_view event, const std::string& line) override;
  Result<> rename(std::string_view, const std::string&) override { return {}; }
  Result<> write_file(const std::string&, const std::string&) override { return {}; }
};

}  // namespace greta::engine::testing
