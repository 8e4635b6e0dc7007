#pragma once
// Stored weights as fp32, a chunk of one row at a time, bit for bit as their formats define it. The
// layouts are those of kernels/src/quant_blocks.h.

#include "gpu/numbers.h"
#include "gpu/views.h"
#include "kernels/types.h"

namespace greta::kernels::gpu {
inline namespace GRETA_ON_TARGET {

using Bytes = Global<const uint8_t, 4>;

// A matrix (rows = outputs, columns = inputs) in global memory. `packs` is the same memory where
// every row of it begins at a multiple of 16 bytes, else empty. Quantised blocks lie at multiples
// of 2 within it.
struct WeightMatrix {
  Bytes bytes;
  Global<const uint8_t, 16> packs;
  int64_t row_bytes = 0;
  int columns = 0;
};

template <class T, int kAlign>
GRETA_DEVICE T load_as(const Global<const uint8_t, kAlign>& bytes, int64_t at) {
  return bits_as<T>(bytes.template load_pack<sizeof(T)>(at));
}
GRETA_DEVICE float load_f16(const Bytes& bytes, int64_t at) {
  return to_float(load_as<F16>(bytes, at));
}

// Chunk `c` of a row that begins at byte `row`: columns [c·kColumns, (c + 1)·kColumns).
template <DType W>
struct Chunk;

template <class T, int N>
struct PlainChunk {
  static constexpr int kColumns = N;
  GRETA_DEVICE static void load(const WeightMatrix& w, int64_t row, int c, float (&out)[N]) {
    const int64_t at = row + static_cast<int64_t>(c) * N * static_cast<int64_t>(sizeof(T));
    if (w.packs.size() > 0 && (c + 1) * N <= w.columns) {
      // As words of 32 bits: of 16-bit elements hipcc would make a load each.
      const auto words = load_as<Pack<uint32_t, 4>>(w.packs, at);
      GRETA_UNROLL
      for (int i = 0; i < N; ++i) {
        if constexpr (sizeof(T) == 4) {
          out[i] = bits_as<float>(words.at[i]);
        } else {
          out[i] = to_float(T{static_cast<uint16_t>(words.at[i / 2] >> (i % 2 * 16))});
        }
      }
      return;
    }
    for (int i = 0; i < N; ++i) {
      const bool inside = c * N + i < w.columns;
      out[i] =
          inside ? to_float(load_as<T>(w.bytes, at + i * static_cast<int64_t>(sizeof(T)))) : 0.0f;
    }
  }
};
template <>
struct Chunk<DType::f32> : PlainChunk<float, 4> {};
template <>
struct Chunk<DType::f16> : PlainChunk<F16, 8> {};
template <>
struct Chunk<DType::bf16> : PlainChunk<Bf16, 8> {};

// Two bytes at `at`, low first.
GRETA_DEVICE int load_two(const Bytes& bytes, int64_t at) { return load_as<uint16_t>(bytes, at); }

template <>
struct Chunk<DType::q8_0> {
  static constexpr int kColumns = 32;
  GRETA_DEVICE static void load(const WeightMatrix& w, int64_t row, int c, float (&out)[32]) {
    const int64_t block = row + static_cast<int64_t>(c) * 34;
    const float d = load_f16(w.bytes, block);
    GRETA_UNROLL
    for (int i = 0; i < 32; i += 2) {
      const int two = load_two(w.bytes, block + 2 + i);
      out[i] = static_cast<float>(static_cast<int8_t>(two & 0xff)) * d;
      out[i + 1] = static_cast<float>(static_cast<int8_t>(two >> 8)) * d;
    }
  }
};

template <>
struct Chunk<DType::q4_0> {
  static constexpr int kColumns = 32;
  GRETA_DEVICE static void load(const WeightMatrix& w, int64_t row, int c, float (&out)[32]) {
    const int64_t block = row + static_cast<int64_t>(c) * 18;
    const float d = load_f16(w.bytes, block);
    GRETA_UNROLL
    for (int i = 0; i < 16; i += 2) {
      const int two = load_two(w.bytes, block + 2 + i);
      GRETA_UNROLL
      for (int j = 0; j < 2; ++j) {
        const int byte = two >> (8 * j) & 0xff;
        out[i + j] = static_cast<float>((byte & 15) - 8) * d;
        out[i + j + 16] = static_cast<float>((byte >> 4) - 8) * d;
      }
    }
  }
};

template <>
struct Chunk<DType::q5_0> {
  static constexpr int kColumns = 32;
  GRETA_DEVICE static void load(const WeightMatrix& w, int64_t row, int c, float (&out)[32]) {
    const int64_t block = row + static_cast<int64_t>(c) * 22;
    const float d = load_f16(w.bytes, block);
    const uint32_t high = static_cast<uint32_t>(load_two(w.bytes, block + 2)) |
                          static_cast<uint32_t>(load_two(w.bytes, block + 4)) << 16;
    GRETA_UNROLL
    for (int i = 0; i < 16; i += 2) {
      const int two = load_two(w.bytes, block + 6 + i);
      GRETA_UNROLL
      for (int j = 0; j < 2; ++j) {
        const int byte = two >> (8 * j) & 0xff;
        const int low_fifth = static_cast<int>(high >> (i + j) & 1u) << 4;
        const int high_fifth = static_cast<int>(high >> (i + j + 16) & 1u) << 4;
        out[i + j] = static_cast<float>(((byte & 15) | low_fifth) - 16) * d;
        out[i + j + 16] = static_cast<float>(((byte >> 4) | high_fifth) - 16) * d;
      }
    }
  }
};

// The six-bit scale and minimum of the 32 columns `part` of a q4_k or q5_k block.
struct ScaleAndMin {
  float scale, min;
};
GRETA_DEVICE ScaleAndMin scale_and_min(const Bytes& bytes, int64_t block, int part) {
  const int64_t scales = block + 4;
  int scale, min;
  if (part < 4) {
    scale = bytes.load(scales + part) & 63;
    min = bytes.load(scales + part + 4) & 63;
  } else {
    const int low = bytes.load(scales + part + 4);
    scale = (low & 15) | (bytes.load(scales + part - 4) >> 6) << 4;
    min = (low >> 4) | (bytes.load(scales + part) >> 6) << 4;
  }
  return {load_f16(bytes, block) * static_cast<float>(scale),
          load_f16(bytes, block + 2) * static_cast<float>(min)};
}

template <DType W>
struct KChunk {
  static constexpr int kColumns = 32;
  static constexpr bool kFive = W == DType::q5_k;
  GRETA_DEVICE static void load(const WeightMatrix& w, int64_t row, int c, float (&out)[32]) {
    const int64_t block = row + static_cast<int64_t>(c / 8) * (kFive ? 176 : 144);
    const int part = c % 8;
    const ScaleAndMin s = scale_and_min(w.bytes, block, part);
    const int64_t low = block + (kFive ? 48 : 16) + part / 2 * 32;
    GRETA_UNROLL
    for (int i = 0; i < 32; i += 2) {
      const int two = load_two(w.bytes, low + i);
      const int fifths = kFive ? load_two(w.bytes, block + 16 + i) : 0;
      GRETA_UNROLL
      for (int j = 0; j < 2; ++j) {
        const int four = two >> (8 * j + part % 2 * 4) & 15;
        const int fifth = (fifths >> (8 * j + part) & 1) << 4;
        out[i + j] = s.scale * static_cast<float>(four | fifth) - s.min;
      }
    }
  }
};
template <>
struct Chunk<DType::q4_k> : KChunk<DType::q4_k> {};
template <>
struct Chunk<DType::q5_k> : KChunk<DType::q5_k> {};

template <>
struct Chunk<DType::q6_k> {
  static constexpr int kColumns = 32;
  GRETA_DEVICE static void load(const WeightMatrix& w, int64_t row, int c, float (&out)[32]) {
    const int64_t block = row + static_cast<int64_t>(c / 8) * 210;
    const int half = c % 8 / 4, quarter = c % 4;
    const float d = load_f16(w.bytes, block + 208);
    float scale[2];
    GRETA_UNROLL
    for (int i = 0; i < 2; ++i) {
      const auto byte = w.bytes.load(block + 192 + half * 8 + quarter * 2 + i);
      scale[i] = d * static_cast<float>(static_cast<int8_t>(byte));
    }
    GRETA_UNROLL
    for (int i = 0; i < 32; i += 2) {
      const int low = load_two(w.bytes, block + half * 64 + quarter % 2 * 32 + i);
      const int high = load_two(w.bytes, block + 128 + half * 32 + i);
      GRETA_UNROLL
      for (int j = 0; j < 2; ++j) {
        const int four = low >> (8 * j + quarter / 2 * 4) & 15;
        const int two = high >> (8 * j + quarter * 2) & 3;
        out[i + j] = scale[i / 16] * static_cast<float>((four | two << 4) - 32);
      }
    }
  }
};

}  // namespace GRETA_ON_TARGET
}  // namespace greta::kernels::gpu
