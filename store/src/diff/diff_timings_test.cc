#include "diff/diff_timings.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "gates/compare_fixture.h"

namespace greta::store {
namespace {

std::vector<TimingSample> samples(int64_t first_record, const std::vector<double>& values) {
  std::vector<TimingSample> out;
  for (const double value : values) out.push_back({first_record++, value});
  return out;
}

TEST(Timings, NothingIsClaimedOfFewSamples) {
  using V = TimingVerdict;
  const std::vector<double> low = {1.0, 1.01, 1.02, 0.99, 1.0}, high = {2.0, 2.1, 1.9, 2.0, 2.05};
  const std::vector<double> wide = {0.5, 1.7, 1.0, 0.8, 1.3};
  const struct {
    const char* what;
    std::vector<TimingSample> a, b;
    const char* unit;
    V verdict;
    size_t samples_a;
  } cases[] = {
      {"seconds grew", samples(1, low), samples(9, high), "s", V::slower, 5},
      {"seconds shrank", samples(1, high), samples(9, low), "s", V::faster, 5},
      {"a rate grew", samples(1, low), samples(9, high), "tokens/s", V::faster, 5},
      {"a rate shrank", samples(1, high), samples(9, low), "tokens/s", V::slower, 5},
      {"noise", samples(1, low), samples(9, wide), "s", V::no_difference, 5},
      {"one against one", samples(1, {1}), samples(9, {9}), "s", V::too_few, 1},
      {"four against five", samples(1, {1, 1, 1, 1}), samples(9, high), "s", V::too_few, 4},
      {"the same records", samples(1, low), samples(1, low), "s", V::same_records, 5},
      {"four of them shared", samples(1, low), samples(2, low), "s", V::too_few, 1},
      {"a record of two runs is one sample",
       {{1, 1.0}, {1, 1.0}, {2, 1.0}, {3, 1.0}, {4, 1.0}},
       samples(9, high),
       "s",
       V::too_few,
       4},
  };
  for (const auto& c : cases) {
    TimingDiff timing;
    timing.unit = c.unit;
    judge_timing(timing, c.a, c.b);
    EXPECT_EQ(timing.verdict, c.verdict) << c.what << ": " << to_string(timing.verdict);
    EXPECT_EQ(timing.a.size(), c.samples_a) << c.what;
    EXPECT_EQ(timing.compared.ratio.has_value(),
              c.verdict == V::slower || c.verdict == V::faster || c.verdict == V::no_difference)
        << c.what;
  }
}

class DiffTimings : public RunFixture {
 protected:
  // Repeats whose decode took about so many seconds; both prompts alike.
  TestRun timed(double seconds, int64_t repeats) {
    TestRun run;
    for (int64_t repeat = 0; repeat < repeats; ++repeat) {
      TestAttempt attempt = clean_attempt({}, repeat);
      const double took = seconds * (1 + 0.01 * static_cast<double>(repeat));
      for (const char* prompt : {"p1", "p2"}) {
        attempt.records["timing"].push_back(
            {{"request", prompt}, {"decode_s", took}, {"decode_tok_s", 1 / took}});
      }
      run.attempts.push_back(attempt);
    }
    return run;
  }
  Diff compare(const TestRun& a, const TestRun& b) {
    const int64_t first = add(a), second = add(b);
    auto found = diff(store(), first, second);
    EXPECT_TRUE(found) << found.error().str();
    return found ? *found : Diff{};
  }
  static const TimingDiff* find(const Diff& diff, const std::string& metric) {
    for (const TimingDiff& one : diff.timings)
      if (one.metric == metric) return &one;
    return nullptr;
  }
};

TEST_F(DiffTimings, AreNoPartOfTheVerdictUnlessAskedFor) {
  TestRun other_machine = timed(2, 5);
  other_machine.environment["device"] = "another";
  const struct {
    const char* what;
    TestRun a, b;
    int exit_code;
  } cases[] = {
      {"slower", timed(1, 5), timed(2, 5), 1},
      {"faster", timed(2, 5), timed(1, 5), 0},
      {"equal", timed(1, 5), timed(1, 5), 0},
      {"another machine", timed(1, 5), other_machine, 5},
      {"single samples", timed(1, 1), timed(2, 1), 3},
  };
  for (const auto& c : cases) {
    Diff found = compare(c.a, c.b);
    EXPECT_EQ(found.verdict, Verdict::identical) << c.what << ": " << found.reason;
    EXPECT_EQ(exit_code(found), 0) << c.what;
    found.timings_count = true;
    EXPECT_EQ(exit_code(found), c.exit_code) << c.what;
    EXPECT_EQ(Json::parse(to_json(found))["exit_code"], c.exit_code) << c.what;
  }
}

TEST_F(DiffTimings, AreShownWorstFirstWithTheirSamples) {
  Diff found = compare(timed(1, 5), timed(2, 5));
  ASSERT_EQ(found.timings.size(), 5u);  // two figures of two prompts, and the processes
  EXPECT_EQ(found.timings[0].verdict, TimingVerdict::slower);
  EXPECT_EQ(found.timings.back().metric, "wall_s");
  EXPECT_EQ(found.timings.back().verdict, TimingVerdict::no_difference);
  const TimingDiff* decode = find(found, "decode_s");
  ASSERT_NE(decode, nullptr);
  EXPECT_EQ(decode->a, (std::vector<double>{1, 1.01, 1.02, 1.03, 1.04}));
  EXPECT_EQ(decode->compared.b, 2.04);
  EXPECT_EQ(find(found, "decode_tok_s")->verdict, TimingVerdict::slower);
  for (const TimingDiff& timing : found.timings) {
    const auto rows = store().query(query_of(found, timing.place, timing.metric), -1);
    ASSERT_TRUE(rows) << rows.error().str();
    EXPECT_EQ(rows->rows.size(), 10u) << timing.metric;
  }
  const std::string text = to_markdown(found, 20);
  EXPECT_NE(text.find("1.02 (5)"), std::string::npos) << text;
  EXPECT_NE(text.find("| slower"), std::string::npos) << text;
  EXPECT_EQ(to_junit(found).find("decode_s"), std::string::npos);
  found.timings_count = true;
  EXPECT_NE(to_junit(found).find("type=\"slower\""), std::string::npos);
}

TEST_F(DiffTimings, OfSingleSamplesTheValuesStandAlone) {
  const Diff found = compare(timed(1, 1), timed(2, 2));
  const std::string text = to_markdown(found, 20);
  EXPECT_NE(text.find("1 and 2 samples: no interval"), std::string::npos) << text;
  const auto json = Json::parse(to_json(found))["timings"][0];
  EXPECT_EQ(json["verdict"], "too_few_samples");
  EXPECT_TRUE(json["ratio_95"].is_null());
}

TEST_F(DiffTimings, AnotherMachineIsSaid) {
  TestRun other = timed(2, 5);
  other.environment["device"] = "another";
  TestRun ours = timed(1, 5);
  ours.environment["device"] = "one";
  const std::string text = to_markdown(compare(ours, other), 20);
  EXPECT_NE(text.find("**Not the same machine** (device)"), std::string::npos) << text;
  EXPECT_EQ(to_markdown(compare(ours, ours), 20).find("Not the same machine"), std::string::npos);
}

}  // namespace
}  // namespace greta::store
