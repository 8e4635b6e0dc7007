#include "testing/test_model.h"

#include <cmath>
#include <cstring>
#include <random>

#include "kernels/kernels.h"
#include "synth/random_weights.h"

namespace greta::engine::testing {
namespace {

using kernels::DType;

template <class T>
void put(std::vector<std::byte>& to, T value) {
  const auto* bytes = reinterpret_cast<const std::byte*>(&value);
  to.insert(to.end(), bytes, bytes + sizeof value);
}

void pad(std::vector<std::byte>& to) { to.resize((to.size() + 31) / 32 * 32); }

void put_values(std::vector<std::byte>& to, const TensorSpec& tensor) {
  if (tensor.type == TensorType::q8_0) {
    for (size_t i = 0; i < tensor.values.size(); i += 32) {
      const float scale = 1.0f / 128;  // values lie within ±1
      std::vector<std::byte> half(2);
      kernels::round_to(DType::f16, {&scale, 1}, half.data());
      to.insert(to.end(), half.begin(), half.end());
      for (size_t j = 0; j < 32; ++j) {
        put(to, static_cast<int8_t>(std::nearbyint(tensor.values[i + j] / scale)));
      }
    }
    return;
  }
  if (tensor.type != TensorType::f32 && tensor.type != TensorType::f16 &&
      tensor.type != TensorType::bf16) {
    double squares = 0;
    for (const float value : tensor.values) squares += static_cast<double>(value) * value;
    const double deviation = std::sqrt(squares / static_cast<double>(tensor.values.size()));
    RandomRows rows(7, tensor.name, tensor.type, tensor.dims[0], deviation);
    std::vector<std::byte> row;
    for (int64_t r = 0; r < tensor.dims[1]; ++r) {
      rows.next(row);
      to.insert(to.end(), row.begin(), row.end());
    }
    return;
  }
  const DType type = tensor.type == TensorType::f16    ? DType::f16
                     : tensor.type == TensorType::bf16 ? DType::bf16
                                                       : DType::f32;
  const size_t at = to.size();
  to.resize(at + static_cast<size_t>(
                     kernels::row_bytes(type, static_cast<int64_t>(tensor.values.size()))));
  kernels::round_to(type, tensor.values, to.data() + at);
}

}  // namespace

ModelConfig odd_config() {
  return {.layers = 3,
          .dim = 60,
          .heads = 6,
          .kv_heads = 2,
          .head_dim = 10,
          .ffn = 77,
          .vocab = 97,
          .context = 300,
          .tied_embeddings = true};
}

ModelConfig even_config() {
  return {.layers = 2,
          .dim = 64,
          .heads = 4,
          .kv_heads = 2,
          .head_dim = 16,
          .ffn = 96,
          .vocab = 97,
          .context = 300};
}

ModelConfig wide_config() {
  return {.layers = 2,
          .dim = 256,
          .heads = 4,
          .kv_heads = 2,
          .head_dim = 64,
          .ffn = 512,
          .vocab = 97,
          .context = 300};
}

std::vector<TensorSpec> random_tensors(const ModelConfig& config,
                                       const std::vector<TensorType>& types) {
  std::mt19937 random(7);
  std::vector<TensorSpec> out;
  size_t matrices = 0;
  const auto add = [&](const std::string& name, std::vector<int64_t> dims, float size) {
    TensorSpec tensor = {.name = name, .dims = std::move(dims)};
    const bool matrix = tensor.dims.size() == 2;
    if (matrix) tensor.type = types[matrices++ % types.size()];
    int64_t elements = 1;
    for (const int64_t dim : tensor.dims) elements *= dim;
    for (int64_t i = 0; i < elements; ++i) {
      const float uniform = static_cast<float>(random() >> 8) * 0x1p-23f - 1.0f;
      tensor.values.push_back(matrix ? size * uniform : 1.0f + 0.2f * uniform);
    }
    out.push_back(std::move(tensor));
  };
  const float size = 1.7f / std::sqrt(static_cast<float>(config.dim));
  add("token_embd.weight", {config.dim, config.vocab}, 0.9f);
  add("output_norm.weight", {config.dim}, 1);
  if (!config.tied_embeddings) add("output.weight", {config.dim, config.vocab}, size);
  for (int64_t l = 0; l < config.layers; ++l) {
    const std::string block = "blk." + std::to_string(l) + ".";
    add(block + "attn_norm.weight", {config.dim}, 1);
    add(block + "attn_q.weight", {config.dim, config.q_dim()}, 2 * size);
    add(block + "attn_k.weight", {config.dim, config.kv_dim()}, 2 * size);
    add(block + "attn_v.weight", {config.dim, config.kv_dim()}, size);
    add(block + "attn_output.weight", {config.q_dim(), config.dim}, size);
    add(block + "ffn_norm.weight", {config.dim}, 1);
    add(block + "ffn_gate.weight", {config.dim, config.ffn}, size);
    add(block + "ffn_up.weight", {config.dim, config.ffn}, size);
    add(block + "ffn_down.weight", {config.ffn, config.dim}, size);
  }
  return out;
}

std::vector<std::byte> gguf_bytes(const std::vector<TensorSpec>& tensors) {
  std::vector<std::byte> head, data;
  for (const char c : {'G', 'G', 'U', 'F'}) put(head, c);
  put(head, uint32_t{3});
  put(head, uint64_t{tensors.size()});
  put(head, uint64_t{0});
  for (const TensorSpec& tensor : tensors) {
    pad(data);
    put(head, uint64_t{tensor.name.size()});
    for (const char c : tensor.name) put(head, c);
    put(head, static_cast<uint32_t>(tensor.dims.size()));
    for (const int64_t dim : tensor.dims) put(head, static_cast<uint64_t>(dim));
    put(head, static_cast<uint32_t>(tensor.type));
    put(head, uint64_t{data.size()});
    put_values(data, tensor);
  }
  pad(head);
  head.insert(head.end(), data.begin(), data.end());
  return head;
}

Model::Model(const ModelConfig& model_config, const std::vector<TensorType>& types)
    : config(model_config),
      bytes(gguf_bytes(random_tensors(model_config, types))),
      file(GgufFile::parse(bytes, "test.gguf").value()) {}

Flags flags_of(const std::vector<std::string>& environment) {
  auto flags = Flags::parse(environment);
  EXPECT_TRUE(flags) << flags.error().str();
  return *std::move(flags);
}

std::unique_ptr<Backend> cpu_backend(const Model& model, const Setup& setup) {
  auto backend = make_cpu_backend(model.file, model.config, setup.options,
                                  flags_of(setup.environment), Faults::parse(setup.inject).value());
  EXPECT_TRUE(backend) << backend.error().str();
  return *std::move(backend);
}

std::vector<int32_t> some_tokens(int64_t n, int64_t vocab) {
  std::vector<int32_t> out;
  for (int64_t i = 0; i < n; ++i) out.push_back(static_cast<int32_t>((i * 31 + i / 7 + 3) % vocab));
  return out;
}

std::vector<float> by_prefill(Backend& backend, const ModelConfig& config,
                              const std::vector<int32_t>& tokens, int64_t rows) {
  std::vector<float> logits(static_cast<size_t>(rows * config.vocab));
  backend.reset();
  const auto done = backend.forward({}, tokens, rows, logits);
  EXPECT_TRUE(done) << done.error().str();
  return logits;
}

std::vector<float> by_decode(Backend& backend, const ModelConfig& config,
                             const std::vector<int32_t>& tokens, int64_t rows) {
  std::vector<float> logits(static_cast<size_t>(rows * config.vocab));
  backend.reset();
  const auto first = static_cast<int64_t>(tokens.size()) - rows;
  if (first > 0) {
    const auto done =
        backend.forward({}, std::span(tokens).first(static_cast<size_t>(first)), 0, {});
    EXPECT_TRUE(done) << done.error().str();
  }
  for (int64_t i = 0; i < rows; ++i) {
    const auto done =
        backend.forward({.decode = true, .step = i + 1, .pos0 = first + i},
                        std::span(tokens).subspan(static_cast<size_t>(first + i), 1), 1,
                        std::span(logits).subspan(static_cast<size_t>(i * config.vocab),
                                                  static_cast<size_t>(config.vocab)));
    EXPECT_TRUE(done) << done.error().str();
  }
  return logits;
}

Result<> MemoryOutput::write(std::string_view event, const std::string& line) {
  if (fail_after >= 0 && static_cast<int64_t>(order.size()) >= fail_after) {
    return fail(EngineExit::device, "disk full");
  }
  records[std::string(event)].push_back(nlohmann::json::parse(line));
  order.emplace_back(event);
  return {};
}

}  // namespace greta::engine::testing
