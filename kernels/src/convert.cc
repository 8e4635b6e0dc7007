#include "convert.h"

#include "kernels/kernels.h"
#include "quant_blocks.h"

namespace greta::kernels {
namespace {

void unpack(Sixteen (*sixteen)(const std::byte*, int64_t), const std::byte* row,
            std::span<float> out) {
  const auto n = static_cast<int64_t>(out.size());
  assert(n % 16 == 0);
  for (int64_t c = 0; c < n; c += 16) {
    const Sixteen block = sixteen(row, c);
    for (int i = 0; i < 16; ++i) {
      const float product = block.scale * static_cast<float>(block.q[i]);
      out[static_cast<size_t>(c + i)] = product - block.minimum;
    }
  }
}

}  // namespace

void dequantize(DType type, const std::byte* row, std::span<float> out) {
  const size_t n = out.size();
  switch (type) {
    case DType::f32:
      std::memcpy(out.data(), row, n * sizeof(float));
      return;
    case DType::f16:
      for (size_t i = 0; i < n; ++i) out[i] = f16_to_f32(load_unaligned<uint16_t>(row + 2 * i));
      return;
    case DType::bf16:
      for (size_t i = 0; i < n; ++i) out[i] = bf16_to_f32(load_unaligned<uint16_t>(row + 2 * i));
      return;
    case DType::q8_0:
      return unpack(sixteen_q8_0, row, out);
    case DType::q4_0:
      return unpack(sixteen_q4_0, row, out);
    case DType::q5_0:
      return unpack(sixteen_q5_0, row, out);
    case DType::q4_k:
      return unpack(sixteen_q4_k, row, out);
    case DType::q5_k:
      return unpack(sixteen_q5_k, row, out);
    case DType::q6_k:
      return unpack(sixteen_q6_k, row, out);
  }
}

void round_to(DType type, std::span<const float> values, std::byte* out) {
  assert(!is_quantised(type));
  if (type == DType::f32) {
    std::memcpy(out, values.data(), values.size_bytes());
    return;
  }
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t bits = type == DType::f16 ? f32_to_f16(values[i]) : f32_to_bf16(values[i]);
    std::memcpy(out + 2 * i, &bits, sizeof bits);
  }
}

}  // namespace greta::kernels
