#pragma once
// Stored blocks of quantised weights for integer dot products, 64 columns at a time: the weights as
// unsigned bytes, that is the format's integer plus an offset, and the scales that turn products
// into weights' values. quant_blocks.h has the layouts. Included by matmul_int8_avx512.cc only,
// inside its target attributes.
//
//   weight = scale · (byte − kOffset) − minimum
//
// A type has: kPerScale (columns that share a scale), kBlock (columns that share a header), a class
// of which one object reads one block (for blocks of 32: two of them), and
//   bytes(s)  columns [64·s, 64·s + 64) of the block, in order
//   scales()  lane i: scale of the i-th group of kPerScale columns; types of eight groups have
//   their
//             minima in lanes 8 … 15

#include <immintrin.h>

#include "convert.h"
#include "quant_blocks.h"

namespace greta::kernels::int8 {

inline __m256i load32(const void* from) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}
inline __m128i load16(const void* from) {
  return _mm_loadu_si128(static_cast<const __m128i*>(from));
}
inline __m512i join(__m256i low, __m256i high) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}
inline __m512 f16_lanes(const std::byte* from) {
  return _mm512_cvtph_ps(_mm256_set1_epi16(load_unaligned<int16_t>(from)));
}
// The low nibble of each byte where shift is 0, the high one where it is 4.
inline __m512i nibbles(__m512i bytes, __m512i shift) {
  return _mm512_and_si512(_mm512_srlv_epi32(bytes, shift), _mm512_set1_epi8(15));
}
inline __m512i halves(int low, int high) {
  return join(_mm256_set1_epi32(low), _mm256_set1_epi32(high));
}
inline __m512i quarters(int a, int b, int c, int d) {
  return join(_mm256_setr_epi32(a, a, a, a, b, b, b, b), _mm256_setr_epi32(c, c, c, c, d, d, d, d));
}
inline __m512i set_bit(__m512i bytes, __mmask64 where, int bit) {
  return _mm512_or_si512(bytes, _mm512_maskz_set1_epi8(where, static_cast<char>(bit)));
}

// Two neighbouring blocks of 32 with a scale each, groups in lanes 0 and 1.
template <int64_t kBytes>
inline __m512 two_scales(const std::byte* block) {
  const __m128i both = _mm_insert_epi16(_mm_cvtsi32_si128(load_unaligned<uint16_t>(block)),
                                        load_unaligned<int16_t>(block + kBytes), 1);
  return _mm512_cvtph_ps(_mm256_zextsi128_si256(both));
}

struct Q8 {
  static constexpr DType kType = DType::q8_0;
  static constexpr int64_t kBlock = 64, kPerScale = 32;
  static constexpr int kOffset = 128;
  static constexpr bool kHasMinimum = false;
  const std::byte* block;
  __m512i bytes(int) const {
    const __m512i q = join(load32(block + 2), load32(block + 36));
    return _mm512_xor_si512(q, _mm512_set1_epi8(static_cast<char>(0x80)));
  }
  __m512 scales() const { return two_scales<34>(block); }
};

struct Q4 {
  static constexpr DType kType = DType::q4_0;
  static constexpr int64_t kBlock = 64, kPerScale = 32;
  static constexpr int kOffset = 8;
  static constexpr bool kHasMinimum = false;
  const std::byte* block;
  __m512i bytes(int) const {
    const __m256i a = _mm256_broadcastsi128_si256(load16(block + 2));
    const __m256i b = _mm256_broadcastsi128_si256(load16(block + 20));
    return nibbles(join(a, b), quarters(0, 4, 0, 4));
  }
  __m512 scales() const { return two_scales<18>(block); }
};

struct Q5 {
  static constexpr DType kType = DType::q5_0;
  static constexpr int64_t kBlock = 64, kPerScale = 32;
  static constexpr int kOffset = 16;
  static constexpr bool kHasMinimum = false;
  const std::byte* block;
  __m512i bytes(int) const {
    const __m256i a = _mm256_broadcastsi128_si256(load16(block + 6));
    const __m256i b = _mm256_broadcastsi128_si256(load16(block + 28));
    const uint64_t fifth =
        load_unaligned<uint32_t>(block + 2) | uint64_t{load_unaligned<uint32_t>(block + 24)} << 32;
    return set_bit(nibbles(join(a, b), quarters(0, 4, 0, 4)), fifth, 16);
  }
  __m512 scales() const { return two_scales<22>(block); }
};

// Scales in lanes 0 … 7, minima in lanes 8 … 15.
inline __m512 sub_block_scales(const std::byte* block) {
  const auto [scales, minima] = scales_minima(block);
  const __m128i six_bits =
      _mm_set_epi64x(static_cast<int64_t>(minima), static_cast<int64_t>(scales));
  const __m512 d = _mm512_mask_blend_ps(0xff00, f16_lanes(block), f16_lanes(block + 2));
  const __m512 values = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(six_bits));
  return _mm512_mul_ps(values, d);
}

struct Q4K {
  static constexpr DType kType = DType::q4_k;
  static constexpr int64_t kBlock = 256, kPerScale = 32;
  static constexpr int kOffset = 0;
  static constexpr bool kHasMinimum = true;
  const std::byte* block;
  __m512i bytes(int s) const {
    return nibbles(_mm512_broadcast_i64x4(load32(block + 16 + 32 * s)), halves(0, 4));
  }
  __m512 scales() const { return sub_block_scales(block); }
};

struct Q5K {
  static constexpr DType kType = DType::q5_k;
  static constexpr int64_t kBlock = 256, kPerScale = 32;
  static constexpr int kOffset = 0;
  static constexpr bool kHasMinimum = true;
  const std::byte* block;
  __m512i bytes(int s) const {
    const __m512i q = nibbles(_mm512_broadcast_i64x4(load32(block + 48 + 32 * s)), halves(0, 4));
    const __m512i fifth = _mm512_broadcast_i64x4(load32(block + 16));
    const __m512i bit = join(_mm256_set1_epi8(static_cast<char>(1 << 2 * s)),
                             _mm256_set1_epi8(static_cast<char>(2 << 2 * s)));
    return set_bit(q, _mm512_test_epi8_mask(fifth, bit), 16);
  }
  __m512 scales() const { return sub_block_scales(block); }
};

struct Q6K {
  static constexpr DType kType = DType::q6_k;
  static constexpr int64_t kBlock = 256, kPerScale = 16;
  static constexpr int kOffset = 32;
  static constexpr bool kHasMinimum = false;
  const std::byte* block;
  // Of each half block, step 0 has the low nibbles of 64 bytes and step 1 the high ones.
  __m512i bytes(int s) const {
    const int half = s / 2, odd = s % 2;
    const __m512i low = _mm512_loadu_si512(block + 64 * half);
    const __m512i q = nibbles(low, _mm512_set1_epi32(4 * odd));
    const __m512i high = _mm512_broadcast_i64x4(load32(block + 128 + 32 * half));
    const __m512i shift = odd == 0 ? halves(0, 2) : halves(4, 6);
    const __m512i two = _mm512_and_si512(_mm512_srlv_epi32(high, shift), _mm512_set1_epi8(3));
    return _mm512_or_si512(q, _mm512_slli_epi32(two, 4));
  }
  __m512 scales() const {
    const __m512 values = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load16(block + 192)));
    return _mm512_mul_ps(values, f16_lanes(block + 208));
  }
};

}  // namespace greta::kernels::int8
