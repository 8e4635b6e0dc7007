#pragma once
// The shape of a `llama` model, read and checked once.

#include <cstdint>
#include <vector>

#include "contract/result.h"
#include "model/gguf.h"

namespace greta::engine {

struct ModelConfig {
  int64_t layers = 0;
  int64_t dim = 0;       // residual stream
  int64_t heads = 0;     // query heads
  int64_t kv_heads = 0;  // divides heads
  int64_t head_dim = 0;  // even
  int64_t ffn = 0;
  int64_t vocab = 0;
  int64_t context = 0;  // longest sequence the model was trained for
  float rms_eps = 1e-5f;
  float rope_base = 10000.0f;
  // (head_dim / 2) or empty: pair i turns by position · base^(−2i/head_dim) / factor_i. Linear
  // scaling gives all the same; Llama 3.1 and later keep theirs in the tensor `rope_freqs.weight`.
  std::vector<float> rope_factors = {};
  bool tied_embeddings = false;  // no output.weight: the embedding is the LM head
  int64_t group() const { return heads / kv_heads; }  // query heads per KV head
  int64_t q_dim() const { return heads * head_dim; }
  int64_t kv_dim() const { return kv_heads * head_dim; }
};

// Errors name the metadata key or the tensor with the wrong shape, and both shapes.
Result<ModelConfig> read_model_config(const GgufFile& file);

}  // namespace greta::engine
