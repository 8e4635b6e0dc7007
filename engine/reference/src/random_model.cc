#include "random_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <stdexcept>

namespace greta::reference {
namespace {

using engine::TensorType;

constexpr double kScale = 0x1p-6;  // every weight is a whole number of these

template <class T>
void put(std::vector<std::byte>& bytes, T value) {
  const auto* at = reinterpret_cast<const std::byte*>(&value);
  bytes.insert(bytes.end(), at, at + sizeof value);
}

// The F16 pattern of a number that F16 holds exactly and as a normal one, or zero.
uint16_t exact_f16(double value) {
  if (value == 0) return 0;
  int exponent = 0;
  const double fraction = std::frexp(std::abs(value), &exponent);  // in [1/2, 1)
  const auto bits = static_cast<unsigned>((exponent + 14) << 10) +
                    static_cast<unsigned>(std::ldexp(fraction, 11)) - 1024u;
  return static_cast<uint16_t>(bits | (value < 0 ? 0x8000u : 0u));
}

void put_row(std::vector<std::byte>& bytes, const std::vector<double>& row, TensorType type) {
  for (size_t column = 0; column < row.size(); ++column) {
    const auto single = static_cast<float>(row[column]);
    uint32_t word;
    std::memcpy(&word, &single, sizeof word);
    switch (type) {
      case TensorType::f32:
        put(bytes, single);
        break;
      case TensorType::f16:
        put(bytes, exact_f16(row[column]));
        break;
      case TensorType::bf16:
        put(bytes, static_cast<uint16_t>(word >> 16));
        break;
      case TensorType::q8_0:
        if (column % 32 == 0) put(bytes, exact_f16(kScale));
        put(bytes, static_cast<int8_t>(row[column] / kScale));
        break;
      default:
        throw std::invalid_argument("no writer of this type");
    }
  }
}

void align(std::vector<std::byte>& bytes) { bytes.resize((bytes.size() + 31) / 32 * 32); }

}  // namespace

std::vector<std::byte> RandomModel::file(TensorType type) const {
  std::vector<std::byte> bytes, data;
  for (const char c : {'G', 'G', 'U', 'F'}) put(bytes, c);
  put(bytes, uint32_t{3});
  put(bytes, uint64_t{weights.size()});
  put(bytes, uint64_t{0});
  for (const auto& [name, matrix] : weights) {
    const bool vector = matrix.size() == 1;
    const TensorType stored = vector ? TensorType::f32 : type;
    align(data);
    put(bytes, uint64_t{name.size()});
    for (const char c : name) put(bytes, c);
    put(bytes, uint32_t{vector ? 1u : 2u});
    put(bytes, uint64_t{matrix[0].size()});
    if (!vector) put(bytes, uint64_t{matrix.size()});
    put(bytes, static_cast<uint32_t>(stored));
    put(bytes, uint64_t{data.size()});
    for (const auto& row : matrix) put_row(data, row, stored);
  }
  align(bytes);
  bytes.insert(bytes.end(), data.begin(), data.end());
  return bytes;
}

RandomModel random_model(const engine::ModelConfig& config, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  RandomModel model{.config = config, .weights = {}};
  const auto add = [&](const std::string& name, int64_t rows, int64_t columns, double size) {
    Matrix matrix(static_cast<size_t>(rows), std::vector<double>(static_cast<size_t>(columns)));
    for (auto& row : matrix) {
      for (double& value : row) {
        const double whole = std::nearbyint(size * normal(random) / kScale);
        value = kScale * std::clamp(whole, -127.0, 127.0);
      }
    }
    model.weights[name] = matrix;
  };
  const double in = 1.5 / std::sqrt(static_cast<double>(config.dim));
  const double out = 1.5 / std::sqrt(static_cast<double>(config.ffn));
  add("token_embd.weight", config.vocab, config.dim, 0.6);
  add("output_norm.weight", 1, config.dim, 0.6);
  if (!config.tied_embeddings) add("output.weight", config.vocab, config.dim, in);
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    const std::string block = "blk." + std::to_string(layer) + ".";
    add(block + "attn_norm.weight", 1, config.dim, 0.6);
    add(block + "attn_q.weight", config.q_dim(), config.dim, 2 * in);
    add(block + "attn_k.weight", config.kv_dim(), config.dim, 2 * in);
    add(block + "attn_v.weight", config.kv_dim(), config.dim, 2 * in);
    add(block + "attn_output.weight", config.dim, config.q_dim(), in);
    add(block + "ffn_norm.weight", 1, config.dim, 0.6);
    add(block + "ffn_gate.weight", config.ffn, config.dim, in);
    add(block + "ffn_up.weight", config.ffn, config.dim, in);
    add(block + "ffn_down.weight", config.dim, config.ffn, out);
  }
  return model;
}

}  // namespace greta::reference
