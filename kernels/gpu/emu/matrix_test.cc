// The matrix unit's arithmetic: by hand where its rounding shows, and against its definition.

#include "gpu/emu/matrix.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>
#include <vector>

#include "convert.h"

namespace greta::kernels::gpu::emu {
namespace {

uint16_t bits_of(Format format, float x) {
  return format == Format::bf16 ? f32_to_bf16(x) : f32_to_f16(x);
}
float value_of(Format format, uint16_t bits) {
  return format == Format::bf16 ? bf16_to_f32(bits) : f16_to_f32(bits);
}

struct Tile16 {
  std::vector<uint16_t> a = std::vector<uint16_t>(256), b = a;
  std::vector<float> d = std::vector<float>(256);
};

// c + Σ a[k]·b[k] in element (3, 5) of a tile whose other elements are zero.
float dot(MfmaArithmetic arithmetic, Format format, const std::vector<float>& a,
          const std::vector<float>& b, float c) {
  Tile16 tile;
  for (size_t k = 0; k < a.size(); ++k) {
    tile.a[3 * 16 + k] = bits_of(format, a[k]);
    tile.b[k * 16 + 5] = bits_of(format, b[k]);
    EXPECT_EQ(value_of(format, tile.a[3 * 16 + k]), a[k]) << "not a number of the format";
    EXPECT_EQ(value_of(format, tile.b[k * 16 + 5]), b[k]) << "not a number of the format";
  }
  tile.d[3 * 16 + 5] = c;
  multiply_16(arithmetic, format, tile.a.data(), tile.b.data(), tile.d.data());
  return tile.d[3 * 16 + 5];
}

struct ByHand {
  const char* why;
  std::vector<float> a, b;
  float c, want;
};

constexpr float kInfinity = INFINITY;

TEST(Matrix, Cdna3RoundsAsPublished) {
  const ByHand cases[] = {
      {"24 places at the greatest product are kept",
       {1, 0x1p-12f, -1},
       {1, 0x1p-12f, 1},
       0,
       0x1p-24f},
      {"what is below is cut", {1, 0x1p-13f, -1}, {1, 0x1p-12f, 1}, 0, 0},
      {"each product is cut by itself",
       {1, 0x1p-13f, 0x1p-13f, 0x1p-13f, 0x1p-13f, 0x1p-13f, 0x1p-13f},
       {1, 0x1p-12f, 0x1p-12f, 0x1p-12f, 0x1p-12f, 0x1p-12f, 0x1p-12f},
       0,
       1},
      {"cut toward zero", {1, -0x1p-13f, -1}, {1, 0x1p-12f, 1}, 0, 0},
      {"the exponent of a product is that of its factors: 1.5·1.5 = 2.25 is at 2^0",
       {1.5f, 0x1p-12f, -1.5f},
       {1.5f, 0x1p-12f, 1.5f},
       0,
       0x1p-24f},
      {"C is rounded down: a little below zero becomes 2^-24 below",
       {1},
       {1},
       -0x1p-30f,
       1 - 0x1p-24f},
      {"C is rounded down: a little above zero becomes nothing", {1}, {1}, 0x1p-30f, 1},
      {"the sum is rounded down to 31 places: beyond a tie",
       {-0x1p-12f, -0x1p-20f},
       {0x1p-13f, 0x1p-20f},
       1,
       1 - 0x1p-24f},
      {"the sum is rounded down to 31 places: onto a tie",
       {0x1p-12f, 0x1p-20f},
       {0x1p-12f, 0x1p-20f},
       1,
       1},
      {"31 places are kept: beyond a tie",
       {0x1p-12f, 0x1p-16f},
       {0x1p-12f, 0x1p-15f},
       1,
       1 + 0x1p-23f},
      {"a group of eight knows nothing of the other's exponents",
       {1, -1, 0, 0, 0, 0, 0, 0, 0x1p-14f},
       {1, 1, 0, 0, 0, 0, 0, 0, 0x1p-14f},
       0,
       0x1p-28f},
      {"within a group it does",
       {1, -1, 0, 0, 0, 0, 0, 0x1p-14f},
       {1, 1, 0, 0, 0, 0, 0, 0x1p-14f},
       0,
       0},
      {"the first group is rounded before the second is added",
       {1, 0, 0, 0, 0, 0, 0, 0, 0x1p-12f},
       {1, 0, 0, 0, 0, 0, 0, 0, 0x1p-12f},
       0,
       1},
      {"zero times anything", {0, 0}, {1, 2}, 5, 5},
      {"nothing at all is +0", {0}, {0}, -0.0f, 0},
  };
  for (const Format format : {Format::bf16, Format::f16}) {
    for (const ByHand& c : cases) {
      SCOPED_TRACE(c.why);
      EXPECT_EQ(std::bit_cast<uint32_t>(dot(MfmaArithmetic::cdna3, format, c.a, c.b, c.c)),
                std::bit_cast<uint32_t>(c.want))
          << dot(MfmaArithmetic::cdna3, format, c.a, c.b, c.c) << " for " << c.want;
    }
  }
}

TEST(Matrix, Cdna3AtTheEndsOfTheRange) {
  const std::vector<float> tiny(8, 0x1p-76f), tinier(8, 0x1p-75f);
  std::vector<float> with_zero = tiny;
  with_zero[7] = 0;
  const ByHand cases[] = {
      {"eight products of 2^-151, none of them zero", tiny, tinier, 0, 0x1p-148f},
      {"a zero is a product at 2^-126: the others are below its 24 places", with_zero, tinier, 0,
       0},
      {"subnormal factors", {0x1p-130f}, {0x1p10f}, 0, 0x1p-120f},
      {"a subnormal's exponent is the least one", {0x1p-133f, 0x1p-126f}, {1, 1}, 0, 0x1.02p-126f},
      {"a subnormal sum", {0x1p-70f}, {0x1p-70f}, 0x1p-149f, 0x1p-140f + 0x1p-149f},
      {"2^128 is infinite", {0x1p100f}, {0x1p28f}, 1, kInfinity},
      {"below 2^128", {0x1p100f}, {0x1p27f}, 0, 0x1p127f},
      {"a sum of 2^128", {0x1p100f, 0x1p100f}, {0x1p27f, 0x1p27f}, 0, kInfinity},
      {"and one that comes back",
       {0x1p100f, 0x1p100f, -0x1p100f},
       {0x1p27f, 0x1p27f, 0x1p27f},
       0,
       0x1p127f},
      {"a negative infinity", {-0x1p100f}, {0x1p28f}, 1, -kInfinity},
      {"infinity in C", {1}, {1}, -kInfinity, -kInfinity},
      {"infinity in A", {kInfinity, 5}, {2, 1}, -3, kInfinity},
  };
  for (const ByHand& c : cases) {
    SCOPED_TRACE(c.why);
    EXPECT_EQ(dot(MfmaArithmetic::cdna3, Format::bf16, c.a, c.b, c.c), c.want);
  }
  const ByHand not_numbers[] = {
      {"inf - inf of products", {kInfinity, -kInfinity}, {1, 1}, 0, 0},
      {"inf - inf of C", {kInfinity}, {1}, -kInfinity, 0},
      {"across groups",
       {kInfinity, 0, 0, 0, 0, 0, 0, 0, 0x1p100f},
       {1, 0, 0, 0, 0, 0, 0, 0, -0x1p100f},
       0,
       0},
      {"0 * inf", {0}, {kInfinity}, 0, 0},
      {"NaN in C", {1}, {1}, NAN, 0},
  };
  for (const ByHand& c : not_numbers) {
    SCOPED_TRACE(c.why);
    EXPECT_TRUE(std::isnan(dot(MfmaArithmetic::cdna3, Format::bf16, c.a, c.b, c.c)));
  }
  EXPECT_EQ(dot(MfmaArithmetic::cdna3, Format::f16, {65504}, {65504}, 0), 65504.0f * 65504.0f);
  EXPECT_EQ(dot(MfmaArithmetic::cdna3, Format::f16, {0x1p-24f}, {0x1p-24f}, 0), 0x1p-48f);
}

// Exponent of a number as the unit sees it.
int exponent(Format format, float x) {
  return std::max(x == 0 ? -10000 : std::ilogb(x), format == Format::bf16 ? -126 : -14);
}

struct Defined {
  float d;       // by the published steps, in doubles that hold each step exactly
  double bound;  // of what those steps may lose
};
Defined by_definition(Format format, const Tile16& tile, int row, int column) {
  float c = tile.d[static_cast<size_t>(row * 16 + column)];
  double bound = 0;
  for (int first = 0; first < 16; first += 8) {
    double products[8];
    int e[8], emax = -100000;
    for (int i = 0; i < 8; ++i) {
      const float a = value_of(format, tile.a[static_cast<size_t>(row * 16 + first + i)]);
      const float b = value_of(format, tile.b[static_cast<size_t>((first + i) * 16 + column)]);
      products[i] = static_cast<double>(a) * b;
      e[i] = a == 0 || b == 0 ? -126 : exponent(format, a) + exponent(format, b);
      emax = std::max(emax, e[i]);
    }
    double sum = 0;
    for (const double p : products) sum += std::trunc(std::ldexp(p, 24 - emax));
    const int ec = exponent(Format::bf16, c), top = std::max(emax, ec);
    const double s = std::floor(std::ldexp(sum, emax - 24 + 31 - top));
    const double cut = std::floor(std::ldexp(static_cast<double>(c), 24 - top));
    c = static_cast<float>(std::ldexp(s + cut * 128, top - 31));
    bound += std::ldexp(8.0, emax - 24) + std::ldexp(1.0, top - 31) + std::ldexp(1.0, top - 24) +
             std::ldexp(std::fabs(static_cast<double>(c)), -24) + 0x1p-149;
  }
  return {c, bound};
}

// Every bit pattern but infinities and NaN, or numbers of a few exponents.
Tile16 random_tile(Format format, bool any, std::mt19937& random) {
  Tile16 tile;
  const auto draw = [&]() -> uint16_t {
    for (;;) {
      if (random() % 16 == 0) return static_cast<uint16_t>(random() & 0x8000);
      auto bits = static_cast<uint16_t>(random());
      if (!any)
        bits =
            bits_of(format, std::ldexp(static_cast<float>(static_cast<int>(random() % 511) - 255),
                                       static_cast<int>(random() % 12) - 12));
      const float value = value_of(format, bits);
      if (std::isfinite(value) && std::fabs(value) < 0x1p60f) return bits;
    }
  };
  std::generate(tile.a.begin(), tile.a.end(), draw);
  std::generate(tile.b.begin(), tile.b.end(), draw);
  for (float& d : tile.d)
    d = std::ldexp(static_cast<float>(static_cast<int>(random() % 200001) - 100000),
                   static_cast<int>(random() % 24) - 24);
  return tile;
}

TEST(Matrix, Cdna3IsItsDefinitionAndKeepsItsBound) {
  std::mt19937 random(7);
  int unlike_fma = 0;
  for (const Format format : {Format::bf16, Format::f16}) {
    for (int repeat = 0; repeat < 60; ++repeat) {
      const bool any = repeat % 2 == 0;
      const Tile16 tile = random_tile(format, any, random);
      Tile16 got = tile, fma = tile;
      multiply_16(MfmaArithmetic::cdna3, format, tile.a.data(), tile.b.data(), got.d.data());
      multiply_16(MfmaArithmetic::fma, format, tile.a.data(), tile.b.data(), fma.d.data());
      for (int i = 0; i < 256; ++i) {
        const auto at = static_cast<size_t>(i);
        const Defined want = by_definition(format, tile, i / 16, i % 16);
        ASSERT_EQ(std::bit_cast<uint32_t>(got.d[at]), std::bit_cast<uint32_t>(want.d))
            << "element " << i << ": " << got.d[at] << " for " << want.d;
        if (got.d[at] != fma.d[at]) ++unlike_fma;
        if (any) continue;
        double exact = tile.d[at];  // few enough bits
        for (int k = 0; k < 16; ++k) {
          exact +=
              static_cast<double>(value_of(format, tile.a[static_cast<size_t>(i / 16 * 16 + k)])) *
              value_of(format, tile.b[static_cast<size_t>(k * 16 + i % 16)]);
        }
        ASSERT_LE(std::fabs(got.d[at] - exact), want.bound);
      }
    }
  }
  EXPECT_GT(unlike_fma, 1000);
}

TEST(Matrix, ASpecialElementLeavesTheOthersAlone) {
  std::mt19937 random(8);
  Tile16 clean = random_tile(Format::bf16, false, random);
  Tile16 got = clean;
  got.a[2 * 16 + 9] = 0x7f80;  // row 2
  got.b[1 * 16 + 4] = 0x7fc0;  // column 4
  multiply_16(MfmaArithmetic::cdna3, Format::bf16, got.a.data(), got.b.data(), got.d.data());
  multiply_16(MfmaArithmetic::cdna3, Format::bf16, clean.a.data(), clean.b.data(), clean.d.data());
  for (size_t i = 0; i < 256; ++i) {
    if (i / 16 == 2 || i % 16 == 4) {
      EXPECT_FALSE(std::isfinite(got.d[i])) << i;
    } else {
      EXPECT_EQ(got.d[i], clean.d[i]) << i;
    }
  }
}

TEST(Matrix, SmallIntegersAreExactInEveryArithmetic) {
  for (const Format format : {Format::bf16, Format::f16}) {
    for (const auto arithmetic : {MfmaArithmetic::cdna3, MfmaArithmetic::fma}) {
      Tile16 tile;
      for (int i = 0; i < 256; ++i) {
        const auto at = static_cast<size_t>(i);
        tile.a[at] = bits_of(format, static_cast<float>(i % 251 - 100));
        tile.b[at] = bits_of(format, static_cast<float>(i * 7 % 255 - 120));
        tile.d[at] = static_cast<float>(i * 3 - 300);
      }
      Tile16 got = tile;
      multiply_16(arithmetic, format, got.a.data(), got.b.data(), got.d.data());
      for (int i = 0; i < 256; ++i) {
        int want = i * 3 - 300;
        for (int k = 0; k < 16; ++k)
          want += ((i / 16 * 16 + k) % 251 - 100) * ((k * 16 + i % 16) * 7 % 255 - 120);
        EXPECT_EQ(got.d[static_cast<size_t>(i)], static_cast<float>(want));
      }
    }
  }
}

TEST(Matrix, Fp32IsAChainOfFusedMultiplyAdds) {
  std::mt19937 random(9);
  const auto draw = [&] {
    return std::ldexp(static_cast<float>(static_cast<int32_t>(random())),
                      static_cast<int>(random() % 20) - 40);
  };
  std::vector<float> a(64), b(64), d(256);
  std::generate(a.begin(), a.end(), draw);
  std::generate(b.begin(), b.end(), draw);
  std::generate(d.begin(), d.end(), draw);
  std::vector<float> got = d;
  multiply_f32(a.data(), b.data(), 4, got.data());
  for (size_t i = 0; i < 256; ++i) {
    float want = d[i];
    for (size_t k = 0; k < 4; ++k) want = std::fma(a[i / 16 * 4 + k], b[k * 16 + i % 16], want);
    EXPECT_EQ(std::bit_cast<uint32_t>(got[i]), std::bit_cast<uint32_t>(want));
  }
}

TEST(Matrix, EveryF16GoesThereAndBack) {
  for (uint32_t i = 0; i < 65536; ++i) {
    const auto bits = static_cast<uint16_t>(i);
    const float value = f16_to_float(bits);
    if (std::isnan(value)) {
      EXPECT_GT(bits & 0x7fff, 0x7c00);
      EXPECT_TRUE(std::isnan(f16_to_float(float_to_f16(value))));
    } else {
      EXPECT_EQ(float_to_f16(value), bits);
    }
  }
  EXPECT_EQ(float_to_f16(65520), 0x7c00);
  EXPECT_EQ(float_to_f16(1 + 0x1p-11f), 0x3c00) << "a tie goes to the even one";
}

}  // namespace
}  // namespace greta::kernels::gpu::emu
