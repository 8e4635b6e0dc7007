#pragma once
// The arithmetic of a matrix unit, on whole tiles: D (16 × 16) += A (16 × depth) · B (depth × 16),
// row-major. The same bits on every host.
//
// MfmaArithmetic::cdna3 for 16-bit types is what MMA-Sim (arXiv 2511.10909) measured on an MI300X.
// A number is s·2^e with 1 ≤ |s| < 2; a subnormal or zero has the least e of its type and |s| < 1.
// Eight products at a time, in the order of k:
//   product i is s = sa·sb with e = ea + eb, or e = −126 if it is zero; emax is the greatest e;
//   each is cut (toward zero) to 24 places after the point at 2^emax, and their sum S is exact;
//   with C, the sum so far, and E = max(emax, eC): S is rounded down to 31 places at 2^E, C down to
//   24, and their exact sum is rounded to fp32, nearest, ties to even.
// A product of 2^128 or more is infinite; infinities and NaN go on as in IEEE 754.

#include "gpu/emu/emu.h"

namespace greta::kernels::gpu::emu {

constexpr int kSide = 16;
constexpr int kDepth16 = 16;  // of an instruction of 16-bit numbers

enum class Format : uint8_t { bf16, f16 };

// One chain of fused multiply-adds an element, k ascending.
void multiply_f32(const float* a, const float* b, int depth, float* d);
void multiply_16(MfmaArithmetic arithmetic, Format format, const uint16_t* a, const uint16_t* b,
                 float* d);

}  // namespace greta::kernels::gpu::emu
