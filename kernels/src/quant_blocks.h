#pragma once
// The quantised blocks of GGUF files: their layouts, and sixteen weights of each at a time as plain
// code (blocks-inl.h and int8_blocks_avx512.h have the fast readings). Source: ggml-common.h
// (layouts) and the dequantisation of the gguf Python package, whose fp32 operations and their
// order these are.
//
//   type  weights bytes  layout                                               weight
//   q8_0  32      34     f16 d; i8 q[32]                                      d · q
//   q4_0  32      18     f16 d; u8 q[16]: low nibbles 0…15, high ones 16…31   d · (q − 8)
//   q5_0  32      22     f16 d; u32 fifth bits; u8 q[16] as q4_0              d · (q − 16)
//   q4_k  256     144    f16 d, m; u8 s[12]; u8 q[128]                        (d·sc)·q − m·mn
//   q5_k  256     176    f16 d, m; u8 s[12]; u8 fifth bits[32]; u8 q[128]     (d·sc)·q − m·mn
//   q6_k  256     210    u8 low[128]; u8 high[64]; i8 sc[16]; f16 d           (d·sc)·(q − 32)
//
// q4_k and q5_k: sub-block j of 32 weights has the six-bit scale sc and minimum mn of s; the low
// nibbles of q[32·(j/2) …] are sub-block j even, the high ones j odd. q6_k: sub-blocks of 16.

#include <cstdint>

#include "convert.h"
#include "kernels/types.h"

