#include "forward/weights.h"

#include <set>
#include <string>

#include "contract/text.h"
#include "kernels/kernels.h"

namespace greta::engine {
namespace {

using kernels::DType;
using kernels::WeightView;

std::string shape_text(const std::vector<int64_t>& dims) {
  return Tensor{.name = {}, .type = {}, .dims = dims, .data = {}}.shape();
}

class Binder {
 public:
  Binder(const GgufFile& file) : file_(file) {}

  Result<WeightView> matrix(const std::string& name, int64_t rows, int64_t columns) {
    TRY_ASSIGN(const Tensor* tensor, find(name, {columns, rows}));
    const DType type = dtype_of(tensor->type);
    if (!kernels::whole_blocks(type, columns)) {
      return error("tensor `" + name + "` is " + std::string(to_string(tensor->type)) + " with " +
                   std::to_string(columns) + " columns, which is no multiple of " +
                   std::to_string(kernels::block_of(type).elements));
    }
    return WeightView(tensor->data.data(), type, rows, columns);
  }

  Result<std::vector<float>> vector(const std::string& name, int64_t size) {
    TRY_ASSIGN(const Tensor* tensor, find(name, {size}));
    if (kernels::is_quantised(dtype_of(tensor->type))) {
      return error("tensor `" + name + "` is " + std::string(to_string(tensor->type)) +
                   "; norms are F32, F16 or BF16");
    }
    std::vector<float> values(static_cast<size_t>(size));
    kernels::dequantize(dtype_of(tensor->type), tensor->data.data(), values);
    return values;
  }

  void is_used(const std::string& name) { bound_.insert(name); }

  // Every tensor of the file must have been asked for.
  Result<> nothing_left() const {
    std::vector<std::string> known(bound_.begin(), bound_.end());
    for (const Tensor& tensor : file_.tensors()) {
      if (bound_.contains(tensor.name)) continue;
      return error("tensor `" + printable(tensor.name) +
                   "` has no place in a llama model: leaving it out would change the result" +
                   did_you_mean(tensor.name, known));
    }
    return {};
  }

 private:
  tl::unexpected<Error> error(std::string message) const {
    auto out = fail(EngineExit::input, std::move(message));
    out.value().file = file_.path();
    return out;
  }

  // dims in ggml's order: columns first.
  Result<const Tensor*> find(const std::string& name, const std::vector<int64_t>& dims) {
    TRY_ASSIGN(const Tensor* tensor, file_.tensor(name));
    if (tensor->dims != dims) {
      return error("tensor `" + name + "` has shape " + tensor->shape() +
                   ", the model's metadata asks for " + shape_text(dims) + " (columns first)");
    }
    int64_t elements = 1;
    for (const int64_t dim : dims) elements *= dim;
    const int64_t bytes = kernels::row_bytes(dtype_of(tensor->type), elements);
    if (static_cast<int64_t>(tensor->data.size()) < bytes) {
      return error("tensor `" + name + "` has " + std::to_string(tensor->data.size()) +
                   " bytes, its shape needs " + std::to_string(bytes));
    }
    bound_.insert(name);
    return tensor;
  }

  const GgufFile& file_;
  std::set<std::string, std::less<>> bound_;
};

}  // namespace

kernels::DType dtype_of(TensorType type) {
  switch (type) {
    case TensorType::f32:
      return DType::f32;
    case TensorType::f16:
      return DType::f16;
    case TensorType::bf16:
      return DType::bf16;
    case TensorType::q8_0:
      return DType::q8_0;
    case TensorType::q4_0:
      return DType::q4_0;
    case TensorType::q5_0:
      return DType::q5_0;
    case TensorType::q4_k:
      return DType::q4_k;
    case TensorType::q5_k:
      return DType::q5_k;
    case TensorType::q6_k:
      return DType::q6_k;
  }
  return DType::f32;
}

const WeightView& Weights::matrix(WeightMatrix matrix, int64_t layer) const {
  switch (matrix) {
    case WeightMatrix::embedding:
      return embedding;
    case WeightMatrix::output:
      return output;
    case WeightMatrix::wq:
      return layers.at(static_cast<size_t>(layer)).wq;
    case WeightMatrix::wk:
      return layers.at(static_cast<size_t>(layer)).wk;
    case WeightMatrix::wv:
      return layers.at(static_cast<size_t>(layer)).wv;
    case WeightMatrix::wo:
      return layers.at(static_cast<size_t>(layer)).wo;
  }
  return embedding;
}

Result<Weights> bind_weights(const GgufFile& file, const ModelConfig& config) {
  Binder bind(file);
  Weights weights;
  TRY_ASSIGN(weights.embedding, bind.matrix("token_embd.weight", config.vocab, config.dim));
  TRY_ASSIGN(weights.output_norm, bind.vector("output_norm.weight", config.dim));
  if (config.tied_embeddings) {
    weights.output = weights.embedding;
  } else {
    TRY_ASSIGN(weights.output, bind.matrix("output.weight", config.vocab, config.dim));
  }
  for (int64_t l = 0; l < config.layers; ++l) {
    const std::string block = "blk." + std::to_string(l) + ".";
    LayerWeights layer;
    TRY_ASSIGN(layer.attn_norm, bind.vector(block + "attn_norm.weight", config.dim));
    TRY_ASSIGN(layer.wq, bind.matrix(block + "attn_q.weight", config.q_dim(), config.dim));
    TRY_ASSIGN(layer.wk, bind.matrix(block + "attn_k.weight", config.kv_dim(), config.dim));
    TRY_ASSIGN(layer.wv, bind.matrix(block + "attn_v.weight", config.kv_dim(), config.dim));
    TRY_ASSIGN(layer.wo, bind.matrix(block + "attn_output.weight", config.dim, config.q_dim()));
    TRY_ASSIGN(layer.ffn_norm, bind.vector(block + "ffn_norm.weight", config.dim));
    TRY_ASSIGN(layer.gate, bind.matrix(block + "ffn_gate.weight", config.ffn, config.dim));
    TRY_ASSIGN(layer.up, bind.matrix(block + "ffn_up.weight", config.ffn, config.dim));
    TRY_ASSIGN(layer.down, bind.matrix(block + "ffn_down.weight", config.dim, config.ffn));
    weights.layers.push_back(std::move(layer));
  }
  bind.is_used("rope_freqs.weight");  // by ModelConfig
  TRY(bind.nothing_left());
  return weights;
}

}  // namespace greta::engine
