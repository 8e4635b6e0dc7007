// Sixteen fp32 lanes on every instruction set: one AVX-512 register, two AVX2 ones, four SSE ones.
// Because the number of lanes is fixed, so is the order of a sum, whatever the CPU's width.
// Included once per target (Highway's foreach_target), hence the toggled guard.

#if defined(GRETA_KERNELS_SIMD_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef GRETA_KERNELS_SIMD_INL
#undef GRETA_KERNELS_SIMD_INL
#else
#define GRETA_KERNELS_SIMD_INL
#endif

#include <cstring>
#include <type_traits>
#include <utility>

#include "convert.h"
#include "hwy/highway.h"
#include "kernels/types.h"

HWY_BEFORE_NAMESPACE();
namespace greta::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Tag = hn::CappedTag<float, 16>;
using Vec = hn::Vec<Tag>;
constexpr int kWidth = static_cast<int>(hn::MaxLanes(Tag()));
constexpr int kParts = 16 / kWidth;

struct Lanes {
  Vec part[kParts];  // part[p] holds lanes [p·kWidth, (p + 1)·kWidth)
};

// f(0), …, f(n − 1) with constants, one after the other in the code.
template <class F, int... kIndex>
HWY_INLINE void unrolled_over(std::integer_sequence<int, kIndex...>, const F& f) {
  (f(std::integral_constant<int, kIndex>()), ...);
}
template <int n, class F>
HWY_INLINE void unrolled(const F& f) {
  unrolled_over(std::make_integer_sequence<int, n>(), f);
}

HWY_INLINE Lanes zero() {
  Lanes out;
  for (int p = 0; p < kParts; ++p) out.part[p] = hn::Zero(Tag());
  return out;
}
HWY_INLINE Lanes broadcast(float value) {
  Lanes out;
  for (int p = 0; p < kParts; ++p) out.part[p] = hn::Set(Tag(), value);
  return out;
}
HWY_INLINE Lanes add(const Lanes& a, const Lanes& b) {
  Lanes out;
  for (int p = 0; p < kParts; ++p) out.part[p] = hn::Add(a.part[p], b.part[p]);
  return out;
}
HWY_INLINE Lanes sub(const Lanes& a, const Lanes& b) {
  Lanes out;
  for (int p = 0; p < kParts; ++p) out.part[p] = hn::Sub(a.part[p], b.part[p]);
  return out;
}
HWY_INLINE Lanes mul(const Lanes& a, const Lanes& b) {
  Lanes out;
  for (int p = 0; p < kParts; ++p) out.part[p] = hn::Mul(a.part[p], b.part[p]);
  return out;
}
HWY_INLINE Lanes div(const Lanes& a, const Lanes& b) {
  Lanes out;
  for (int p = 0; p < kParts; ++p) out.part[p] = hn::Div(a.part[p], b.part[p]);
  return out;
}
HWY_INLINE Lanes max(const Lanes& a, const Lanes& b) {
  Lanes out;
  for (int p = 0; p < kParts; ++p) out.part[p] = hn::Max(a.part[p], b.part[p]);
  return out;
}
// a · b + c, fused where the CPU can.
HWY_INLINE Lanes mul_add(const Lanes& a, const Lanes& b, const Lanes& c) {
  Lanes out;
  for (int p = 0; p < kParts; ++p) out.part[p] = hn::MulAdd(a.part[p], b.part[p], c.part[p]);
  return out;
}
HWY_INLINE void store(const Lanes& lanes, float* to) {
  for (int p = 0; p < kParts; ++p) hn::StoreU(lanes.part[p], Tag(), to + p * kWidth);
}

// --- the fixed tree: lane i + (i + 8), then + 4, + 2, + 1 ---

HWY_INLINE float reduce(const Lanes& lanes) {
  float v[16];
  store(lanes, v);
  for (int n = 8; n > 0; n /= 2) {
    for (int i = 0; i < n; ++i) v[i] += v[i + n];
  }
  return v[0];
}

