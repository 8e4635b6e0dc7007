#include <gtest/gtest.h>

#include <cmath>

#include "gpu/testing/device.h"
#include "testing/numbers.h"

namespace greta::kernels::gpu {
namespace {

using greta::kernels::testing::gamma;
using greta::kernels::testing::kU;
using greta::kernels::testing::random_floats;
using greta::kernels::testing::same_bits;
using greta::kernels::testing::store_as;
using greta::kernels::testing::Stored;
using testing::Buffer;
using testing::device;
using testing::Weights;

std::vector<float> run(const Matrix& weight, std::span<const float> x, Route route) {
  const int64_t tokens = static_cast<int64_t>(x.size()) / weight.columns;
  const Buffer<float> in(x), out(tokens * weight.rows);
  EXPECT_EQ(device().run(MatmulOp{weight, in.read(), out.span(), route}).error, "");
  return out.download();
}

// A lane takes chunks of columns in turn, one fused multiply-add each, and the lanes are added by a
// butterfly of at most six additions. A wave of 32 lanes has the longest chain.
double error_of_rows(DType type, int64_t columns) {
  const int64_t chunk = type == DType::f32 ? 4 : type == DType::f16 || type == DType::bf16 ? 8 : 32;
  const int64_t chunks = (columns + chunk - 1) / chunk;
  return gamma(chunk * ((chunks + 31) / 32) + 6);
}

// Tiles, relative to Σ|w x|. In fp32 form a matrix unit of gfx942 is a chain of fused
// multiply-adds; sm_90 adds six products of parts and cuts terms, for which four times as much is
// allowed. In bf16, gfx942 takes eight products at a time: each is cut by at most u·max|product|,
// the sum so far as well, and the result is rounded to fp32, in all (8 + 1)·u·Σ|products of the
// group| and one rounding of the sum a group. sm_90 takes sixteen: 16 products and the sum are cut
// to 2^-25 of the largest of them, and the result to fp32 toward zero, in all (17/2 + 2)·u·Σ|terms
// so far|.
double error_of_tiles(DType type, int64_t columns) {
  const bool cuda = device().target() == Target::cuda;
  if (type != DType::bf16) return (cuda ? 4 : 1) * gamma(columns + 4);
  const auto steps = static_cast<double>((columns + 15) / 16);
  return 1.01 * kU * (cuda ? 10.5 * steps : 9 + 2 * steps);
}

struct Shape {
  int64_t tokens, outputs, columns;
};

// Every element against fp64. x is rounded to bf16 first where the matrix unit multiplies bf16.
void check(DType type, const Shape& shape, Route route, int64_t offset) {
  const auto [tokens, outputs, columns] = shape;
  const std::string what = std::string(to_string(type)) +
                           (route == Route::mfma ? " tiles " : " rows ") + std::to_string(tokens) +
                           " tokens " + std::to_string(outputs) + " x " + std::to_string(columns) +
                           " at byte " + std::to_string(offset);
  SCOPED_TRACE(what);
  const Stored stored = store_as(type, random_floats(outputs * columns, 1), columns);
  const Weights weights(type, outputs, columns, stored.bytes, offset);
  const auto x = random_floats(tokens * columns, 2);
  const auto got = run(weights.matrix(), x, route);
  const bool rounds = route == Route::mfma && type == DType::bf16;
  const auto seen = rounds ? store_as(DType::bf16, x, columns).values : x;
  const double error =
      route == Route::mfma ? error_of_tiles(type, columns) : error_of_rows(type, columns);
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t o = 0; o < outputs; ++o) {
      double want = 0, magnitude = 0;
      for (int64_t c = 0; c < columns; ++c) {
        const double product =
            static_cast<double>(stored.values[static_cast<size_t>(o * columns + c)]) *
            static_cast<double>(seen[static_cast<size_t>(t * columns + c)]);
        want += product;
        magnitude += std::abs(product);
      }
      const double value = static_cast<double>(got[static_cast<size_t>(t * outputs + o)]);
      ASSERT_LE(std::abs(value - want), error * magnitude) << "token " << t << " output " << o;
    }
  }
}

