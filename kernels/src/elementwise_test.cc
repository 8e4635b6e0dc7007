#include <gtest/gtest.h>

#include "kernels/kernels.h"
#include "testing/numbers.h"

namespace greta::kernels {
namespace {

using testing::gamma;
using testing::kU;
using testing::random_floats;

constexpr int64_t kWidths[] = {1, 2, 15, 16, 17, 60, 256, 1000};

TEST(RmsNorm, StaysWithinTheBound) {
  testing::on_every_isa([](const std::string&) {
    for (const int64_t columns : kWidths) {
      const auto x = random_floats(3 * columns, 1, 4.0f), weight = random_floats(columns, 2);
      std::vector<float> out(x.size());
      Context context(2);
      ASSERT_EQ(rms_norm(context, {.x = {x.data(), 3, columns},
                                   .weight = weight,
                                   .out = {out.data(), 3, columns},
                                   .eps = 1e-5f}),
                Status::ok);
      for (int64_t r = 0; r < 3; ++r) {
        double squares = 0;
        for (int64_t c = 0; c < columns; ++c) {
          squares += std::pow(static_cast<double>(x[static_cast<size_t>(r * columns + c)]), 2);
        }
        const double scale =
            1 / std::sqrt(squares / static_cast<double>(columns) + static_cast<double>(1e-5f));
        // Half the relative error of the sum goes through the root; then five roundings.
        const double relative = gamma(2 * ((columns + 15) / 16) + 6) / 2 + gamma(5);
        for (int64_t c = 0; c < columns; ++c) {
          const auto i = static_cast<size_t>(r * columns + c);
          const double want = x[i] * scale * static_cast<double>(weight[static_cast<size_t>(c)]);
          ASSERT_LE(std::abs(out[i] - want), relative * std::abs(want) + 1e-45) << columns;
        }
      }
    }
  });
}

TEST(Swiglu, StaysWithinTheBoundAndAtTheEnds) {
  testing::on_every_isa([](const std::string&) {
    auto gate = random_floats(1000, 1, 20.0f);
    auto up = random_floats(1000, 2);
    const float ends[] = {0.0f, -0.0f, 100.0f, -100.0f, -87.9f, -88.1f, 3e38f, -3e38f};
    for (size_t i = 0; i < std::size(ends); ++i) {
      gate[i] = ends[i];
      up[i] = 1.0f;
    }
    std::vector<float> out(1000);
    Context context(2);
    ASSERT_EQ(swiglu(context, {.gate = {gate.data(), 1, 1000},
                               .up = {up.data(), 1, 1000},
                               .out = {out.data(), 1, 1000}}),
              Status::ok);
    for (size_t i = 0; i < out.size(); ++i) {
      const double g = gate[i];
      const double want = g / (1 + std::exp(-g)) * static_cast<double>(up[i]);
      // exp to 2u, then sum, quotient and product; below 2⁻¹²⁶ the places are absolute.
      ASSERT_LE(std::abs(out[i] - want), 6 * kU * std::abs(want) + 1e-36) << g;
    }
    gate[3] = NAN;
    ASSERT_EQ(swiglu(context, {.gate = {gate.data(), 1, 1000},
                               .up = {up.data(), 1, 1000},
                               .out = {out.data(), 1, 1000}}),
              Status::ok);
    EXPECT_TRUE(std::isnan(out[3]));
  });
}

TEST(Elementwise, RowsHaveTheSameBitsAloneAndTogether) {
  for (const int64_t columns : kWidths) {
    const auto a = random_floats(9 * columns, 1), b = random_floats(9 * columns, 2);
    std::vector<float> want(a.size()), got(a.size());
    Context one(1), three(3);
    for (int64_t r = 0; r < 9; ++r) {
      const Rows<const float> x(a.data() + r * columns, 1, columns);
      const Rows<const float> y(b.data() + r * columns, 1, columns);
      const Rows<float> out(want.data() + r * columns, 1, columns);
      ASSERT_EQ(add(one, {.a = x, .b = y, .sum = out}), Status::ok);
      ASSERT_EQ(swiglu(one, {.gate = out, .up = y, .out = out}), Status::ok);
      ASSERT_EQ(rms_norm(one, {.x = out,
                               .weight = {b.data(), static_cast<size_t>(columns)},
                               .out = out,
                               .eps = 1e-6f}),
                Status::ok);
    }
    const Rows<const float> x(a.data(), 9, columns), y(b.data(), 9, columns);
    const Rows<float> out(got.data(), 9, columns);
    ASSERT_EQ(add(three, {.a = x, .b = y, .sum = out}), Status::ok);
    ASSERT_EQ(swiglu(three, {.gate = out, .up = y, .out = out}), Status::ok);
    ASSERT_EQ(rms_norm(three, {.x = out,
                               .weight = {b.data(), static_cast<size_t>(columns)},
                               .out = out,
                               .eps = 1e-6f}),
              Status::ok);
    EXPECT_TRUE(testing::same_bits(want, got)) << columns;
  }
}

TEST(Elementwise, RefusesShapesThatDoNotFit) {
  Context context(1);
  std::vector<float> x(32), w(16);
  const Rows<float> two(x.data(), 2, 16), short_rows(x.data(), 2, 15);
  EXPECT_EQ(rms_norm(context, {.x = two, .weight = std::span(w).first(15), .out = two}),
            Status::bad_shape);
  EXPECT_EQ(add(context, {.a = two, .b = short_rows, .sum = two}), Status::bad_shape);
  EXPECT_EQ(swiglu(context, {.gate = two, .up = short_rows, .out = two}), Status::bad_shape);
}

TEST(Embedding, TakesRowsAndRefusesIdsOutside) {
  const auto table = testing::store_as(DType::q8_0, random_floats(5 * 64, 1), 64);
  Context context(2);
  std::vector<float> out(3 * 64);
  const int32_t tokens[] = {4, 0, 4};
  const WeightView view(table.bytes.data(), DType::q8_0, 5, 64);
  ASSERT_EQ(embedding(context, {.table = view, .tokens = tokens, .out = {out.data(), 3, 64}}),
            Status::ok);
  for (size_t t = 0; t < 3; ++t) {
    EXPECT_TRUE(testing::same_bits(
        std::span(out).subspan(t * 64, 64),
        std::span(table.values).subspan(static_cast<size_t>(tokens[t]) * 64, 64)));
  }
  const int32_t outside[] = {4, 5, 0}, negative[] = {-1, 0, 0};
  EXPECT_EQ(embedding(context, {.table = view, .tokens = outside, .out = {out.data(), 3, 64}}),
            Status::bad_shape);
  EXPECT_EQ(embedding(context, {.table = view, .tokens = negative, .out = {out.data(), 3, 64}}),
            Status::bad_shape);
}

TEST(Top2, SmallestIdWinsAndNanIsNeverChosen) {
  struct Case {
    std::vector<float> values;
    int64_t first, second;
  };
  const Case cases[] = {{{1, 3, 2}, 1, 2},
                        {{3, 3, 3}, 0, 1},
                        {{1, 2, 2}, 1, 2},
                        {{NAN, -5, NAN}, 1, -1},
                        {{NAN}, -1, -1},
                        {{}, -1, -1},
                        {{-INFINITY, -INFINITY}, 0, 1}};
  for (const Case& c : cases) {
    const Top2 top = top2(c.values);
    EXPECT_EQ(top.id[0], c.first);
    EXPECT_EQ(top.id[1], c.second);
  }
}

}  // namespace
}  // namespace greta::kernels
