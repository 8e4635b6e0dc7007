#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "gpu/testing/device.h"
#include "testing/numbers.h"

namespace greta::kernels::gpu {
namespace {

using greta::kernels::testing::gamma;
using greta::kernels::testing::random_floats;
using greta::kernels::testing::same_bits;
using greta::kernels::testing::store_as;
using greta::kernels::testing::Stored;
using testing::Buffer;
using testing::device;
using testing::Weights;

TEST(GpuEmbedding, GivesTheBitsOfTheRow) {
  const std::vector<int32_t> tokens = {6, 0, 3, 3, 1};
  constexpr int64_t kVocab = 7;
  for (const DType type : testing::kEveryWeight) {
    for (const int64_t columns : {1, 7, 8, 33, 64, 256, 1300, 2560, 9472}) {
      if (!whole_blocks(type, columns)) continue;
      for (const int64_t offset : {0, 4}) {
        const Stored stored = store_as(type, random_floats(kVocab * columns, 1), columns);
        const Weights table(type, kVocab, columns, stored.bytes, offset);
        const Buffer<int32_t> ids(tokens);
        const Buffer<float> out(static_cast<int64_t>(tokens.size()) * columns);
        ASSERT_EQ(device().run(EmbeddingOp{table.matrix(), ids.read(), out.span()}).error, "");
        const auto got = out.download();
        for (size_t t = 0; t < tokens.size(); ++t) {
          const auto row = static_cast<size_t>(tokens[t] * columns);
          const auto width = static_cast<size_t>(columns);
          ASSERT_TRUE(same_bits(std::span(got).subspan(t * width, width),
                                std::span(stored.values).subspan(row, width)))
              << to_string(type) << " " << columns << " token " << t << " offset " << offset;
        }
      }
    }
  }
}

TEST(GpuEmbedding, RefusesOtherShapes) {
  const Buffer<std::byte> bytes(int64_t{64});
  const Buffer<int32_t> ids(std::vector<int32_t>{0, 1});
  const Buffer<float> out(int64_t{16});
  const Matrix table = {DType::f32, bytes.read(), 2, 8};
  EXPECT_EQ(device().run(EmbeddingOp{table, ids.read(), out.span()}).error, "");
  EXPECT_EQ(device().run(EmbeddingOp{table, ids.read(), out.span().sub(0, 15)}).error,
            "embedding: shapes");
  const Matrix wrong = {DType::f32, bytes.read(), 3, 8};
  EXPECT_EQ(device().run(EmbeddingOp{wrong, ids.read(), out.span()}).error,
            "embedding: a matrix of 3 x 8 f32 in 64 bytes");
}

// A thread squares and adds ⌈C/256⌉ numbers, a wave adds in six steps, a block at most eight waves;
// then the division, eps, a root (half of what came before), its inverse and two products.
TEST(GpuRmsNorm, StaysWithinTheBound) {
  // Of the last rows, eps is half or all of the mean.
  for (const auto& [tokens, size] :
       {std::pair{1, 3.0f}, std::pair{3, 3.0f}, std::pair{3, 5e-3f}, std::pair{1, 0.0f}}) {
    for (const int64_t columns : {1, 5, 31, 32, 33, 64, 255, 256, 257, 1000, 2048}) {
      const auto x = random_floats(tokens * columns, 3, size), weight = random_floats(columns, 4);
      const Buffer<float> in(x), by(weight), out(tokens * columns);
      constexpr float kEps = 1e-5f;
      ASSERT_EQ(device().run(RmsNormOp{in.read(), by.read(), out.span(), kEps}).error, "");
      const auto got = out.download();
      const double error = gamma(((columns + 255) / 256 + 6 + 8 + 2) / 2 + 5);
      for (int64_t t = 0; t < tokens; ++t) {
        double squares = 0;
        for (int64_t c = 0; c < columns; ++c) {
          squares += std::pow(static_cast<double>(x[static_cast<size_t>(t * columns + c)]), 2);
        }
        const double scale =
            1 / std::sqrt(squares / static_cast<double>(columns) + static_cast<double>(kEps));
        for (int64_t c = 0; c < columns; ++c) {
          const auto at = static_cast<size_t>(t * columns + c);
          const double want = static_cast<double>(x[at]) * scale *
                              static_cast<double>(weight[static_cast<size_t>(c)]);
          ASSERT_LE(std::abs(static_cast<double>(got[at]) - want), error * std::abs(want))
              << columns << " columns, token " << t << " column " << c;
        }
      }
    }
  }
}

TEST(GpuRmsNorm, ARowHasTheSameBitsAloneAndAmongOthers) {
  constexpr int64_t kTokens = 4, kColumns = 777;
  const auto x = random_floats(kTokens * kColumns, 5), weight = random_floats(kColumns, 6);
  const Buffer<float> in(x), by(weight), out(kTokens * kColumns), alone(kColumns);
  ASSERT_EQ(device().run(RmsNormOp{in.read(), by.read(), out.span(), 1e-5f}).error, "");
  const auto together = out.download();
  for (int64_t t = 0; t < kTokens; ++t) {
    ASSERT_EQ(
        device()
            .run(RmsNormOp{in.read().sub(t * kColumns, kColumns), by.read(), alone.span(), 1e-5f})
            .error,
        "");
    EXPECT_TRUE(same_bits(alone.download(), std::span(together).subspan(t * kColumns, kColumns)))
        << t;
  }
}

TEST(GpuRmsNorm, RefusesOtherShapes) {
  const Buffer<float> x(int64_t{8}), w(int64_t{4});
  const Span<float> out = x.span();
  EXPECT_EQ(device().run(RmsNormOp{x.read().sub(0, 7), w.read(), out.sub(0, 7), 0}).error,
            "rms_norm: shapes");
  EXPECT_EQ(device().run(RmsNormOp{x.read(), w.read(), out.sub(0, 4), 0}).error,
            "rms_norm: shapes");
  EXPECT_EQ(device().run(RmsNormOp{x.read(), w.read().sub(0, 0), out, 0}).error,
            "rms_norm: shapes");
}

constexpr int64_t kCounts[] = {1, 2, 31, 63, 64, 65, 255, 256, 257, 1000};

// exp errs by 4u, and so does silu by less; the sum, the quotient and the product add one u each.
TEST(GpuSwiglu, StaysWithinTheBound) {
  for (const int64_t count : kCounts) {
    auto gate = random_floats(count, 7, 12.0f);
    const auto up = random_floats(count, 8);
    const float edges[] = {0.0f, -0.0f, 88.5f, -88.5f, 100.0f, -100.0f, 1e-30f, -1e30f};
    for (size_t i = 0; i < std::size(edges) && i + 1 < gate.size(); ++i) gate[i] = edges[i];
    const Buffer<float> a(gate), b(up), out(count);
    ASSERT_EQ(device().swiglu({a.read(), b.read(), out.span()}).error, "");
    const auto got = out.download();
    for (size_t i = 0; i < got.size(); ++i) {
      const auto g = static_cast<double>(gate[i]);
      const double want = g / (1 + std::exp(-g)) * static_cast<double>(up[i]);
      // Beyond e^88 the denominator is infinite in fp32, and what is left of silu below 2^-120.
      ASSERT_LE(std::abs(static_cast<double>(got[i]) - want), gamma(9) * std::abs(want) + 0x1p-120)
          << gate[i] << " of " << count;
    }
    ASSERT_EQ(device().swiglu({a.read(), b.read(), a.span()}).error, "");
    EXPECT_TRUE(same_bits(a.download(), got)) << "in place, " << count;
  }
}

TEST(GpuAdd, IsOneRoundedAddition) {
  for (const int64_t count : kCounts) {
    const auto left = random_floats(count, 9, 3.0f), right = random_floats(count, 10);
    std::vector<float> want(left.size());
    for (size_t i = 0; i < want.size(); ++i) want[i] = left[i] + right[i];
    const Buffer<float> a(left), b(right), out(count);
    ASSERT_EQ(device().add({a.read(), b.read(), out.span()}).error, "");
    EXPECT_TRUE(same_bits(out.download(), want)) << count;
    ASSERT_EQ(device().add({a.read(), b.read(), b.span()}).error, "");
    EXPECT_TRUE(same_bits(b.download(), want)) << "in place, " << count;
  }
}

int32_t argmax(const std::vector<float>& values) {
  const Buffer<float> in(values);
  const Buffer<int32_t> id(int64_t{1}, testing::kNoId);
  EXPECT_EQ(device().run(ArgmaxOp{in.read(), id.span()}).error, "");
  return id.download()[0];
}

TEST(GpuArgmax, FindsTheLargestWhereverItIs) {
  for (const int64_t count : {1, 2, 3, 255, 256, 257, 1000, 70000}) {
    for (const int64_t at : {int64_t{0}, count / 2, count - 1}) {
      auto values = random_floats(count, 11);
      values[static_cast<size_t>(at)] = 5;
      EXPECT_EQ(argmax(values), at) << count;
    }
    auto values = random_floats(count, 12);
    const auto largest = std::max_element(values.begin(), values.end()) - values.begin();
    EXPECT_EQ(argmax(values), largest) << count;
  }
}

TEST(GpuArgmax, TakesTheSmallestOfEquals) {
  for (const int64_t first : {0, 1, 200, 255, 256, 300}) {
    auto values = random_floats(1000, 13);
    for (const int64_t at : {first, first + 1, first + 255, first + 256, int64_t{999}}) {
      values[static_cast<size_t>(at)] = 2;
    }
    EXPECT_EQ(argmax(values), first);
  }
  EXPECT_EQ(argmax(std::vector<float>(600, -INFINITY)), 0);
  EXPECT_EQ(argmax({-1.0f, -0.0f, 0.0f}), 1);
}

TEST(GpuArgmax, NeverChoosesNan) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> values(700, kNan);
  EXPECT_EQ(argmax(values), -1);
  EXPECT_EQ(argmax({kNan}), -1);
  values[650] = -INFINITY;
  EXPECT_EQ(argmax(values), 650);
  values[30] = -3;
  EXPECT_EQ(argmax(values), 30);
  values[651] = INFINITY;
  EXPECT_EQ(argmax(values), 651);
}

TEST(GpuArgmax, RefusesNothing) {
  const Buffer<float> values(int64_t{2});
  const Buffer<int32_t> id(int64_t{2});
  EXPECT_EQ(device().run(ArgmaxOp{values.read().sub(0, 0), id.span().sub(0, 1)}).error,
            "argmax: shapes");
  EXPECT_EQ(device().run(ArgmaxOp{values.read(), id.span()}).error, "argmax: shapes");
}

}  // namespace
}  // namespace greta::kernels::gpu
