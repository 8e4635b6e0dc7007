#pragma once
// The tensors of a llama model, bound by name, type and shape. Matrices stay in the file's mapping
// as they are stored; norms, which are small, are converted to fp32 once.

#include <vector>

#include "contract/result.h"
#include "forward/backend.h"
#include "kernels/types.h"
#include "model/gguf.h"
#include "model/model_config.h"

namespace greta::engine {

kernels::DType dtype_of(TensorType type);  // of a usable type

struct LayerWeights {
  std::vector<float> attn_norm, ffn_norm;  // (dim)
  kernels::WeightView wq;                  // (heads·head_dim, dim)
  kernels::WeightView wk, wv;              // (kv_heads·head_dim, dim)
  kernels::WeightView wo;                  // (dim, heads·head_dim)
  kernels::WeightView gate, up;            // (ffn, dim)
  kernels::WeightView down;                // (dim, ffn)
};

struct Weights {
  kernels::WeightView embedding;   // (vocab, dim)
  kernels::WeightView output;      // (vocab, dim); the embedding again where they are tied
  std::vector<float> output_norm;  // (dim)
  std::vector<LayerWeights> layers;
  // Copies that views point into, where a fault replaced what the file holds (weight_faults.h).
  std::vector<std::vector<float>> replaced;

  const kernels::WeightView& matrix(WeightMatrix matrix, int64_t layer) const;
};

// Errors (EngineExit::input) name the tensor with the expected and the actual type or shape. A
// tensor of the file that the forward pass would not use is an error, too: it would change the
// result. `file` must outlive the weights.
Result<Weights> bind_weights(const GgufFile& file, const ModelConfig& config);

}  // namespace greta::engine
