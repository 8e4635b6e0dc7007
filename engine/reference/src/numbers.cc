#include "reference/numbers.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace greta::reference {
namespace {

using engine::KvType;
using engine::TensorType;

template <class T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// Nearest value with `precision` significant bits and no exponent below `min_exponent` (of the
// leading bit of the smallest normal number), ties to even; beyond `largest` it is infinite.
double round_to_format(double value, int precision, int min_exponent, double largest) {
  if (!std::isfinite(value) || value == 0.0) return value;
  int exponent = 0;
  std::frexp(value, &exponent);  // |value| in [2^(exponent-1), 2^exponent)
  const int leading = exponent - 1 < min_exponent ? min_exponent : exponent - 1;
  const double ulp = std::ldexp(1.0, leading - (precision - 1));
  const double rounded =
      std::nearbyint(value / ulp) * ulp;  // the division by a power of 2 is exact
  if (std::abs(rounded) > largest)
    return std::copysign(std::numeric_limits<double>::infinity(), value);
  return rounded;
}

// Bits [at, at + width) of a block's bytes, the lowest first.
unsigned bits_of(const std::byte* bytes, int64_t at, int width) {
  unsigned value = 0;
  for (int i = 0; i < width; ++i) {
    const int64_t bit = at + i;
    value |= (static_cast<unsigned>(bytes[bit / 8]) >> (bit % 8) & 1u) << i;
  }
  return value;
}

// Each product and difference rounded to float, as the format's definition computes them.
double rounded(double value) { return static_cast<double>(static_cast<float>(value)); }

double q4_0(const std::byte* block, int64_t i) {
  const unsigned nibble = bits_of(block + 2, i % 16 * 8 + i / 16 * 4, 4);
  return rounded(f16_to_double(load<uint16_t>(block)) * (static_cast<int>(nibble) - 8));
}

double q5_0(const std::byte* block, int64_t i) {
  const unsigned value = bits_of(block + 6, i % 16 * 8 + i / 16 * 4, 4) | bits_of(block + 2, i, 1)
                                                                              << 4;
  return rounded(f16_to_double(load<uint16_t>(block)) * (static_cast<int>(value) - 16));
}

// Q4_K and Q5_K: eight groups of 32, each with a six-bit scale and minimum. Of the twelve bytes,
// 0–3 hold the scales of groups 0–3 and 4–7 their minima, both with the upper two bits of the later
// groups on top; 8–11 hold the lower four bits of the later groups' scale and minimum.
double k_with_minimum(const std::byte* block, int64_t i, bool five_bits) {
  const int64_t group = i / 32, lane = i % 32;
  const std::byte* packed = block + 4;
  unsigned scale = 0, minimum = 0;
  if (group < 4) {
    scale = bits_of(packed + group, 0, 6);
    minimum = bits_of(packed + 4 + group, 0, 6);
  } else {
    const int64_t g = group - 4;
    scale = bits_of(packed + 8 + g, 0, 4) | bits_of(packed + g, 6, 2) << 4;
    minimum = bits_of(packed + 8 + g, 4, 4) | bits_of(packed + 4 + g, 6, 2) << 4;
  }
  const std::byte* nibbles = block + (five_bits ? 48 : 16);
  unsigned value = bits_of(nibbles + group / 2 * 32 + lane, group % 2 * 4, 4);
  if (five_bits) value |= bits_of(block + 16 + lane, group, 1) << 4;
  const double step = rounded(f16_to_double(load<uint16_t>(block)) * scale);
  const double offset = rounded(f16_to_double(load<uint16_t>(block + 2)) * minimum);
  return rounded(rounded(step * value) - offset);
}

// Q6_K: two halves of 128 = four quarters of 32; a quarter's low four bits are in bytes of its own
// or in the upper nibbles of the quarter two before it, its high two bits at place `quarter` of 32
// bytes.
double q6_k(const std::byte* block, int64_t i) {
  const int64_t half = i / 128, quarter = i % 128 / 32, lane = i % 32;
  const unsigned low = bits_of(block + half * 64 + quarter % 2 * 32 + lane, quarter / 2 * 4, 4);
  const unsigned high = bits_of(block + 128 + half * 32 + lane, quarter * 2, 2);
  const double step =
      rounded(f16_to_double(load<uint16_t>(block + 208)) * load<int8_t>(block + 192 + i / 16));
  return rounded(step * (static_cast<int>(low | high << 4) - 32));
}

}  // namespace

double f16_to_double(uint16_t bits) {
  const uint64_t sign = static_cast<uint64_t>(bits >> 15) << 63;
  const uint64_t exponent = (bits >> 10) & 31u, fraction = bits & 1023u;
  if (exponent == 0) {  // zero and subnormals: fraction · 2^-24
    const double magnitude = static_cast<double>(fraction) * 0x1p-24;
    return sign != 0 ? -magnitude : magnitude;
  }
  // The same number with an exponent biased by 1023 and 52 bits of fraction; 31 is infinity or NaN.
  const uint64_t wide = exponent == 31 ? 2047 : exponent - 15 + 1023;
  return std::bit_cast<double>(sign | (wide << 52) | (fraction << 42));
}

double bf16_to_double(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

double read_element(const engine::Tensor& tensor, int64_t element) {
  const std::byte* data = tensor.data.data();
  switch (tensor.type) {
    case TensorType::f32:
      return load<float>(data + element * 4);
    case TensorType::f16:
      return f16_to_double(load<uint16_t>(data + element * 2));
    case TensorType::bf16:
      return bf16_to_double(load<uint16_t>(data + element * 2));
    case TensorType::q8_0: {
      const std::byte* block = data + element / 32 * 34;
      return f16_to_double(load<uint16_t>(block)) * load<int8_t>(block + 2 + element % 32);
    }
    case TensorType::q4_0:
      return q4_0(data + element / 32 * 18, element % 32);
    case TensorType::q5_0:
      return q5_0(data + element / 32 * 22, element % 32);
    case TensorType::q4_k:
      return k_with_minimum(data + element / 256 * 144, element % 256, false);
    case TensorType::q5_k:
      return k_with_minimum(data + element / 256 * 176, element % 256, true);
    case TensorType::q6_k:
      return q6_k(data + element / 256 * 210, element % 256);
  }
  return std::numeric_limits<double>::quiet_NaN();
}

void read_row(const engine::Tensor& tensor, int64_t row, std::span<double> out) {
  const int64_t columns = tensor.columns();
  for (int64_t c = 0; c < columns; ++c) {
    out[static_cast<size_t>(c)] = read_element(tensor, row * columns + c);
  }
}

double round_to_storage(double value, KvType type) {
  switch (type) {
    case KvType::f32:
      return static_cast<double>(static_cast<float>(value));
    case KvType::f16:
      return round_to_format(value, 11, -14, 65504.0);
    case KvType::bf16:
      return round_to_format(value, 8, -126, 0x1.FEp127);
  }
  return value;
}

double read_storage(const std::byte* at, KvType type) {
  switch (type) {
    case KvType::f32:
      return load<float>(at);
    case KvType::f16:
      return f16_to_double(load<uint16_t>(at));
    case KvType::bf16:
      return bf16_to_double(load<uint16_t>(at));
  }
  return std::numeric_limits<double>::quiet_NaN();
}

int64_t storage_bytes(KvType type) { return type == KvType::f32 ? 4 : 2; }

}  // namespace greta::reference
