#pragma once
// D (16 × 16, fp32) += A (16 × 16) · B (16 × 16) by one wave on its matrix unit. A tile is spread
// over the lanes; which elements a lane holds depends on the target, so kernels ask the map:
//   A element e of a lane is A[a_row(e)][a_k(e)], B is B[b_k(e)][b_column(e)], D is D[d_row(e)][…].
// k may be permuted as long as A and B agree, and they do.
//
// gfx942 and the emulator: v_mfma_f32_16x16x16 (bf16, f16), and four v_mfma_f32_16x16x4_f32 for
// fp32, which multiplies and adds in fp32. Lanes as in AMD's "CDNA3 ISA", ch. 7 (checked with
// amd_matrix_instruction_calculator).
// sm_90: mma.sync m16n8k16 (bf16, f16). It has no fp32 product: each number is split into three of
// TF32, exactly, and six products of parts are added, smallest first; those left out are below
// 2⁻³³ of the product. Its unit cuts sums off instead of rounding them, relative to the largest
// term and the running sum; so that this does not grow with the length of a sum, each step adds up
// 16 k alone, and joins the running sum by an fp32 addition. Lanes as in the PTX ISA, "Matrix
// fragments for mma.m16n8k16 / .m16n8k8".

#include "gpu/numbers.h"
#include "gpu/views.h"

namespace greta::kernels::gpu {
inline namespace GRETA_ON_TARGET {

struct Tile {
  static constexpr int kSide = 16;
#if GRETA_TARGET_CUDA
  static constexpr int kElements = 8;
  GRETA_DEVICE static int a_row(int e) { return lane_index() / 4 + 8 * (e / 2 % 2); }
  GRETA_DEVICE static int a_k(int e) { return lane_index() % 4 * 2 + e % 2 + 8 * (e / 4); }
  GRETA_DEVICE static int b_k(int e) { return lane_index() % 4 * 2 + e % 2 + 8 * (e / 2 % 2); }
  GRETA_DEVICE static int b_column(int e) { return lane_index() / 4 + 8 * (e / 4); }
  GRETA_DEVICE static int d_row(int e) { return lane_index() / 4 + 8 * (e / 2 % 2); }
  GRETA_DEVICE static int d_column(int e) { return lane_index() % 4 * 2 + e % 2 + 8 * (e / 4); }
#else
  static constexpr int kElements = 4;
  GRETA_DEVICE static int a_row(int) { return lane_index() % 16; }
  GRETA_DEVICE static int a_k(int e) { return lane_index() / 16 * 4 + e; }
  GRETA_DEVICE static int b_k(int e) { return lane_index() / 16 * 4 + e; }
  GRETA_DEVICE static int b_column(int) { return lane_index() % 16; }
  GRETA_DEVICE static int d_row(int e) { return lane_index() / 16 * 4 + e; }
  GRETA_DEVICE static int d_column(int) { return lane_index() % 16; }
#endif
};

template <class T>
struct Operand {
  T at[Tile::kElements];
};
struct Accumulator {
  float at[Tile::kElements] = {};
};

#if GRETA_TARGET_CUDA
GRETA_DEVICE uint32_t pair(uint16_t low, uint16_t high) {
  return static_cast<uint32_t>(high) << 16 | low;
}
#define GRETA_MMA_16(name, type)                                                          \
  GRETA_DEVICE void name(float* d, const uint32_t* a, const uint32_t* b) {                \
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." type "." type                   \
                 ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n" \
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                         \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));     \
  }
GRETA_MMA_16(mma_bf16, "bf16")
GRETA_MMA_16(mma_f16, "f16")
#undef GRETA_MMA_16
GRETA_DEVICE void mma_tf32(float* d, const uint32_t* a, const uint32_t* b) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

GRETA_DEVICE void join(Accumulator& d, const Accumulator& step) {
  GRETA_UNROLL
  for (int e = 0; e < Tile::kElements; ++e) d.at[e] += step.at[e];
}

template <class T>
GRETA_DEVICE void multiply_add(Accumulator& d, const Operand<T>& a, const Operand<T>& b) {
  uint32_t a_pairs[4], b_pairs[4];
  GRETA_UNROLL
  for (int i = 0; i < 4; ++i) {
    a_pairs[i] = pair(a.at[2 * i].bits, a.at[2 * i + 1].bits);
    b_pairs[i] = pair(b.at[2 * i].bits, b.at[2 * i + 1].bits);
  }
  Accumulator step;
  GRETA_UNROLL
  for (int half = 0; half < 2; ++half) {
    if constexpr (std::is_same_v<T, Bf16>) {
      mma_bf16(step.at + 4 * half, a_pairs, b_pairs + 2 * half);
    } else {
      mma_f16(step.at + 4 * half, a_pairs, b_pairs + 2 * half);
    }
  }
  join(d, step);
}

