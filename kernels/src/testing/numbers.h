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

// Every bit pattern of the quants and of their small scales; the fp16 scales are within 2^-7 …
// 2^-5.
inline std::vector<std::byte> random_blocks(DType type, int64_t blocks, uint32_t seed) {
  std::mt19937 engine(seed);
  const Block block = block_of(type);
  std::vector<std::byte> out(static_cast<size_t>(blocks * block.bytes));
  for (std::byte& byte : out) byte = static_cast<std::byte>(engine() >> 24);
  const std::vector<int64_t> scales = type == DType::q6_k     ? std::vector<int64_t>{208}
                                      : block.elements == 256 ? std::vector<int64_t>{0, 2}
                                                              : std::vector<int64_t>{0};
  for (int64_t b = 0; b < blocks; ++b) {
    for (const int64_t at : scales) {
      const auto half = static_cast<uint16_t>(0x2000 + (engine() >> 22) * 2);
      std::memcpy(out.data() + b * block.bytes + at, &half, 2);
    }
  }
  return out;
}

// Rows of `type`, and what they mean in fp32. Quantised ones are random blocks, whatever the
// values.
struct Stored {
  std::vector<std::byte> bytes;
  std::vector<float> values;
};
inline Stored store_as(DType type, std::span<const float> values, int64_t columns) {
  Stored out;
  out.values.resize(values.size());
  const auto n = static_cast<int64_t>(values.size());
  out.bytes.resize(static_cast<size_t>(n / columns * row_bytes(type, columns)));
  if (is_quantised(type)) {
    out.bytes = random_blocks(type, n / block_of(type).elements, 1);
    dequantize(type, out.bytes.data(), out.values);
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
