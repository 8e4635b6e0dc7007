#include "convert.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <fstream>
#include <limits>
#include <map>

#include "testing/numbers.h"

namespace greta::kernels {
namespace {

using testing::store_as;

constexpr DType kQuantised[] = {DType::q8_0, DType::q4_0, DType::q5_0,
                                DType::q4_k, DType::q5_k, DType::q6_k};

// ldexp of mantissa and exponent, straight from the definition of binary16.
float f16_by_definition(uint16_t half) {
  const int exponent = half >> 10 & 31;
  const int mantissa = half & 1023;
  const float sign = (half & 0x8000) != 0 ? -1.0f : 1.0f;
  if (exponent == 31) return mantissa != 0 ? NAN : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(mantissa), -24);
  return sign * std::ldexp(static_cast<float>(1024 + mantissa), exponent - 25);
}

TEST(Convert, EveryF16MeansWhatTheFormatSays) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float want = f16_by_definition(half), got = f16_to_f32(half);
    if (std::isnan(want)) {
      EXPECT_TRUE(std::isnan(got)) << bits;
    } else {
      EXPECT_EQ(std::bit_cast<uint32_t>(want), std::bit_cast<uint32_t>(got)) << bits;
      EXPECT_EQ(half, f32_to_f16(got)) << bits;
    }
  }
}

TEST(Convert, F16RoundsToNearestEven) {
  struct Case {
    float value;
    uint16_t want;
  };
  const Case cases[] = {{1.0f + 0x1p-11f, 0x3c00},             // half way, even below
                        {1.0f + 3 * 0x1p-11f, 0x3c02},         // half way, even above
                        {1.0f + 0x1p-11f + 0x1p-20f, 0x3c01},  // above half way
                        {65504.0f, 0x7bff},
                        {65519.996f, 0x7bff},
                        {65520.0f, 0x7c00},  // rounds to infinity
                        {-65520.0f, 0xfc00},
                        {0x1p-24f, 0x0001},
                        {0x1p-25f, 0x0000},             // half of the smallest subnormal: to even
                        {0x1p-25f + 0x1p-40f, 0x0001},  // above it
                        {3 * 0x1p-25f, 0x0002},
                        {0x1p-14f - 0x1p-26f, 0x0400},  // the largest subnormal rounds up to normal
                        {-0.0f, 0x8000},
                        {std::numeric_limits<float>::infinity(), 0x7c00},
                        {1e-30f, 0x0000}};
  for (const Case& c : cases) EXPECT_EQ(f32_to_f16(c.value), c.want) << c.value;
  EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(NAN))));
}

TEST(Convert, Bf16RoundsToNearestEven) {
  EXPECT_EQ(f32_to_bf16(1.0f), 0x3f80);
  EXPECT_EQ(f32_to_bf16(1.0f + 0x1p-8f), 0x3f80);      // half way, even below
  EXPECT_EQ(f32_to_bf16(1.0f + 3 * 0x1p-8f), 0x3f82);  // half way, even above
  EXPECT_EQ(f32_to_bf16(3.4e38f), 0x7f80);             // rounds to infinity
  // A NaN whose mantissa lies in the low bits must not become an infinity.
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(std::bit_cast<float>(0x7f800001u)))));
  for (uint32_t bits = 0; bits < 0x7f80; ++bits) {
    const auto b = static_cast<uint16_t>(bits);
    EXPECT_EQ(f32_to_bf16(bf16_to_f32(b)), b);
  }
}

