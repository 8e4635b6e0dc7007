#pragma once
// Element types of a GPU's memory, and how they become fp32 and back (nearest, ties to even).

#include <cmath>
#include <cstring>

#include "gpu/target.h"
#if GRETA_TARGET_CUDA
#include <cuda_fp16.h>
#elif GRETA_TARGET_HIP
#include <hip/hip_fp16.h>
#endif

namespace greta::kernels::gpu {
inline namespace GRETA_ON_TARGET {

struct Bf16 {
  uint16_t bits;
};
struct F16 {
  uint16_t bits;
};

template <class To, class From>
GRETA_DEVICE To bits_as(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}

GRETA_DEVICE float to_float(float x) { return x; }
GRETA_DEVICE float to_float(Bf16 x) { return bits_as<float>(static_cast<uint32_t>(x.bits) << 16); }
GRETA_DEVICE float to_float(F16 x) {
#if GRETA_TARGET_EMU
  return emu::f16_to_float(x.bits);
#else
  return __half2float(bits_as<__half>(x.bits));
#endif
}

template <class T>
GRETA_DEVICE T from_float(float x);
template <>
GRETA_DEVICE float from_float<float>(float x) {
  return x;
}
template <>
GRETA_DEVICE Bf16 from_float<Bf16>(float x) {
  const auto bits = bits_as<uint32_t>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>((bits >> 16) | 0x40u)};
  return {static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}
template <>
GRETA_DEVICE F16 from_float<F16>(float x) {
#if GRETA_TARGET_EMU
  return {emu::float_to_f16(x)};
#else
  return {bits_as<uint16_t>(__float2half_rn(x))};
#endif
}

}  // namespace GRETA_ON_TARGET
}  // namespace greta::kernels::gpu
