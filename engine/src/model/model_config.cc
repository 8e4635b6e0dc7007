#include "model/model_config.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "contract/text.h"

namespace greta::engine {
namespace {

// What a llama file may say under `llama.`. A key that is not here may change the arithmetic, so it
// is refused; the ones without a reader below are informative or implied by the shapes.
const std::vector<std::string> kKnownKeys = {
    "llama.attention.head_count",
    "llama.attention.head_count_kv",
    "llama.attention.key_length",
    "llama.attention.layer_norm_rms_epsilon",
    "llama.attention.value_length",
    "llama.block_count",
    "llama.context_length",
    "llama.embedding_length",
    "llama.expert_count",
    "llama.expert_used_count",
    "llama.feed_forward_length",
    "llama.rope.dimension_count",
    "llama.rope.freq_base",
    "llama.rope.scale_linear",
    "llama.rope.scaling.factor",
    "llama.rope.scaling.finetuned",
    "llama.rope.scaling.original_context_length",
    "llama.rope.scaling.type",
    "llama.vocab_size",
};

constexpr int64_t kMaxLayers = 1000;
constexpr int64_t kMaxDim = int64_t{1} << 24;

class ConfigReader {
 public:
  explicit ConfigReader(const GgufFile& file) : file_(file) {}

  Result<ModelConfig> read();

 private:
  tl::unexpected<Error> error(std::string message) const {
    return tl::unexpected<Error>(Error{.message = std::move(message),
                                       .file = file_.path(),
                                       .exit_code = static_cast<int>(EngineExit::input)});
  }
  Result<> check_keys() const;
  Result<> read_rope(ModelConfig* config) const;
  Result<double> linear_scaling() const;
  Result<> read_rope_freqs(ModelConfig* config) const;
  Result<> check_tensors(ModelConfig* config) const;
  Result<int64_t> vocabulary() const;
  // A positive integer up to `most`; without a default, the key must be there.
  Result<int64_t> size(std::string_view key, int64_t most,
                       std::optional<int64_t> fallback = {}) const {
    if (fallback && !file_.has(key)) return *fallback;
    TRY_ASSIGN(const int64_t value, file_.integer(key));
    if (value >= 1 && value <= most) return value;
    return error("metadata `" + std::string(key) + "` is " + std::to_string(value) +
                 ", outside 1 to " + std::to_string(most));
  }

