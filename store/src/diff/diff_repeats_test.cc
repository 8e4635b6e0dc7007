// Repeats, values that one side lacks, and what no floor can cover.

#include "gates/compare_fixture.h"
#include "store/diff.h"

namespace greta::store {
namespace {

class DiffRepeats : public RunFixture {
 protected:
  // One record whose `field` has these values in the repeats; a value that is discarded is absent.
  TestRun repeated(const std::string& field, const std::vector<Json>& values) {
    TestRun run;
    for (size_t i = 0; i < values.size(); ++i) {
      TestAttempt attempt;
      attempt.repeat = static_cast<int64_t>(i);
      attempt.records["readout"] = {readout("p1", 0, 0.5)};
      Json& record = attempt.records["readout"][0];
      if (values[i].is_discarded()) {
        record.erase(field);
      } else {
        record[field] = values[i];
      }
      run.attempts.push_back(std::move(attempt));
    }
    return run;
  }
  Diff compare(const TestRun& a, const TestRun& b) {
    auto found = diff(store(), add(a), add(b));
    EXPECT_TRUE(found) << found.error().str();
    return found ? *found : Diff{};
  }
};

const Json kAbsent = Json(Json::value_t::discarded);

TEST_F(DiffRepeats, EveryRepeatIsJudged) {
  const auto identical = Verdict::identical, within = Verdict::within_floor,
             diverged = Verdict::diverged;
  const struct {
    const char* field;
    std::vector<Json> a, b;
    Verdict verdict;
    const char* unsteady;  // the sides
  } cases[] = {
      {"gap", {0.5, 0.5}, {0.5, 0.5}, identical, ""},
      {"gap", {0.5, 0.5}, {0.5, 7.0}, diverged, "b"},  // what was steady is not any more
      {"gap", {0.5, 7.0}, {0.5, 7.0}, identical, "ab"},
      {"gap", {0.5, 7.0}, {7.0, 0.5}, within, "ab"},
      {"gap", {0.5}, {0.5, 0.6}, within, "b"},
      {"gap", {0.5, 0.6}, {0.75, 0.7}, diverged, "ab"},
      {"gap", {0.5, 0.5}, {0.5, "NaN"}, diverged, "b"},
      {"gap", {0.5, "NaN"}, {9.0, 9.0}, diverged, "a"},
      {"gap", {0.5, "Infinity"}, {0.5}, diverged, "a"},
      {"gap", {0.5, "NaN"}, {0.5, "NaN"}, identical, "ab"},
      {"top1_id", {5, 5}, {5, 6}, diverged, "b"},
      {"top1_id", {5, 6}, {6, 5}, within, "ab"},
      {"top1_text", {"x", "x"}, {"x", "y"}, diverged, "b"},
      {"mine", {9007199254740993}, {9007199254740992}, diverged, ""},
      {"mine", {INT64_MIN}, {INT64_MAX}, diverged, ""},
      {"mine", {9007199254740993, 9007199254740992}, {9007199254740993}, within, "a"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.field + Json(c.a).dump() + Json(c.b).dump());
    const Diff found = compare(repeated(c.field, c.a), repeated(c.field, c.b));
    EXPECT_EQ(found.verdict, c.verdict) << found.reason;
    std::string sides;
    for (const Unsteady& one : found.unsteady)
      if (one.metric == c.field) sides += one.side;
    EXPECT_EQ(sides, c.unsteady);
    const std::string text = to_markdown(found, 20);
    EXPECT_EQ(text.find("Repeats of ") == std::string::npos, sides.empty()) << text;
  }
}

TEST_F(DiffRepeats, WhatOneSideLacksIsNeverPassedOver) {
  const struct {
    const char* field;
    Json a, b;
    const char* head;  // of the reason
    const char* row;
  } cases[] = {
      {"gap", 0.5, kAbsent, "1 figures are on one side only", "fields gap"},
      {"gap", 0.5, nullptr, "1 figures are on one side only", "fields gap"},
      {"gap", "NaN", nullptr, "1 figures are on one side only", "fields gap"},
      {"gap", 0.5, "abc", "2 figures are on one side only", "gap as real (in B it is text)"},
      {"readout_mismatch", true, nullptr, "1 figures are on one side only", "readout_mismatch"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.row + c.b.dump());
    const Diff found = compare(repeated(c.field, {c.a}), repeated(c.field, {c.b}));
    EXPECT_EQ(found.verdict, Verdict::identical);
    EXPECT_NE(found.reason.find(c.head), std::string::npos) << found.reason;
    EXPECT_NE(found.reason_es.find("en un solo lado"), std::string::npos) << found.reason_es;
    EXPECT_GT(found.figures_only_a, 0);
    const std::string text = to_markdown(found, 20);
    EXPECT_NE(text.find(c.row), std::string::npos) << text;
    EXPECT_NE(to_junit(found).find("<skipped message=\""), std::string::npos) << to_junit(found);
  }
  // In some of the records.
  TestRun some = clean_run();
  some.attempts[0].records["readout"][1].erase("gap");
  const Diff found = compare(clean_run(), some);
  EXPECT_EQ(found.figures_only_a, 1);
  ASSERT_EQ(found.one_sided.size(), 1U);
  EXPECT_EQ(found.one_sided[0].what, "gap, first at prompt=p1, phase=decode0");
  EXPECT_EQ(found.one_sided[0].records, 1);
}

TEST_F(DiffRepeats, AnArmIsNotComparedWithItself) {
  TestRun run;
  for (const std::string kernel : {"manual", "fused"})
    for (const std::string threads : {"1", "2"})
      run.attempts.push_back(clean_attempt({{kKernelAxis, kernel}, {"threads", threads}}));
  const int64_t id = add(run);
  const std::map<std::string, std::string> manual = {{kKernelAxis, "manual"}};
  for (const auto& other : {std::map<std::string, std::string>{}, {{"threads", "1"}}, manual}) {
    const auto found = diff(store(), Side{{id}, manual}, Side{{id}, other});
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().exit_code, 2);
    EXPECT_NE(found.error().message.find("compared with itself"), std::string::npos);
  }
  EXPECT_TRUE(diff(store(), Side{{id}, manual}, Side{{id}, {{kKernelAxis, "fused"}}}));
}

// Two correct kernels sum in another order, and what measures their error is noise within its
// bound.
TEST_F(DiffRepeats, OtherKernelsHaveTheWiderFloor) {
  const auto run_of = [](const std::string& code, double logit, double error, double bound) {
    TestRun run = clean_run();
    TestAttempt& attempt = run.attempts[0];
    attempt.kernels = {
        {{"op", "attention"}, {"id", "attn.cpu"}, {"code_hash", code}, {"launches", 1}}};
    attempt.records["readout"][0]["logits_max"] = logit;
    attempt.records["prefill_decode_consistency"] = {{{"request", "p1"},
                                                      {"position", 3},
                                                      {"rel_l2", error},
                                                      {"bound", bound},
                                                      {"max_diff", error * 100},
                                                      {"kl", error * error}}};
    return run;
  };
  const double moved = 12.25 * (1 + 16 * 0x1p-23);
  const struct {
    const char* code;
    double logit, error;
    Verdict verdict;
  } cases[] = {
      {"00000000000000aa", 12.25, 1e-7, Verdict::identical},
      {"00000000000000aa", moved, 1e-7, Verdict::diverged},  // the same kernel: the same order
      {"00000000000000bb", moved, 1e-7, Verdict::within_floor},
      {"00000000000000bb", 12.25, 9e-6, Verdict::within_floor},
      {"00000000000000bb", 12.25, 2e-5, Verdict::diverged},  // beyond the bound
      {"00000000000000bb", 12.26, 1e-7, Verdict::diverged},
  };
  for (const auto& c : cases) {
    const Diff found = compare(run_of("00000000000000aa", 12.25, 1e-7, 1e-5),
                               run_of(c.code, c.logit, c.error, 1e-5));
    EXPECT_EQ(found.verdict, c.verdict) << c.code << " " << c.error << ": " << found.reason;
  }
}

}  // namespace
}  // namespace greta::store