// Sides of the blocks and tiles, one dimension after the other.
std::vector<Shape> shapes(DType type) {
  std::vector<Shape> out;
  const bool k_blocks = block_of(type).elements == 256;
  const int64_t narrow = k_blocks ? 256 : is_quantised(type) ? 32 : 40;
  for (const int64_t tokens : {1, 2, 3, 4, 5, 17, 64, 65, 100}) {
    const bool many = tokens > 17;
    out.push_back({tokens, many ? 15 : 130, narrow});
    out.push_back({tokens, 3, k_blocks ? 512 : 2 * narrow});
  }
  for (const int64_t outputs : {1, 2, 15, 16, 17, 63, 64, 65, 130})
    out.push_back({5, outputs, narrow});
  out.push_back({65, 65, narrow});
  if (is_quantised(type)) {
    for (const int64_t columns : {256, 512, 2304}) out.push_back({5, 3, columns});
    if (!k_blocks) {
      for (const int64_t columns : {32, 96, 2080}) out.push_back({5, 3, columns});
    }
  } else {
    for (const int64_t columns :
         {1, 3, 4, 7, 8, 15, 16, 31, 32, 33, 36, 63, 64, 65, 300, 521, 1028}) {
      out.push_back({5, 7, columns});
      out.push_back({1, 2, columns});
    }
  }
  if (testing::full()) {
    for (const int64_t tokens : {1, 2, 3, 4, 5, 17, 64, 65, 100}) {
      for (const int64_t outputs : {1, 2, 15, 63, 64, 65, 130}) {
        for (const int64_t columns : {256, 512}) out.push_back({tokens, outputs, columns});
      }
    }
  }
  return out;
}

class GpuMatmul : public ::testing::TestWithParam<DType> {};

TEST_P(GpuMatmul, RowsStayWithinTheBound) {
  for (const Shape& shape : shapes(GetParam())) {
    ASSERT_NO_FATAL_FAILURE(check(GetParam(), shape, Route::valu, 0));
  }
}

TEST_P(GpuMatmul, TilesStayWithinTheBound) {
  for (const Shape& shape : shapes(GetParam())) {
    ASSERT_NO_FATAL_FAILURE(check(GetParam(), shape, Route::mfma, 0));
  }
}

// Weights need be no better aligned than four bytes.
TEST_P(GpuMatmul, WeightsMayLieAnywhere) {
  constexpr int64_t offset = 4;  // what weights must be aligned to, and no more
  for (const Route route : {Route::valu, Route::mfma}) {
    for (const int64_t columns : {256, 512}) {
      ASSERT_NO_FATAL_FAILURE(check(GetParam(), {3, 5, columns}, route, offset));
    }
    if (!is_quantised(GetParam())) {
      ASSERT_NO_FATAL_FAILURE(check(GetParam(), {3, 5, 33}, route, offset));
    }
  }
}

// What strict numerics stands on: a prefill has the bits of a decode.
TEST_P(GpuMatmul, ARowHasTheSameBitsAloneAndAmongOthers) {
  const DType type = GetParam();
  for (const int64_t columns : {is_quantised(type) ? 512 : 521, 256}) {
    for (const int64_t tokens : {2, 3, 4, 5, 17}) {
      const int64_t outputs = 19;
      const Stored stored = store_as(type, random_floats(outputs * columns, 3), columns);
      const Weights weights(type, outputs, columns, stored.bytes);
      const auto x = random_floats(tokens * columns, 4);
      const auto together = run(weights.matrix(), x, Route::valu);
      for (int64_t t = 0; t < tokens; ++t) {
        const auto alone =
            run(weights.matrix(), std::span(x).subspan(t * columns, columns), Route::valu);
        ASSERT_TRUE(same_bits(alone, std::span(together).subspan(t * outputs, outputs)))
            << columns << " columns, " << tokens << " tokens, row " << t;
      }
    }
  }
}

TEST_P(GpuMatmul, TheTwoRoutesAreTwoKernels) {
  const DType type = GetParam();
  const Stored stored = store_as(type, random_floats(512, 3), 256);
  const Weights weights(type, 2, 256, stored.bytes);
  const auto x = random_floats(512, 4);
  const auto runs = [&] {
    const std::string name = to_string(type);
    return std::vector{testing::run_of(device(), "matmul_rows", name + "-t1"),
                       testing::run_of(device(), "matmul_rows", name + "-t4"),
                       testing::run_of(device(), "matmul_tiles", "mfma-" + name)};
  };
  const auto before = runs();
  (void)run(weights.matrix(), std::span(x).first(256), Route::valu);
  (void)run(weights.matrix(), x, Route::valu);
  (void)run(weights.matrix(), x, Route::mfma);
  const auto after = runs();
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(after[i].launches, before[i].launches + 1) << i;
    EXPECT_NE(after[i].code_hash, 0u) << i;
    EXPECT_NE(after[i].code_hash, after[(i + 1) % 3].code_hash) << i;
  }
}