#if HWY_TARGET == HWY_SCALAR
HWY_INLINE void reduce4(const Lanes (&lanes)[4], float* to) {
  for (int i = 0; i < 4; ++i) to[i] = reduce(lanes[i]);
}
#else
using Tag4 = hn::FixedTag<float, 4>;
template <class L>  // a template, so that the widths that this target has not are never compiled
HWY_INLINE hn::Vec<Tag4> fold_to_4(const L& lanes) {
  if constexpr (kParts == 1) {
    const hn::Half<Tag> half;
    const auto eight =
        hn::Add(hn::LowerHalf(half, lanes.part[0]), hn::UpperHalf(half, lanes.part[0]));
    return hn::Add(hn::LowerHalf(Tag4(), eight), hn::UpperHalf(Tag4(), eight));
  } else if constexpr (kParts == 2) {
    const auto eight = hn::Add(lanes.part[0], lanes.part[1]);
    return hn::Add(hn::LowerHalf(Tag4(), eight), hn::UpperHalf(Tag4(), eight));
  } else {
    return hn::Add(hn::Add(lanes.part[0], lanes.part[2]), hn::Add(lanes.part[1], lanes.part[3]));
  }
}
// Four sums at once; each has the bits of reduce().
HWY_INLINE void reduce4(const Lanes (&lanes)[4], float* to) {
  const Tag4 d;
  const auto a = fold_to_4(lanes[0]), b = fold_to_4(lanes[1]);
  const auto c = fold_to_4(lanes[2]), e = fold_to_4(lanes[3]);
  const auto ab = hn::Add(hn::ConcatLowerLower(d, b, a), hn::ConcatUpperUpper(d, b, a));
  const auto ce = hn::Add(hn::ConcatLowerLower(d, e, c), hn::ConcatUpperUpper(d, e, c));
  hn::StoreU(hn::Add(hn::ConcatEven(d, ce, ab), hn::ConcatOdd(d, ce, ab)), d, to);
}
#endif

// --- stored elements: load(row, c) gives columns [c, c + 16) as fp32 ---

struct FromF32 {
  static constexpr DType kType = DType::f32;
  static HWY_INLINE Lanes load(const std::byte* row, int64_t c) {
    Lanes out;
    const float* from = reinterpret_cast<const float*>(row) + c;
    for (int p = 0; p < kParts; ++p) out.part[p] = hn::LoadU(Tag(), from + p * kWidth);
    return out;
  }
};

struct FromBf16 {
  static constexpr DType kType = DType::bf16;
  static HWY_INLINE Lanes load(const std::byte* row, int64_t c) {
    const hn::RebindToUnsigned<Tag> d32;
    const hn::Rebind<uint16_t, Tag> d16;
    Lanes out;
    const uint16_t* from = reinterpret_cast<const uint16_t*>(row) + c;
    for (int p = 0; p < kParts; ++p) {
      const auto wide = hn::PromoteTo(d32, hn::LoadU(d16, from + p * kWidth));
      out.part[p] = hn::BitCast(Tag(), hn::ShiftLeft<16>(wide));
    }
    return out;
  }
};

struct FromF16 {
  static constexpr DType kType = DType::f16;
  static HWY_INLINE Lanes load(const std::byte* row, int64_t c) {
    Lanes out;
#if HWY_TARGET <= HWY_AVX2  // one instruction (F16C)
    const hn::Rebind<hwy::float16_t, Tag> d16;
    const auto* from = reinterpret_cast<const hwy::float16_t*>(row) + c;
    for (int p = 0; p < kParts; ++p) {
      out.part[p] = hn::PromoteTo(Tag(), hn::LoadU(d16, from + p * kWidth));
    }
#else  // Highway's emulation loses infinities and NaN
    float values[16];
    for (int i = 0; i < 16; ++i)
      values[i] = f16_to_f32(load_unaligned<uint16_t>(row + 2 * (c + i)));
    for (int p = 0; p < kParts; ++p) out.part[p] = hn::LoadU(Tag(), values + p * kWidth);
#endif
    return out;
  }
};

// The last n ≤ 16 columns, filled up with zeros. Quantised rows have no such rest.
template <class From>
HWY_INLINE Lanes load_rest(const std::byte* row, int64_t c, int64_t n) {
  constexpr int64_t kBytes = From::kType == DType::f32 ? 4 : 2;
  alignas(64) std::byte rest[16 * kBytes] = {};
  std::memcpy(rest, row + c * kBytes, static_cast<size_t>(n * kBytes));
  return From::load(rest, 0);
}
HWY_INLINE Lanes load(const float* from) {
  return FromF32::load(reinterpret_cast<const std::byte*>(from), 0);
}
HWY_INLINE Lanes load_rest(const float* from, int64_t n) {
  return load_rest<FromF32>(reinterpret_cast<const std::byte*>(from), 0, n);
}
HWY_INLINE void store_rest(const Lanes& lanes, float* to, int64_t n) {
  float values[16];
  store(lanes, values);
  std::memcpy(to, values, static_cast<size_t>(n) * sizeof(float));
}

}  // namespace greta::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