// Part 0, 1 or 2 of x: the next 11 bits of its significand.
GRETA_DEVICE uint32_t tf32_part(float x, int part) {
  for (int i = 0; i < part; ++i) x -= bits_as<float>(bits_as<uint32_t>(x) & 0xffffe000u);
  return bits_as<uint32_t>(x) & 0xffffe000u;
}
template <>
GRETA_DEVICE void multiply_add<float>(Accumulator& d, const Operand<float>& a,
                                      const Operand<float>& b) {
  Accumulator sum;
  constexpr int kParts[6][2] = {{2, 0}, {0, 2}, {1, 1}, {1, 0}, {0, 1}, {0, 0}};
  GRETA_UNROLL
  for (int p = 0; p < 6; ++p) {
    GRETA_UNROLL
    for (int step = 0; step < 2; ++step) {
      // The eight k of a step in the order of TF32's own map: k of slot t is 2t, of slot t + 4 its
      // neighbour.
      uint32_t a_part[4], b_part[4];
      GRETA_UNROLL
      for (int i = 0; i < 4; ++i) {
        constexpr int kOrder[4] = {0, 2, 1, 3};
        a_part[i] = tf32_part(a.at[4 * step + kOrder[i]], kParts[p][0]);
      }
      GRETA_UNROLL
      for (int half = 0; half < 2; ++half) {
        b_part[2 * half] = tf32_part(b.at[4 * half + 2 * step], kParts[p][1]);
        b_part[2 * half + 1] = tf32_part(b.at[4 * half + 2 * step + 1], kParts[p][1]);
      }
      mma_tf32(sum.at, a_part, b_part);
      mma_tf32(sum.at + 4, a_part, b_part + 2);
    }
  }
  join(d, sum);
}
#elif GRETA_TARGET_HIP
typedef float Float4 __attribute__((ext_vector_type(4)));
typedef short Short4 __attribute__((ext_vector_type(4)));
typedef _Float16 Half4 __attribute__((ext_vector_type(4)));

GRETA_DEVICE void multiply_add(Accumulator& d, const Operand<float>& a, const Operand<float>& b) {
  Float4 c = bits_as<Float4>(d);
  GRETA_UNROLL
  for (int e = 0; e < 4; ++e)
    c = __builtin_amdgcn_mfma_f32_16x16x4f32(a.at[e], b.at[e], c, 0, 0, 0);
  d = bits_as<Accumulator>(c);
}
GRETA_DEVICE void multiply_add(Accumulator& d, const Operand<Bf16>& a, const Operand<Bf16>& b) {
  d = bits_as<Accumulator>(__builtin_amdgcn_mfma_f32_16x16x16bf16_1k(
      bits_as<Short4>(a), bits_as<Short4>(b), bits_as<Float4>(d), 0, 0, 0));
}
GRETA_DEVICE void multiply_add(Accumulator& d, const Operand<F16>& a, const Operand<F16>& b) {
  d = bits_as<Accumulator>(__builtin_amdgcn_mfma_f32_16x16x16f16(
      bits_as<Half4>(a), bits_as<Half4>(b), bits_as<Float4>(d), 0, 0, 0));
}
#else
inline void multiply_add(Accumulator& d, const Operand<float>& a, const Operand<float>& b,
                         emu::Site site = emu::Site::here()) {
  for (int e = 0; e < 4; ++e) emu::mfma_f32_16x16x4_f32(d.at, a.at[e], b.at[e], site);
}
inline void multiply_add(Accumulator& d, const Operand<Bf16>& a, const Operand<Bf16>& b,
                         emu::Site site = emu::Site::here()) {
  emu::mfma_f32_16x16x16_bf16(d.at, &a.at[0].bits, &b.at[0].bits, site);
}
inline void multiply_add(Accumulator& d, const Operand<F16>& a, const Operand<F16>& b,
                         emu::Site site = emu::Site::here()) {
  emu::mfma_f32_16x16x16_f16(d.at, &a.at[0].bits, &b.at[0].bits, site);
}
#endif

}  // namespace GRETA_ON_TARGET
}  // namespace greta::kernels::gpu