std::string type_name(const ::testing::TestParamInfo<DType>& info) { return to_string(info.param); }
INSTANTIATE_TEST_SUITE_P(Weights, GpuMatmul, ::testing::ValuesIn(testing::kEveryWeight), type_name);

// One weight is 1 and the others are 0: the output is that x, exactly, and no other.
TEST(GpuMatmulPlain, PicksTheColumnAndTheTokenThatItIsAskedFor) {
  constexpr int64_t kColumns = 70, kTokens = 67, kOutputs = 66;
  std::vector<float> one(kOutputs * kColumns), x(kTokens * kColumns);
  for (int64_t o = 0; o < kOutputs; ++o)
    one[static_cast<size_t>(o * kColumns + (7 * o + 3) % kColumns)] = 1;
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 251);  // bf16 holds them
  for (const DType type : {DType::f32, DType::f16, DType::bf16}) {
    const Stored stored = store_as(type, one, kColumns);
    const Weights weights(type, kOutputs, kColumns, stored.bytes);
    for (const Route route : {Route::valu, Route::mfma}) {
      const auto got = run(weights.matrix(), x, route);
      for (int64_t t = 0; t < kTokens; ++t) {
        for (int64_t o = 0; o < kOutputs; ++o) {
          ASSERT_EQ(got[static_cast<size_t>(t * kOutputs + o)],
                    x[static_cast<size_t>(t * kColumns + (7 * o + 3) % kColumns)])
              << "token " << t << " output " << o;
        }
      }
    }
  }
}

TEST(GpuMatmulRefusals, NameTheOp) {
  const Buffer<std::byte> w(int64_t{4096});
  const Buffer<float> x(int64_t{256}), out(int64_t{64});
  const auto error = [&](DType type, int64_t rows, int64_t columns, int64_t bytes, int64_t at,
                         Span<const float> in, Span<float> to) {
    const Matrix m = {type, Span<const std::byte>(w.read()).sub(at, bytes), rows, columns};
    return device().run(MatmulOp{m, in, to}).error;
  };
  const Span<const float> in = x.read();
  const Span<float> to = out.span();
  EXPECT_EQ(error(DType::f32, 4, 32, 512, 0, in.sub(0, 64), to.sub(0, 8)), "");
  EXPECT_EQ(error(DType::f32, 4, 32, 511, 0, in.sub(0, 64), to.sub(0, 8)),
            "matmul: a matrix of 4 x 32 f32 in 511 bytes");
  EXPECT_EQ(error(DType::q8_0, 4, 33, 136, 0, in.sub(0, 66), to.sub(0, 8)),
            "matmul: a matrix of 4 x 33 q8_0 in 136 bytes");
  EXPECT_EQ(error(DType::f32, 0, 32, 0, 0, in.sub(0, 64), to.sub(0, 8)),
            "matmul: a matrix of 0 x 32 f32 in 0 bytes");
  EXPECT_EQ(error(DType::f32, 4, 32, 512, 2, in.sub(0, 64), to.sub(0, 8)),
            "matmul: the weights are not aligned to 4 bytes");
  EXPECT_EQ(error(DType::q8_0, 4, 32, 136, 1, in.sub(0, 64), to.sub(0, 8)),
            "matmul: the weights are not aligned to 4 bytes");
  EXPECT_EQ(error(DType::f32, 4, 32, 512, 0, in.sub(0, 63), to.sub(0, 8)), "matmul: shapes");
  EXPECT_EQ(error(DType::f32, 4, 32, 512, 0, in.sub(0, 64), to.sub(0, 9)), "matmul: shapes");
  EXPECT_EQ(error(DType::f32, 4, 32, 512, 0, in.sub(1, 64), to.sub(0, 8)),
            "matmul: x is not aligned to 16 bytes");
}

}  // namespace
}  // namespace greta::kernels::gpu
