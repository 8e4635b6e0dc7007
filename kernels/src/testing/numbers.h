#pragma once
// For the tests of the ops: numbers to compute with, error bounds derived from the arithmetic, and
// a loop over every instruction set that this CPU has.

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "convert.h"
#include "hwy/highway.h"
#include "kernels/kernels.h"

namespace greta::kernels::testing {

inline constexpr double kU = 0x1p-24;  // unit roundoff of fp32

// γ_n: relative error of n rounded operations in a row.
inline double gamma(int64_t n) {
  const double nu = static_cast<double>(n) * kU;
  return nu / (1 - nu);
}

inline std::vector<float> random_floats(int64_t n, uint32_t seed, float scale = 1.0f) {
  std::mt19937 engine(seed);
  std::vector<float> out(static_cast<size_t>(n));
  // Not std::normal_distribution: its numbers differ between standard libraries.
  for (float& value : out) {
    value = scale * (static_cast<float>(engine() >> 8) * 0x1p-23f - 1.0f);
  }
  return out;
}

// Rows of `type`, and what they mean in fp32.
struct Stored {
  std::vector<std::byte> bytes;
  std::vector<float> values;
};
inline Stored store_as(DType type, std::span<const float> values, int64_t columns) {
  Stored out;
  out.values.resize(values.size());
  const auto n = static_cast<int64_t>(values.size());
  out.bytes.resize(static_cast<size_t>(n / columns * row_bytes(type, columns)));
  if (type == DType::q8_0) {
    for (int64_t block = 0; block < n / kQ8Block; ++block) {
      std::byte* to = out.bytes.data() + block * kQ8BlockBytes;
      const float* from = values.data() + block * kQ8Block;
      float largest = 0;
      for (int64_t i = 0; i < kQ8Block; ++i) largest = std::max(largest, std::abs(from[i]));
      const uint16_t scale = f32_to_f16(largest / 127);
      std::memcpy(to, &scale, 2);
      for (int64_t i = 0; i < kQ8Block; ++i) {
        const float scaled = largest > 0 ? std::round(from[i] / (largest / 127)) : 0;
        const auto q = static_cast<int8_t>(scaled);
        std::memcpy(to + 2 + i, &q, 1);
        out.values[static_cast<size_t>(block * kQ8Block + i)] = f16_to_f32(scale) * q;
      }
    }
  } else {
    round_to(type, values, out.bytes.data());
    for (size_t i = 0; i < values.size(); ++i) {
      out.values[i] = type == DType::f16    ? f16_to_f32(f32_to_f16(values[i]))
                      : type == DType::bf16 ? bf16_to_f32(f32_to_bf16(values[i]))
                                            : values[i];
    }
  }
  return out;
}

inline bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

// Calls test(isa) with the ops dispatched to each instruction set in turn.
template <class Test>
void on_every_isa(const Test& test) {
  const int64_t all = hwy::SupportedTargets();
  for (int64_t left = all & HWY_TARGETS; left != 0; left &= left - 1) {
    hwy::SetSupportedTargetsForTest(left & -left);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    SCOPED_TRACE(isa());
    test(isa());
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

// Has this instruction set a fused multiply-add? Those that have give equal bits.
inline bool has_fma(const std::string& isa_name) {
  return isa_name.starts_with("avx2") || isa_name.starts_with("avx512");
}

}  // namespace greta::kernels::testing
