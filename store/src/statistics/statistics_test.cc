// Statistics on series whose truth is known.

#include "store/statistics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace greta::store {
namespace {

// Normal noise around a level; std::normal_distribution is one thing in one library, which is
// enough for a test.
std::vector<double> noise(uint64_t seed, size_t count, double level = 0, double sigma = 1) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<double> normal(level, sigma);
  std::vector<double> out(count);
  for (double& value : out) value = normal(engine);
  return out;
}

std::vector<double> with_shift(std::vector<double> series, size_t from, double by) {
  for (size_t i = from; i < series.size(); ++i) series[i] += by;
  return series;
}

TEST(Statistics, Median) {
  EXPECT_EQ(median({3}), 3);
  EXPECT_EQ(median({5, 1, 3}), 3);
  EXPECT_EQ(median({4, 1, 3, 2}), 2.5);
  EXPECT_EQ(median({1, 1, 1, 9, 9}), 1);
}

TEST(Statistics, AnIntervalNeedsFiveSamples) {
  EXPECT_FALSE(bootstrap_interval({}));
  EXPECT_FALSE(bootstrap_interval({1, 2, 3, 4}));
  const auto interval = bootstrap_interval({1, 2, 3, 4, 5});
  ASSERT_TRUE(interval);
  EXPECT_LE(interval->low, 3);
  EXPECT_GE(interval->high, 3);
  const auto constant = bootstrap_interval({7, 7, 7, 7, 7});
  ASSERT_TRUE(constant);
  EXPECT_EQ(constant->low, 7);
  EXPECT_EQ(constant->high, 7);
}

// How often the interval of 95 % holds the true median, over many series.
TEST(Statistics, TheIntervalHoldsTheTruthAsOftenAsItSays) {
  for (const size_t count : {5U, 10U, 30U}) {
    int held = 0;
    constexpr int kSeries = 400;
    for (uint64_t seed = 0; seed < kSeries; ++seed) {
      const auto interval = bootstrap_interval(noise(seed, count, 10));
      held += interval->low <= 10 && 10 <= interval->high ? 1 : 0;
    }
    EXPECT_GE(held, kSeries * 90 / 100) << count;
    EXPECT_LE(held, kSeries * 99 / 100) << count;
  }
}

TEST(Statistics, SamplesAreComparedOnlyWhereBothSidesAreEnough) {
  const std::vector<double> few = {1, 2, 3, 4}, many = noise(1, 20, 100);
  EXPECT_FALSE(compare_samples(few, many).difference);
  EXPECT_FALSE(compare_samples(many, few).differs()) << "far apart, and still nothing is claimed";
  EXPECT_EQ(compare_samples(few, many).a, 2.5);
  const SampleComparison far = compare_samples(noise(1, 10, 100), noise(2, 10, 110));
  EXPECT_TRUE(far.differs());
  EXPECT_GT(far.difference->low, 5);
  EXPECT_LT(compare_samples(noise(1, 10, 110), noise(2, 10, 100)).difference->high, -5);
  int wrong = 0;
  for (uint64_t seed = 0; seed < 200; ++seed)
    wrong += compare_samples(noise(2 * seed, 8), noise(2 * seed + 1, 8)).differs() ? 1 : 0;
  EXPECT_LE(wrong, 20) << "equal sides";
}

TEST(ChangePoints, NoneWhereNothingChanged) {
  for (const size_t count : {10U, 40U, 200U}) {
    int clean = 0;
    for (uint64_t seed = 0; seed < 100; ++seed)
      clean += change_points(noise(seed, count)).empty() ? 1 : 0;
    EXPECT_GE(clean, 95) << count;
  }
  EXPECT_TRUE(change_points({}).empty());
  EXPECT_TRUE(change_points(std::vector<double>(50, 3.0)).empty());
}

TEST(ChangePoints, AShiftOfThreeSigmaIsFoundInItsPlace) {
  constexpr int kSeries = 400;
  for (const size_t at : {8U, 20U, 32U}) {
    int placed = 0, more = 0;
    for (uint64_t seed = 0; seed < kSeries; ++seed) {
      const auto found = change_points(with_shift(noise(seed, 40), at, 3));
      placed += std::any_of(found.begin(), found.end(), [&](const ChangePoint& point) {
        return point.position + 1 >= at && point.position <= at + 1;
      });
      more += found.size() > 1 ? 1 : 0;
    }
    EXPECT_GE(placed, kSeries * 95 / 100) << at << ": with both levels known it would be 98";
    EXPECT_LE(more, kSeries * 2 / 100) << at;
  }
}

TEST(ChangePoints, SeveralLevelsWithTheirMedians) {
  const auto found = change_points(with_shift(with_shift(noise(5, 60), 20, 6), 40, -9));
  ASSERT_EQ(found.size(), 2U);
  EXPECT_NEAR(static_cast<double>(found[0].position), 20, 1);
  EXPECT_NEAR(static_cast<double>(found[1].position), 40, 1);
  EXPECT_NEAR(found[0].before, 0, 1);
  EXPECT_NEAR(found[0].after, 6, 1);
  EXPECT_NEAR(found[1].before, 6, 1);
  EXPECT_NEAR(found[1].after, -3, 1);
  EXPECT_LT(found[0].p, kChangeSignificance);
}

TEST(ChangePoints, OneOutlierOrAFewValuesAreNoChange) {
  std::vector<double> series = noise(3, 40);
  series[17] = 1e6;
  EXPECT_TRUE(change_points(series).empty());
  EXPECT_TRUE(change_points({1, 1.1, 0.9, 9, 9.1, 8.9}).empty()) << "no order of six is so rare";
}

TEST(ChangePoints, TheSameAnswerEveryTime) {
  const auto series = with_shift(noise(11, 100), 50, 1.2);
  const auto once = change_points(series), again = change_points(series);
  ASSERT_EQ(once.size(), again.size());
  for (size_t i = 0; i < once.size(); ++i) {
    EXPECT_EQ(once[i].position, again[i].position);
    EXPECT_EQ(once[i].p, again[i].p);
  }
}

}  // namespace
}  // namespace greta::store