  const GgufFile& file_;
};

Result<> ConfigReader::check_keys() const {
  for (const auto& [key, value] : file_.metadata()) {
    if (!key.starts_with("llama.")) continue;
    bool known = false;
    for (const auto& name : kKnownKeys) known |= name == key;
    if (!known) {
      return error("metadata `" + printable(key) +
                   "` is not supported: it may change the computation" +
                   did_you_mean(key, kKnownKeys));
    }
  }
  if (file_.has("llama.expert_count")) {
    TRY_ASSIGN(const int64_t experts, file_.integer("llama.expert_count"));
    if (experts != 0)
      return error("metadata `llama.expert_count` is " + std::to_string(experts) +
                   ": mixture-of-experts models are not supported");
  }
  return {};
}

// 1 where positions are not scaled.
Result<double> ConfigReader::linear_scaling() const {
  bool linear = true;
  if (file_.has("llama.rope.scaling.type")) {
    TRY_ASSIGN(const auto type, file_.text("llama.rope.scaling.type"));
    if (type != "none" && type != "linear") {
      return error("metadata `llama.rope.scaling.type` is \"" + printable(type) +
                   "\": this engine has none and linear");
    }
    linear = type == "linear";
  }
  double scaling = 1;
  for (const auto* key : {"llama.rope.scaling.factor", "llama.rope.scale_linear"}) {
    if (!file_.has(key)) continue;
    TRY_ASSIGN(const double factor, file_.real(key));
    if (!(factor > 0 && factor < 1e6)) {
      return error("metadata `" + std::string(key) + "` is " + std::to_string(factor) +
                   ", outside 0 to 1e6");
    }
    if (linear) scaling = factor;
  }
  return scaling;
}

Result<> ConfigReader::read_rope_freqs(ModelConfig* config) const {
  TRY_ASSIGN(const Tensor* tensor, file_.tensor("rope_freqs.weight"));
  if (tensor->type != TensorType::f32 ||
      tensor->dims != std::vector<int64_t>{config->head_dim / 2}) {
    return error("tensor `rope_freqs.weight` is " + std::string(to_string(tensor->type)) + " " +
                 tensor->shape() + "; heads of " + std::to_string(config->head_dim) +
                 " elements ask for F32 [" + std::to_string(config->head_dim / 2) + "]");
  }
  for (int64_t i = 0; i < config->head_dim / 2; ++i) {
    float factor = 0;
    std::memcpy(&factor, tensor->data.data() + i * 4, sizeof factor);
    if (!(factor > 0 && factor < 1e6f)) {
      return error("tensor `rope_freqs.weight`: element " + std::to_string(i) + " is " +
                   std::to_string(factor) + ", outside 0 to 1e6");
    }
    config->rope_factors[static_cast<size_t>(i)] *= factor;
  }
  return {};
}

Result<> ConfigReader::read_rope(ModelConfig* config) const {
  TRY_ASSIGN(const int64_t rotated, size("llama.rope.dimension_count", kMaxDim, config->head_dim));
  if (rotated != config->head_dim) {
    return error("metadata `llama.rope.dimension_count` is " + std::to_string(rotated) +
                 ", but heads have " + std::to_string(config->head_dim) +
                 " elements: partial rotation is not supported");
  }
  TRY_ASSIGN(const double scaling, linear_scaling());
  const bool has_factors = file_.has_tensor("rope_freqs.weight");
  if (scaling == 1 && !has_factors) return {};
  config->rope_factors.assign(static_cast<size_t>(config->head_dim / 2),
                              static_cast<float>(scaling));
  if (has_factors) TRY(read_rope_freqs(config));
  return {};
}

Result<int64_t> ConfigReader::vocabulary() const {
  std::optional<int64_t> tokens;
  if (file_.has("tokenizer.ggml.tokens")) {
    TRY_ASSIGN(const auto list, file_.strings("tokenizer.ggml.tokens"));
    tokens = static_cast<int64_t>(list.size());
  }
  TRY_ASSIGN(const int64_t vocab, size("llama.vocab_size", kMaxDim, tokens));
  if (tokens && *tokens != vocab) {
    return error("metadata `llama.vocab_size` is " + std::to_string(vocab) +
                 ", but `tokenizer.ggml.tokens` has " + std::to_string(*tokens));
  }
  return vocab;
}

Result<> ConfigReader::check_tensors(ModelConfig* config) const {
  std::set<std::string> expected;
  const auto check = [&](const std::string& name, std::vector<int64_t> dims) -> Result<> {
    TRY_ASSIGN(const Tensor* tensor, file_.tensor(name));
    expected.insert(name);
    if (tensor->dims == dims) return {};
    Tensor wanted;
    wanted.dims = std::move(dims);
    return error("tensor `" + name + "` has the shape " + tensor->shape() +
                 ", but the metadata asks for " + wanted.shape());
  };
  const int64_t dim = config->dim;
  TRY(check("token_embd.weight", {dim, config->vocab}));
  TRY(check("output_norm.weight", {dim}));
  expected.insert("rope_freqs.weight");  // where it is there, read_rope_freqs has checked it
  config->tied_embeddings = !file_.has_tensor("output.weight");
  if (!config->tied_embeddings) TRY(check("output.weight", {dim, config->vocab}));
  for (int64_t layer = 0; layer < config->layers; ++layer) {
    const std::string block = "blk." + std::to_string(layer) + ".";
    TRY(check(block + "attn_norm.weight", {dim}));
    TRY(check(block + "attn_q.weight", {dim, config->q_dim()}));
    TRY(check(block + "attn_k.weight", {dim, config->kv_dim()}));
    TRY(check(block + "attn_v.weight", {dim, config->kv_dim()}));
    TRY(check(block + "attn_output.weight", {config->q_dim(), dim}));
    TRY(check(block + "ffn_norm.weight", {dim}));
    TRY(check(block + "ffn_gate.weight", {dim, config->ffn}));
    TRY(check(block + "ffn_up.weight", {dim, config->ffn}));
    TRY(check(block + "ffn_down.weight", {config->ffn, dim}));
  }
  // A tensor that nothing would read (a bias, an adapter) means another computation than ours.
  for (const auto& tensor : file_.tensors()) {
    if (expected.contains(tensor.name)) continue;
    return error("tensor `" + printable(tensor.name) + "` is none that a llama model of " +
                 std::to_string(config->layers) + " layers has" +
                 did_you_mean(tensor.name, {expected.begin(), expected.end()}));
  }
  return {};
}

Result<ModelConfig> ConfigReader::read() {
  TRY_ASSIGN(const auto architecture, file_.text("general.architecture"));
  if (architecture != "llama") {
    return error("metadata `general.architecture` is \"" + printable(architecture) +
                 "\": this engine runs llama");
  }
  TRY(check_keys());
  ModelConfig config;
  TRY_ASSIGN(config.layers, size("llama.block_count", kMaxLayers));
  TRY_ASSIGN(config.dim, size("llama.embedding_length", kMaxDim));
  TRY_ASSIGN(config.heads, size("llama.attention.head_count", kMaxDim));
  TRY_ASSIGN(config.kv_heads, size("llama.attention.head_count_kv", kMaxDim, config.heads));
  if (config.heads % config.kv_heads != 0) {
    return error("metadata `llama.attention.head_count` is " + std::to_string(config.heads) +
                 ", no multiple of `llama.attention.head_count_kv` " +
                 std::to_string(config.kv_heads));
  }
  if (!file_.has("llama.attention.key_length") && config.dim % config.heads != 0) {
    return error("metadata `llama.embedding_length` is " + std::to_string(config.dim) +
                 ", no multiple of `llama.attention.head_count` " + std::to_string(config.heads));
  }
  TRY_ASSIGN(config.head_dim, size("llama.attention.key_length", kMaxDim,
                                   std::max<int64_t>(1, config.dim / config.heads)));
  TRY_ASSIGN(const int64_t value_dim,
             size("llama.attention.value_length", kMaxDim, config.head_dim));
  if (value_dim != config.head_dim) {
    return error("metadata `llama.attention.value_length` is " + std::to_string(value_dim) +
                 ", but keys have " + std::to_string(config.head_dim) + " elements");
  }
  if (config.head_dim % 2 != 0) {
    return error("heads have " + std::to_string(config.head_dim) +
                 " elements: RoPE rotates pairs, so the number must be even");
  }
  if (config.heads > kMaxDim / config.head_dim)
    return error("the heads have too many elements in all");
  TRY_ASSIGN(config.ffn, size("llama.feed_forward_length", kMaxDim));
  TRY_ASSIGN(config.context, size("llama.context_length", kMaxDim));
  TRY_ASSIGN(config.vocab, vocabulary());
  TRY_ASSIGN(const double eps, file_.real("llama.attention.layer_norm_rms_epsilon"));
  if (!(eps > 0 && eps < 1)) {
    return error("metadata `llama.attention.layer_norm_rms_epsilon` is " + std::to_string(eps) +
                 ", outside 0 to 1");
  }
  config.rms_eps = static_cast<float>(eps);
  if (file_.has("llama.rope.freq_base")) {
    TRY_ASSIGN(const double base, file_.real("llama.rope.freq_base"));
    if (!(base > 1 && base < 1e12)) {
      return error("metadata `llama.rope.freq_base` is " + std::to_string(base) +
                   ", outside 1 to 1e12");
    }
    config.rope_base = static_cast<float>(base);
  }
  TRY(read_rope(&config));
  TRY(check_tensors(&config));
  return config;
}

}  // namespace

Result<ModelConfig> read_model_config(const GgufFile& file) { return ConfigReader(file).read(); }

}  // namespace greta::engine
