#include <gtest/gtest.h>

#include "kernels/kernels.h"
#include "testing/numbers.h"

namespace greta::kernels {
namespace {

using testing::gamma;
using testing::random_floats;
using testing::store_as;
using testing::Stored;

std::vector<float> run(Context& context, const Stored& weights, DType type, int64_t outputs,
                       int64_t columns, std::span<const float> x) {
  const auto tokens = static_cast<int64_t>(x.size()) / columns;
  std::vector<float> out(static_cast<size_t>(tokens * outputs), NAN);
  EXPECT_EQ(matmul(context, {.weight = {weights.bytes.data(), type, outputs, columns},
                             .x = {x.data(), tokens, columns},
                             .out = {out.data(), tokens, outputs}}),
            Status::ok);
  return out;
}

constexpr DType kEveryType[] = {DType::f32,  DType::f16,  DType::bf16, DType::q8_0, DType::q4_0,
                                DType::q5_0, DType::q4_k, DType::q5_k, DType::q6_k};

struct Shape {
  int64_t outputs, columns;
};
constexpr Shape kShapes[] = {{1, 1},    {3, 15},  {4, 16},   {5, 17},    {16, 31}, {17, 64},
                             {33, 100}, {97, 60}, {64, 256}, {37, 1024}, {5, 512}};

TEST(Matmul, StaysWithinTheBoundOnEveryIsa) {
  testing::on_every_isa([](const std::string&) {
    Context context(2);
    for (const DType type : kEveryType) {
      for (const auto [outputs, columns] : kShapes) {
        if (!whole_blocks(type, columns)) continue;
        const auto weights = store_as(type, random_floats(outputs * columns, 1), columns);
        for (const int64_t tokens : {1, 2, 5}) {
          const auto x = random_floats(tokens * columns, 2);
          const auto out = run(context, weights, type, outputs, columns, x);
          // A lane adds ⌈C/16⌉ products (two roundings each without FMA), the tree four sums.
          const double g = gamma(2 * ((columns + 15) / 16) + 4);
          for (int64_t t = 0; t < tokens; ++t) {
            for (int64_t o = 0; o < outputs; ++o) {
              double want = 0, magnitude = 0;
              for (int64_t c = 0; c < columns; ++c) {
                const double product =
                    static_cast<double>(weights.values[static_cast<size_t>(o * columns + c)]) *
                    static_cast<double>(x[static_cast<size_t>(t * columns + c)]);
                want += product;
                magnitude += std::abs(product);
              }
              const double got = out[static_cast<size_t>(t * outputs + o)];
              ASSERT_LE(std::abs(got - want), g * magnitude)
                  << to_string(type) << " " << outputs << "x" << columns << " token " << t;
            }
          }
        }
      }
    }
  });
}

// What strict numerics stands on: a row has the same bits alone and among others, with any number
// of threads, and on AVX2 as on AVX-512.
TEST(Matmul, BitsDoNotDependOnTokensThreadsOrWidth) {
  for (const DType type : kEveryType) {
    for (const auto [outputs, columns] : kShapes) {
      if (!whole_blocks(type, columns)) continue;
      const auto weights = store_as(type, random_floats(outputs * columns, 3), columns);
      const auto x = random_floats(19 * columns, 4);
      std::vector<float> fma;
      testing::on_every_isa([&](const std::string& name) {
        Context alone(1);
        std::vector<float> rows;
        for (int64_t t = 0; t < 19; ++t) {
          const auto one = std::span(x).subspan(t * columns, columns);
          const auto row = run(alone, weights, type, outputs, columns, one);
          rows.insert(rows.end(), row.begin(), row.end());
        }
        for (const int threads : {1, 2, 3, 8}) {
          Context context(threads);
          ASSERT_TRUE(testing::same_bits(rows, run(context, weights, type, outputs, columns, x)))
              << to_string(type) << " " << outputs << "x" << columns << " threads " << threads;
        }
        if (!testing::has_fma(name)) return;
        if (fma.empty()) fma = rows;
        ASSERT_TRUE(testing::same_bits(fma, rows)) << to_string(type) << " " << columns;
      });
    }
  }
}

// Lengths across the tiles, and beyond the tokens and columns that a panel takes at a time.
TEST(Matmul, BitsDoNotDependOnPanels) {
  for (const DType type : {DType::f32, DType::q8_0}) {
    for (const int64_t columns : {512, 544, 1120}) {
      const auto weights = store_as(type, random_floats(21 * columns, 5), columns);
      const auto x = random_floats(261 * columns, 6);
      Context context(2);
      std::vector<float> alone;
      for (int64_t t = 0; t < 261; ++t) {
        const auto one = std::span(x).subspan(t * columns, columns);
        const auto row = run(context, weights, type, 21, columns, one);
        alone.insert(alone.end(), row.begin(), row.end());
      }
      for (const int64_t tokens : {4, 255, 256, 257, 261}) {
        const auto some = std::span(x).first(tokens * columns);
        ASSERT_TRUE(testing::same_bits(std::span(alone).first(tokens * 21),
                                       run(context, weights, type, 21, columns, some)))
            << to_string(type) << " " << columns << " columns, " << tokens << " tokens";
      }
    }
  }
}

TEST(Matmul, RefusesShapesThatDoNotFit) {
  Context context(1);
  std::vector<float> x(64), out(64);
  const std::vector<std::byte> w(64 * 64 * 4);
  const auto status = [&](DType type, int64_t columns, int64_t x_columns, int64_t out_columns) {
    return matmul(context, {.weight = {w.data(), type, 4, columns},
                            .x = {x.data(), 1, x_columns},
                            .out = {out.data(), 1, out_columns}});
  };
  EXPECT_EQ(status(DType::f32, 16, 16, 4), Status::ok);
  EXPECT_EQ(status(DType::f32, 16, 15, 4), Status::bad_shape);
  EXPECT_EQ(status(DType::f32, 16, 16, 5), Status::bad_shape);
  EXPECT_EQ(status(DType::q8_0, 48, 48, 4), Status::bad_shape);
}

}  // namespace
}  // namespace greta::kernels