namespace greta::kernels {

// weight_i = scale · q_i − minimum
struct Sixteen {
  int8_t q[16];
  float scale, minimum;
};

inline const uint8_t* bytes_at(const std::byte* block, int64_t offset) {
  return reinterpret_cast<const uint8_t*>(block) + offset;
}

// sc and mn of sub-block j, six bits each, of the twelve packed bytes.
struct ScaleMinimum {
  uint8_t scale, minimum;
};
inline ScaleMinimum scale_minimum(const uint8_t* s, int64_t j) {
  if (j < 4) {
    return {static_cast<uint8_t>(s[j] & 63), static_cast<uint8_t>(s[j + 4] & 63)};
  }
  return {static_cast<uint8_t>((s[j + 4] & 15) | (s[j - 4] >> 6) << 4),
          static_cast<uint8_t>((s[j + 4] >> 4) | (s[j] >> 6) << 4)};
}

// sc and mn of all eight sub-blocks of a q4_k or q5_k block, a byte each, sub-block 0 lowest.
struct ScalesMinima {
  uint64_t scales, minima;
};
inline ScalesMinima scales_minima(const std::byte* block) {
  const auto a = load_unaligned<uint32_t>(block + 4);
  const auto b = load_unaligned<uint32_t>(block + 8);
  const auto c = load_unaligned<uint32_t>(block + 12);
  // Four sub-blocks at a time.
  constexpr uint32_t kSix = 0x3f3f3f3f, kFour = 0x0f0f0f0f, kTop = 0x30303030;
  return {(a & kSix) | uint64_t{(c & kFour) | (a >> 2 & kTop)} << 32,
          (b & kSix) | uint64_t{(c >> 4 & kFour) | (b >> 2 & kTop)} << 32};
}

// Each: weights [c, c + 16) of a row, c a multiple of 16.

inline Sixteen sixteen_q8_0(const std::byte* row, int64_t c) {
  const std::byte* block = row + c / 32 * 34;
  Sixteen out;
  std::memcpy(out.q, block + 2 + c % 32, 16);
  out.scale = f16_to_f32(load_unaligned<uint16_t>(block));
  out.minimum = 0;
  return out;
}

inline Sixteen sixteen_q4_0(const std::byte* row, int64_t c) {
  const std::byte* block = row + c / 32 * 18;
  const uint8_t* q = bytes_at(block, 2);
  const int shift = c % 32 == 0 ? 0 : 4;
  Sixteen out;
  for (int i = 0; i < 16; ++i) out.q[i] = static_cast<int8_t>((q[i] >> shift & 15) - 8);
  out.scale = f16_to_f32(load_unaligned<uint16_t>(block));
  out.minimum = 0;
  return out;
}

inline Sixteen sixteen_q5_0(const std::byte* row, int64_t c) {
  const std::byte* block = row + c / 32 * 22;
  const uint32_t fifth = load_unaligned<uint32_t>(block + 2) >> (c % 32);
  const uint8_t* q = bytes_at(block, 6);
  const int shift = c % 32 == 0 ? 0 : 4;
  Sixteen out;
  for (int i = 0; i < 16; ++i) {
    out.q[i] =
        static_cast<int8_t>(static_cast<int>((q[i] >> shift & 15) | (fifth >> i & 1) << 4) - 16);
  }
  out.scale = f16_to_f32(load_unaligned<uint16_t>(block));
  out.minimum = 0;
  return out;
}

inline Sixteen sixteen_q4_k(const std::byte* row, int64_t c) {
  const std::byte* block = row + c / 256 * 144;
  const int64_t at = c % 256, j = at / 32;
  const ScaleMinimum packed = scale_minimum(bytes_at(block, 4), j);
  const uint8_t* q = bytes_at(block, 16 + j / 2 * 32 + at % 32);
  const int shift = j % 2 == 0 ? 0 : 4;
  Sixteen out;
  for (int i = 0; i < 16; ++i) out.q[i] = static_cast<int8_t>(q[i] >> shift & 15);
  out.scale = f16_to_f32(load_unaligned<uint16_t>(block)) * static_cast<float>(packed.scale);
  out.minimum =
      f16_to_f32(load_unaligned<uint16_t>(block + 2)) * static_cast<float>(packed.minimum);
  return out;
}

inline Sixteen sixteen_q5_k(const std::byte* row, int64_t c) {
  const std::byte* block = row + c / 256 * 176;
  const int64_t at = c % 256, j = at / 32;
  const ScaleMinimum packed = scale_minimum(bytes_at(block, 4), j);
  const uint8_t* fifth = bytes_at(block, 16 + at % 32);
  const uint8_t* q = bytes_at(block, 48 + j / 2 * 32 + at % 32);
  const int shift = j % 2 == 0 ? 0 : 4;
  Sixteen out;
  for (int i = 0; i < 16; ++i) {
    out.q[i] = static_cast<int8_t>((q[i] >> shift & 15) | (fifth[i] >> j & 1) << 4);
  }
  out.scale = f16_to_f32(load_unaligned<uint16_t>(block)) * static_cast<float>(packed.scale);
  out.minimum =
      f16_to_f32(load_unaligned<uint16_t>(block + 2)) * static_cast<float>(packed.minimum);
  return out;
}

inline Sixteen sixteen_q6_k(const std::byte* row, int64_t c) {
  const std::byte* block = row + c / 256 * 210;
  const int64_t at = c % 256, half = at / 128, in_half = at % 128, quarter = in_half / 32;
  // Quarters 0 and 2 share the bytes low[0…31], 1 and 3 low[32…63]; high has two bits for each.
  const uint8_t* low = bytes_at(block, half * 64 + quarter % 2 * 32 + in_half % 32);
  const uint8_t* high = bytes_at(block, 128 + half * 32 + in_half % 32);
  const int low_shift = quarter < 2 ? 0 : 4;
  const auto high_shift = static_cast<int>(2 * quarter);
  Sixteen out;
  for (int i = 0; i < 16; ++i) {
    out.q[i] =
        static_cast<int8_t>(((low[i] >> low_shift & 15) | (high[i] >> high_shift & 3) << 4) - 32);
  }
  const auto scale = static_cast<int8_t>(*bytes_at(block, 192 + at / 16));
  out.scale = f16_to_f32(load_unaligned<uint16_t>(block + 208)) * static_cast<float>(scale);
  out.minimum = 0;
  return out;
}

}  // namespace greta::kernels
