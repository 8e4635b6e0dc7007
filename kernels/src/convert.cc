#include "convert.h"

#include "kernels/kernels.h"

namespace greta::kernels {

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
      assert(n % kQ8Block == 0);
      for (size_t i = 0; i < n; ++i) {
        const std::byte* block = row + i / kQ8Block * kQ8BlockBytes;
        const float scale = f16_to_f32(load_unaligned<uint16_t>(block));
        out[i] = scale * static_cast<float>(load_unaligned<int8_t>(block + 2 + i % kQ8Block));
      }
      return;
  }
}

void round_to(DType type, std::span<const float> values, std::byte* out) {
  assert(type != DType::q8_0);
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
