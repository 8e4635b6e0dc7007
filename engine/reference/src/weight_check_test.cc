#include "weight_check.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

namespace greta::reference {
namespace {

struct Case {
  std::vector<float> weights, x;
  engine::Tensor tensor;
};
constexpr int64_t kRows = 64, kColumns = 256;

void fill(Case& c) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  for (int64_t i = 0; i < kRows * kColumns; ++i) c.weights.push_back(normal(random));
  for (int64_t i = 0; i < kColumns; ++i) c.x.push_back(normal(random));
  c.tensor = {.name = "w",
              .type = engine::TensorType::f32,
              .dims = {kColumns, kRows},
              .data = std::as_bytes(std::span(c.weights))};
}

// x in steps of the largest of each 32, divided by `levels`; the scale of block `wrong` is doubled.
std::vector<float> rounded(const std::vector<float>& x, float levels, size_t wrong) {
  std::vector<float> out;
  for (size_t first = 0; first < x.size(); first += 32) {
    float largest = 0;
    for (size_t i = first; i < first + 32; ++i) largest = std::max(largest, std::abs(x[i]));
    const float step = largest / levels;
    const float scale = first / 32 == wrong ? 2 * step : step;
    for (size_t i = first; i < first + 32; ++i) out.push_back(std::nearbyint(x[i] / step) * scale);
  }
  return out;
}

int64_t beyond(const Case& c, const std::vector<float>& used, bool eight_bits) {
  const Product allowed = multiply(c.tensor, {c.x}, eight_bits, 1)[0];
  const Product got = multiply(c.tensor, {used}, false, 1)[0];
  int64_t count = 0;
  for (size_t o = 0; o < allowed.out.size(); ++o) {
    if (std::abs(got.out[o] - allowed.out[o]) > allowed.bound[o]) ++count;
  }
  return count;
}

TEST(Multiply, AllowsEightBitActivationsWhereTheyAreExpected) {
  Case c;
  fill(c);
  constexpr size_t kNone = 99;
  EXPECT_EQ(beyond(c, rounded(c.x, 127, kNone), true), 0);
  EXPECT_GT(beyond(c, rounded(c.x, 127, kNone), false), 3 * kRows / 4)
      << "rounding that nobody asked for";
  EXPECT_GT(beyond(c, rounded(c.x, 127, 5), true), kRows / 2) << "one wrong scale of eight";
  EXPECT_GT(beyond(c, rounded(c.x, 7, kNone), true), kRows / 4) << "four bits instead of eight";
}

}  // namespace
}  // namespace greta::reference