// ci/peers/quant_goldens.py made the file with the gguf Python package.
TEST(Convert, DequantizeGivesTheBitsOfTheFormatsOwnPackage) {
  std::ifstream file(QUANT_GOLDENS);
  std::map<std::string, int> blocks;
  for (std::string name, bytes, values; file >> name >> bytes >> values;) {
    const auto same_name = [&](DType type) {
      std::string lower = name;
      for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      return lower == to_string(type);
    };
    const auto* type = std::find_if(std::begin(kQuantised), std::end(kQuantised), same_name);
    ASSERT_NE(type, std::end(kQuantised)) << name;
    ASSERT_EQ(static_cast<int64_t>(bytes.size()), 2 * block_of(*type).bytes) << name;
    std::vector<std::byte> block;
    for (size_t i = 0; i < bytes.size(); i += 2) {
      block.push_back(static_cast<std::byte>(std::stoul(bytes.substr(i, 2), nullptr, 16)));
    }
    std::vector<float> out(static_cast<size_t>(block_of(*type).elements));
    ASSERT_EQ(values.size(), 8 * out.size()) << name;
    dequantize(*type, block.data(), out);
    for (size_t i = 0; i < out.size(); ++i) {
      const auto want = static_cast<uint32_t>(std::stoul(values.substr(8 * i, 8), nullptr, 16));
      ASSERT_EQ(std::bit_cast<uint32_t>(out[i]), want)
          << name << " weight " << i << ": " << out[i] << ", not " << std::bit_cast<float>(want);
    }
    ++blocks[name];
  }
  EXPECT_EQ(blocks.size(), std::size(kQuantised)) << "a type is not in " QUANT_GOLDENS;
}

TEST(Convert, SimdLoadersOfBlocksAgreeWithTheScalarOnes) {
  testing::on_every_isa([](const std::string&) {
    Context context(1);
    for (const DType type : kQuantised) {
      constexpr int64_t kColumns = 256, kRows = 6;
      const auto stored = store_as(type, std::vector<float>(kRows * kColumns), kColumns);
      const WeightView all(stored.bytes.data(), type, kRows, kColumns);
      std::vector<float> one(kColumns), out(kRows);
      for (size_t c = 0; c < kColumns; ++c) {
        one.assign(kColumns, 0.0f);
        one[c] = 1.0f;
        ASSERT_EQ(
            matmul(context,
                   {.weight = all, .x = {one.data(), 1, kColumns}, .out = {out.data(), 1, kRows}}),
            Status::ok);
        for (size_t r = 0; r < kRows; ++r) {
          ASSERT_EQ(out[r], stored.values[r * kColumns + c]) << to_string(type) << " " << c;
        }
      }
    }
  });
}

// Every 16-bit pattern through the SIMD loaders: an identity matrix picks the element out.
TEST(Convert, SimdLoadersAgreeWithTheScalarOnes) {
  testing::on_every_isa([](const std::string&) {
    Context context(1);
    for (const DType type : {DType::f16, DType::bf16}) {
      constexpr int64_t kColumns = 16;
      std::vector<uint16_t> bits(65536);
      for (size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<uint16_t>(i);
      const WeightView all(reinterpret_cast<const std::byte*>(bits.data()), type, 4096, kColumns);
      std::vector<float> one(kColumns), out(4096);
      for (size_t c = 0; c < kColumns; ++c) {
        one.assign(kColumns, 0.0f);
        one[c] = 1.0f;
        ASSERT_EQ(
            matmul(context,
                   {.weight = all, .x = {one.data(), 1, kColumns}, .out = {out.data(), 1, 4096}}),
            Status::ok);
        for (size_t r = 0; r < 4096; ++r) {
          const auto b = static_cast<uint16_t>(r * kColumns + c);
          const float want = type == DType::f16 ? f16_to_f32(b) : bf16_to_f32(b);
          // A row with an infinity or NaN gives NaN in its other columns (0 · ∞).
          const auto row = std::span(bits).subspan(r * kColumns, kColumns);
          const uint16_t exponent = type == DType::f16 ? 0x7c00 : 0x7f80;
          const bool finite =
              std::ranges::none_of(row, [&](uint16_t x) { return (x & exponent) == exponent; });
          if (finite) {
            ASSERT_EQ(out[r], want) << b;
          } else {
            ASSERT_TRUE(std::isnan(out[r]) || out[r] == want) << b;
          }
        }
      }
    }
  });
}

}  // namespace
}  // namespace greta::kernels
