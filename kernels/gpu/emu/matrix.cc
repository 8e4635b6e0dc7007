#include "gpu/emu/matrix.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "convert.h"

// Most time of an emulated model is spent here. The same code is compiled a second time for a CPU
// with AVX2 and FMA; all its steps are exact or rounded by IEEE 754, so that the bits are the same.
#if defined(__x86_64__)
#define GRETA_WIDE __attribute__((target("avx2,fma")))
#endif
#define GRETA_INLINE inline __attribute__((always_inline))

namespace greta::kernels::gpu::emu {
namespace {

constexpr int kGroup = 8;            // products that are added at once
constexpr int kProductPlaces = 24;   // F of the paper: also C's
constexpr int kSumPlaces = 31;       // F2
constexpr int kZeroExponent = -126;  // of a product that is zero
constexpr int kTile = kSide * kDepth16;

// The numbers of a tile as s·2^e.
struct Numbers {
  float s[kTile];
  int e[kTile];
  int zero[kTile];                                 // all bits, or none
  int greatest = std::numeric_limits<int>::min();  // e
  bool finite = true;
};

GRETA_INLINE float pow2f(int e) { return std::bit_cast<float>((e + 127) << 23); }

float widen(Format format, uint16_t bits) {
  return format == Format::bf16 ? bf16_to_f32(bits) : f16_to_f32(bits);
}

GRETA_INLINE void take_apart(Format format, const uint16_t* from, Numbers& to) {
  const int places = format == Format::bf16 ? 7 : 10;
  const int most = (1 << (15 - places)) - 1;
  const int bias = most / 2;
  const float unit = pow2f(-places);
  for (int i = 0; i < kTile; ++i) {
    const int exponent = from[i] >> places & most;
    const int fraction = from[i] & ((1 << places) - 1);
    const int significand = exponent == 0 ? fraction : fraction | 1 << places;
    const float s = static_cast<float>(significand) * unit;
    to.s[i] = (from[i] & 0x8000) != 0 ? -s : s;
    to.e[i] = std::max(exponent, 1) - bias;
    to.zero[i] = significand == 0 ? -1 : 0;
    to.greatest = std::max(to.greatest, to.e[i]);
    if (exponent == most) to.finite = false;
  }
}

// Vectors no longer than AVX2's: GCC takes longer ones apart, element by element.
constexpr int kWide = 8, kNarrow = 4;
template <class T, int N>
struct VectorOf {
  using Type __attribute__((vector_size(N * sizeof(T)))) = T;
};
using Floats = VectorOf<float, kWide>::Type;
using Ints = VectorOf<int32_t, kWide>::Type;
using Floats4 = VectorOf<float, kNarrow>::Type;
using Ints4 = VectorOf<int32_t, kNarrow>::Type;
using Doubles = VectorOf<double, kNarrow>::Type;
using Longs = VectorOf<int64_t, kNarrow>::Type;

template <class Vector, class T>
GRETA_INLINE void load(Vector& to, const T* from) {
  __builtin_memcpy(&to, from, sizeof to);
}
template <class Vector, class T>
GRETA_INLINE void store(T* to, const Vector& from) {
  __builtin_memcpy(to, &from, sizeof from);
}

// x·2^e, exact.
GRETA_INLINE void scale(Doubles& x, const Ints4& e) {
  x *= reinterpret_cast<Doubles>((__builtin_convertvector(e, Longs) + 1023) << 52);
}
// Rounds down |x| < 2^51: where the last place is 1 the sum rounds to a whole number, perhaps up.
GRETA_INLINE void round_down(Doubles& x) {
  constexpr double kOnes = 0x1.8p52;
  const Doubles nearest = (x + kOnes) - kOnes;
  x = nearest > x ? nearest - 1.0 : nearest;
}

// The products of one group for kWide columns: the greatest exponent, and the sum in units of
// 2^(emax - 24).
GRETA_INLINE void add_products(const Numbers& a, const Numbers& b, int in_a, int in_b,
                               int* emax_out, int* sum_out) {
  Ints e[kGroup], emax = {};
  emax += std::numeric_limits<int32_t>::min();
  for (int k = 0; k < kGroup; ++k) {
    Ints zero, eb;
    load(zero, b.zero + in_b + k * kSide);
    load(eb, b.e + in_b + k * kSide);
    zero |= a.zero[in_a + k];
    e[k] = (zero & kZeroExponent) | (~zero & (eb + a.e[in_a + k]));
    emax = e[k] > emax ? e[k] : emax;
  }
  Ints sum = {};
  const Ints least = Ints{} - 64;
  for (int k = 0; k < kGroup; ++k) {
    // Exact in fp32: significands of at most 11 bits, and a power of two that is no smaller than
    // where nothing of the product is left.
    Ints places = e[k] - emax + kProductPlaces;
    places = places > least ? places : least;
    Floats sb;
    load(sb, b.s + in_b + k * kSide);
    const Floats product = sb * a.s[in_a + k] * reinterpret_cast<Floats>((places + 127) << 23);
    sum += __builtin_convertvector(product, Ints);
  }
  store(emax_out, emax);
  store(sum_out, sum);
}

// kNarrow elements of D += what add_products() left. Until the last conversion there are at most 38
// bits, and powers of two that keep doubles normal.
GRETA_INLINE void add_to(float* d, const int* emax_in, const int* sum_in) {
  Ints4 emax, sum;
  Floats4 c;
  load(emax, emax_in);
  load(sum, sum_in);
  load(c, d);
  const Ints4 one = Ints4{} + 1;
  Ints4 ec = reinterpret_cast<Ints4>(c) >> 23 & 0xff;
  ec = (ec > one ? ec : one) - 127;
  const Ints4 top = emax > ec ? emax : ec;
  Doubles s = __builtin_convertvector(sum, Doubles);
  scale(s, emax - kProductPlaces + kSumPlaces - top);
  round_down(s);
  Doubles cut_c = __builtin_convertvector(c, Doubles);
  scale(cut_c, kProductPlaces - top);
  round_down(cut_c);
  Doubles total = s + cut_c * static_cast<double>(1 << (kSumPlaces - kProductPlaces));
  scale(total, top - kSumPlaces);
  store(d, __builtin_convertvector(total, Floats4));
}

// One row of D += one group.
GRETA_INLINE void add_group(const Numbers& a, const Numbers& b, int row, int first, float* d) {
  int emax[kSide], sum[kSide];
  for (int j = 0; j < kSide; j += kWide) {
    add_products(a, b, row * kDepth16 + first, first * kSide + j, emax + j, sum + j);
  }
  for (int j = 0; j < kSide; j += kNarrow) add_to(d + j, emax + j, sum + j);
}

GRETA_INLINE void chain(const float* a, const float* b, int depth, float* d) {
  for (int row = 0; row < kSide; ++row) {
    float sum[kSide];
    for (int j = 0; j < kSide; ++j) sum[j] = d[row * kSide + j];
    for (int k = 0; k < depth; ++k) {
      const float x = a[row * depth + k];
      for (int j = 0; j < kSide; ++j) sum[j] = __builtin_fmaf(x, b[k * kSide + j], sum[j]);
    }
    for (int j = 0; j < kSide; ++j) d[row * kSide + j] = sum[j];
  }
}

// Elements of D that a group makes infinite or NaN, or that were; others are left alone.
void overwrite_specials(Format format, const uint16_t* a, const uint16_t* b, int first,
                        const float* before, float* d) {
  for (int i = 0; i < kSide * kSide; ++i) {
    const int row = i / kSide, column = i % kSide;
    double special = std::isfinite(before[i]) ? 0.0 : static_cast<double>(before[i]);
    bool found = !std::isfinite(before[i]);
    for (int k = first; k < first + kGroup; ++k) {
      const double product = static_cast<double>(widen(format, a[row * kDepth16 + k])) *
                             static_cast<double>(widen(format, b[k * kSide + column]));
      if (std::fabs(product) < 0x1p128) continue;
      found = true;
      special += std::isnan(product) ? product : std::copysign(INFINITY, product);
    }
    if (found) d[i] = std::isnan(special) ? NAN : static_cast<float>(special);
  }
}

GRETA_INLINE void cdna3(Format format, const uint16_t* a, const uint16_t* b, float* d) {
  Numbers na, nb;
  take_apart(format, a, na);
  take_apart(format, b, nb);
  // |s| of a product is below 4.
  const bool tame = na.finite && nb.finite && na.greatest + nb.greatest + 2 <= 128;
  for (int first = 0; first < kDepth16; first += kGroup) {
    float before[kSide * kSide];
    std::copy_n(d, kSide * kSide, before);
    for (int row = 0; row < kSide; ++row) add_group(na, nb, row, first, d + row * kSide);
    const auto finite = [](float x) { return std::isfinite(x); };
    if (!tame || !std::all_of(before, before + kSide * kSide, finite)) {
      overwrite_specials(format, a, b, first, before, d);
    }
  }
}

#ifdef GRETA_WIDE
GRETA_WIDE void cdna3_wide(Format format, const uint16_t* a, const uint16_t* b, float* d) {
  cdna3(format, a, b, d);
}
GRETA_WIDE void chain_wide(const float* a, const float* b, int depth, float* d) {
  chain(a, b, depth, d);
}
bool is_wide() {
  static const bool wide = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return wide;
}
#endif

void multiply_cdna3(Format format, const uint16_t* a, const uint16_t* b, float* d) {
#ifdef GRETA_WIDE
  if (is_wide()) return cdna3_wide(format, a, b, d);
#endif
  cdna3(format, a, b, d);
}

}  // namespace

void multiply_f32(const float* a, const float* b, int depth, float* d) {
#ifdef GRETA_WIDE
  if (is_wide()) return chain_wide(a, b, depth, d);
#endif
  chain(a, b, depth, d);
}

void multiply_16(MfmaArithmetic arithmetic, Format format, const uint16_t* a, const uint16_t* b,
                 float* d) {
  if (arithmetic == MfmaArithmetic::cdna3) return multiply_cdna3(format, a, b, d);
  float wide_a[kTile], wide_b[kTile];
  for (int i = 0; i < kTile; ++i) {
    wide_a[i] = widen(format, a[i]);
    wide_b[i] = widen(format, b[i]);
  }
  multiply_f32(wide_a, wide_b, kDepth16, d);
}

}  // namespace greta::kernels::gpu::emu
