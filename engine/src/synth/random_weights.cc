#include "synth/random_weights.h"

#include <cassert>
#include <cmath>
#include <cstring>

#include "forward/weights.h"
#include "kernels/kernels.h"

namespace greta::engine {
namespace {

using kernels::DType;

uint64_t hash_of(std::string_view text) {  // FNV-1a
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

// Standard deviation of whole numbers spread evenly over [−n/2, n/2).
double spread(double n) { return std::sqrt((n * n - 1) / 12); }

void put_half(std::byte* to, double value) {
  const auto single = static_cast<float>(value);
  kernels::round_to(DType::f16, {&single, 1}, to);
}

}  // namespace

int64_t block_elements(TensorType type) { return kernels::block_of(dtype_of(type)).elements; }
int64_t stored_row_bytes(TensorType type, int64_t columns) {
  return kernels::row_bytes(dtype_of(type), columns);
}

RandomRows::RandomRows(uint64_t seed, std::string_view name, TensorType type, int64_t columns,
                       double deviation)
    : type_(type), columns_(columns), deviation_(deviation), state_(seed ^ hash_of(name)) {}

uint64_t RandomRows::random() {  // splitmix64
  uint64_t z = state_ += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

void RandomRows::fill(std::byte* to, int64_t bytes) {
  while (bytes > 0) {
    const uint64_t word = random();
    const int64_t n = bytes < 8 ? bytes : 8;
    std::memcpy(to, &word, static_cast<size_t>(n));
    to += n;
    bytes -= n;
  }
}

void RandomRows::ones(std::vector<std::byte>& row) const {
  assert(type_ == TensorType::f32);
  const std::vector<float> values(static_cast<size_t>(columns_), 1.0f);
  row.resize(values.size() * sizeof(float));
  std::memcpy(row.data(), values.data(), row.size());
}

void RandomRows::next(std::vector<std::byte>& row) {
  row.resize(static_cast<size_t>(stored_row_bytes(type_, columns_)));
  if (block_elements(type_) == 1) return plain(row);
  const kernels::Block layout = kernels::block_of(dtype_of(type_));
  for (int64_t c = 0; c < columns_ / layout.elements; ++c) block(row.data() + c * layout.bytes);
}

void RandomRows::plain(std::vector<std::byte>& row) {
  const double unit = deviation_ * std::sqrt(3.0) / 32768;
  std::vector<float> values(static_cast<size_t>(columns_));
  uint64_t word = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    if (i % 4 == 0) word = random();
    // Half steps, so that zero is no value and the mean is.
    const double step = static_cast<double>(static_cast<int16_t>(word >> i % 4 * 16)) + 0.5;
    values[i] = static_cast<float>(step * unit);
  }
  kernels::round_to(dtype_of(type_), values, row.data());
}

// Random bytes, with the fp16 scales put where the type has them (kernels/src/quant_blocks.h).
void RandomRows::block(std::byte* to) {
  fill(to, kernels::block_of(dtype_of(type_)).bytes);
  // Quants from −n/2 to n/2 − 1 have the mean −1/2: as many blocks turn it round.
  const double sign = (random() & 1) == 0 ? 1 : -1;
  switch (type_) {
    case TensorType::q8_0:
      return put_half(to, sign * deviation_ / spread(256));
    case TensorType::q4_0:
      return put_half(to, sign * deviation_ / spread(16));
    case TensorType::q5_0:
      return put_half(to, sign * deviation_ / spread(32));
    case TensorType::q4_k:
    case TensorType::q5_k: {
      // Every sub-block has scale = minimum in 32 … 63, so that its middle is zero: of the twelve
      // bytes, 0–3 and 4–7 equal each other, as do the nibbles of 8–11.
      const double quants = type_ == TensorType::q4_k ? 16 : 32, mean_scale = 48.4;
      const double step = deviation_ / (spread(quants) * mean_scale);
      put_half(to, step);
      put_half(to + 2, step * (quants - 1) / 2);
      for (int i = 0; i < 4; ++i) {
        const auto low =
            static_cast<unsigned>(to[4 + i]) | 0xa0u;  // the top bit of both six-bit halves
        to[4 + i] = to[8 + i] = static_cast<std::byte>(low);
        const auto nibble = static_cast<unsigned>(to[12 + i]) & 15u;
        to[12 + i] = static_cast<std::byte>(nibble | nibble << 4);
      }
      return;
    }
    case TensorType::q6_k: {
      for (int i = 0; i < 16; ++i) {  // scales of 64 … 127
        to[192 + i] = static_cast<std::byte>((static_cast<unsigned>(to[192 + i]) & 63u) | 64u);
      }
      return put_half(to + 208, sign * deviation_ / (spread(64) * 97.3));
    }
    case TensorType::f32:
    case TensorType::f16:
    case TensorType::bf16:
      return;
  }
}

}  // namespace greta::engine
