#include "reference/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <vector>

namespace greta::reference {
namespace {

TEST(Rope, TurnsNeighbouringPairs) {
  // Pair i is the complex number x[2i] + x[2i+1]·i, turned by position · base^(-2i/d).
  const std::vector<double> in = {1, 2, -3, 0.5, 0, 1, 4, -4};
  for (const int64_t position : {0, 1, 7, 511}) {
    std::vector<double> out(8);
    Rope(8, 10000.0).rotate(position, in, out);
    for (size_t pair = 0; pair < 4; ++pair) {
      const double angle =
          static_cast<double>(position) / std::pow(10.0, static_cast<double>(pair));
      const auto turned =
          std::complex<double>(in[2 * pair], in[2 * pair + 1]) * std::polar(1.0, angle);
      EXPECT_NEAR(out[2 * pair], turned.real(), 1e-14) << position;
      EXPECT_NEAR(out[2 * pair + 1], turned.imag(), 1e-14) << position;
    }
  }
}

TEST(Rope, ScoresDependOnTheDistanceOnly) {
  const Rope rope(4, 500.0);
  const std::vector<double> q = {0.3, -1, 2, 0.25}, k = {1, 1, -0.5, 2};
  const auto score = [&](int64_t at_q, int64_t at_k) {
    std::vector<double> rq(4), rk(4);
    rope.rotate(at_q, q, rq);
    rope.rotate(at_k, k, rk);
    double sum = 0;
    for (size_t i = 0; i < 4; ++i) sum += rq[i] * rk[i];
    return sum;
  };
  EXPECT_NEAR(score(5, 2), score(105, 102), 1e-12);
  EXPECT_GT(std::abs(score(5, 2) - score(6, 2)), 1e-3);
}

TEST(Rope, ReachIsTheSumOfTheProductsMagnitudes) {
  const std::vector<double> in = {3, -4};
  std::vector<double> out(2), reach(2);
  Rope(2, 1.0).rotate(2, in, out, reach);  // angle 2: cos < 0 < sin
  EXPECT_DOUBLE_EQ(reach[0], 3 * std::abs(std::cos(2)) + 4 * std::sin(2));
  EXPECT_DOUBLE_EQ(reach[1], 3 * std::sin(2) + 4 * std::abs(std::cos(2)));
}

}  // namespace
}  // namespace greta::reference
