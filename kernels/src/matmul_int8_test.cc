#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/kernels.h"
#include "testing/numbers.h"

namespace greta::kernels {
namespace {

using testing::gamma;
using testing::random_floats;
using testing::store_as;
using testing::Stored;

constexpr DType kQuantised[] = {DType::q8_0, DType::q4_0, DType::q5_0,
                                DType::q4_k, DType::q5_k, DType::q6_k};

std::vector<float> run(Context& context, const Stored& weights, DType type, int64_t outputs,
                       int64_t columns, std::span<const float> x) {
  const auto tokens = static_cast<int64_t>(x.size()) / columns;
  std::vector<float> out(static_cast<size_t>(tokens * outputs), NAN);
  EXPECT_EQ(matmul_int8(context, {.weight = {weights.bytes.data(), type, outputs, columns},
                                  .x = {x.data(), tokens, columns},
                                  .out = {out.data(), tokens, outputs}}),
            Status::ok);
  return out;
}

// x as the op rounds it: 32 values share a scale.
std::vector<double> rounded(std::span<const float> x) {
  std::vector<double> out;
  for (size_t first = 0; first < x.size(); first += 32) {
    float largest = 0;
    for (size_t i = first; i < first + 32; ++i) largest = std::max(largest, std::abs(x[i]));
    const float factor = largest > 0 ? 127.0f / largest : 0.0f;
    for (size_t i = first; i < first + 32; ++i) {
      out.push_back(static_cast<double>(std::nearbyint(x[i] * factor)) *
                    static_cast<double>(largest / 127.0f));
    }
  }
  return out;
}

struct Shape {
  int64_t outputs, columns;
};
constexpr Shape kShapes[] = {{1, 64}, {5, 64}, {16, 256}, {37, 512}, {3, 2048}, {20, 320}};

// Against fp64 over the same rounded x: what is left is fp32 rounding of the scaled sums.
TEST(MatmulInt8, IsTheProductOfTheRoundedActivations) {
  if (!has_matmul_int8(DType::q8_0, 64)) GTEST_SKIP() << "this CPU has no AVX-512 VNNI";
  Context context(2);
  for (const DType type : kQuantised) {
    for (const auto [outputs, columns] : kShapes) {
      if (!has_matmul_int8(type, columns)) continue;
      const auto weights = store_as(type, random_floats(outputs * columns, 1), columns);
      for (const int64_t tokens : {1, 3, 4, 8, 13}) {
        const auto x = random_floats(tokens * columns, 2);
        const auto xs = rounded(x);
        const auto out = run(context, weights, type, outputs, columns, x);
        // A scale's four roundings, its product, at most columns / 16 sums with a minimum each, and
        // the tree. The parts are as large as scale · q and the minimum before they cancel: |w|
        // plus twice the row's largest weight.
        const double g = gamma(2 * columns / 16 + 12);
        for (int64_t t = 0; t < tokens; ++t) {
          for (int64_t o = 0; o < outputs; ++o) {
            double want = 0, magnitude = 0, largest = 0;
            for (int64_t c = 0; c < columns; ++c) {
              largest = std::max<double>(
                  largest, std::abs(weights.values[static_cast<size_t>(o * columns + c)]));
            }
            for (int64_t c = 0; c < columns; ++c) {
              const double w = weights.values[static_cast<size_t>(o * columns + c)];
              const double xc = xs[static_cast<size_t>(t * columns + c)];
              want += w * xc;
              magnitude += (std::abs(w) + 2 * largest) * std::abs(xc);
            }
            ASSERT_LE(std::abs(out[static_cast<size_t>(t * outputs + o)] - want), g * magnitude)
                << to_string(type) << " " << outputs << "x" << columns << " token " << t << " of "
                << tokens << " row " << o;
          }
        }
      }
    }
  }
}

// A row has the same bits alone (a decode) and among others (a prefill), with any threads.
TEST(MatmulInt8, BitsDoNotDependOnTokensOrThreads) {
  if (!has_matmul_int8(DType::q8_0, 64)) GTEST_SKIP() << "this CPU has no AVX-512 VNNI";
  for (const DType type : kQuantised) {
    for (const auto [outputs, columns] : {Shape{67, 512}, Shape{5, 256}, Shape{32, 768}}) {
      const auto weights = store_as(type, random_floats(outputs * columns, 3), columns);
      const auto x = random_floats(19 * columns, 4);
      Context one(1);
      std::vector<float> alone;
      for (int64_t t = 0; t < 19; ++t) {
        const auto row =
            run(one, weights, type, outputs, columns, std::span(x).subspan(t * columns, columns));
        alone.insert(alone.end(), row.begin(), row.end());
      }
      for (const int64_t tokens : {1, 3, 4, 8, 19}) {
        for (const int threads : {1, 2, 3, 8}) {
          Context context(threads);
          const auto some = std::span(x).first(tokens * columns);
          ASSERT_TRUE(testing::same_bits(std::span(alone).first(tokens * outputs),
                                         run(context, weights, type, outputs, columns, some)))
              << to_string(type) << " " << outputs << "x" << columns << " tokens " << tokens
              << " threads " << threads;
        }
      }
    }
  }
}

TEST(MatmulInt8, NothingFiniteComesOfWhatIsNot) {
  if (!has_matmul_int8(DType::q8_0, 64)) GTEST_SKIP() << "this CPU has no AVX-512 VNNI";
  Context context(1);
  const auto weights = store_as(DType::q8_0, random_floats(4 * 64, 5), 64);
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    for (const int64_t tokens : {1, 5}) {
      auto x = random_floats(tokens * 64, 6);
      x[40] = bad;
      const auto out = run(context, weights, DType::q8_0, 4, 64, x);
      for (size_t i = 0; i < out.size(); ++i) EXPECT_EQ(std::isnan(out[i]), i < 4) << i;
    }
  }
}

TEST(MatmulInt8, ZerosAndTheSmallestNumbersStaySmall) {
  if (!has_matmul_int8(DType::q8_0, 64)) GTEST_SKIP() << "this CPU has no AVX-512 VNNI";
  Context context(1);
  const auto weights = store_as(DType::q8_0, random_floats(4 * 64, 7), 64);
  for (const float value : {0.0f, 1e-44f, -1e-38f}) {
    const std::vector<float> x(64, value);
    for (const float y : run(context, weights, DType::q8_0, 4, 64, x)) {
      EXPECT_LE(std::abs(y), 1e-30f) << value;
    }
  }
}

TEST(MatmulInt8, RefusesWhatItCannotDo) {
  Context context(1);
  std::vector<float> x(64), out(64);
  const std::vector<std::byte> w(64 * 64 * 4);
  const auto status = [&](DType type, int64_t columns, int64_t x_columns) {
    return matmul_int8(context, {.weight = {w.data(), type, 4, columns},
                                 .x = {x.data(), 1, x_columns},
                                 .out = {out.data(), 1, 4}});
  };
  EXPECT_EQ(status(DType::q8_0, 64, 32), Status::bad_shape);
  EXPECT_EQ(status(DType::f32, 64, 64), Status::bad_dtype);
  EXPECT_EQ(status(DType::q8_0, 32, 32), Status::bad_dtype);  // half a step
}

}  // namespace
}  // namespace greta::kernels
