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

void read_row(const engine::Tensor& tensor, int64_t row, std::span<double> out) {
  const int64_t columns = tensor.columns();
  const std::byte* data = tensor.data.data();
  for (int64_t c = 0; c < columns; ++c) {
    const int64_t element = row * columns + c;
    switch (tensor.type) {
      case TensorType::f32:
        out[c] = load<float>(data + element * 4);
        break;
      case TensorType::f16:
        out[c] = f16_to_double(load<uint16_t>(data + element * 2));
        break;
      case TensorType::bf16:
        out[c] = bf16_to_double(load<uint16_t>(data + element * 2));
        break;
      case TensorType::q8_0: {
        const std::byte* block = data + element / 32 * 34;
        out[c] = f16_to_double(load<uint16_t>(block)) * load<int8_t>(block + 2 + element % 32);
        break;
      }
    }
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
