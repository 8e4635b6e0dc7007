// Which values are numbers to a gate, and that whole ones are compared exactly.

#include "gates/gates_fixture.h"

namespace greta::store {
namespace {

constexpr int64_t kBig = (int64_t{1} << 53) + 1;  // no double is this
constexpr int64_t kLeast = std::numeric_limits<int64_t>::min();

// As the engine of no one's contract writes them: one record a value.
TestRun values_of(const std::vector<Json>& values, const char* field = "n") {
  TestRun run = clean_run();
  run.prompts = {{"p1", "One"}};
  run.attempts[0].records = {};
  for (size_t i = 0; i < values.size(); ++i) {
    Json record = {{"request", "p1"}, {"step", i}};
    if (!values[i].is_discarded()) record[field] = values[i];
    run.attempts[0].records["tally"].push_back(record);
  }
  return run;
}

Gate whole(const std::string& compare, int64_t limit, const std::string& agg = "") {
  Gate gate = metric("tally.n", compare, static_cast<double>(limit), agg);
  gate.bounds[0].whole = limit;
  return gate;
}

TEST_F(Gates, WholeNumbersAreComparedExactly) {
  struct Case {
    int64_t value;
    const char* compare;
    int64_t limit;
    bool holds;
  };
  for (const Case& one : std::vector<Case>{{kBig - 1, "eq", kBig, false},
                                           {kBig, "eq", kBig, true},
                                           {kBig, "ne", kBig - 1, true},
                                           {kBig, "le", kBig - 1, false},
                                           {kBig - 1, "ge", kBig, false},
                                           {kBig - 1, "lt", kBig, true},
                                           {-kBig, "eq", -kBig + 1, false},
                                           {kLeast, "eq", kLeast, true},
                                           {kLeast, "eq", kLeast + 1, false},
                                           {kLeast, "ne", 0, true}}) {
    for (const std::string agg : {"", "max", "min", "sum", "median"}) {
      SCOPED_TRACE(std::to_string(one.value) + " " + one.compare + " " + std::to_string(one.limit) +
                   " " + agg);
      const GateOutcome outcome = judge(values_of({one.value}), whole(one.compare, one.limit, agg));
      EXPECT_EQ(outcome.status, one.holds ? GateStatus::pass : GateStatus::fail) << outcome.message;
      EXPECT_EQ(outcome.measured, std::to_string(one.value));
      EXPECT_NE(outcome.limit.find(std::to_string(one.limit)), std::string::npos) << outcome.limit;
    }
  }
  for (const std::string agg : {"", "max"}) {
    Gate range = whole("ge", kBig, agg);
    range.bounds.push_back(Bound{"le", static_cast<double>(kBig), "", kBig});
    EXPECT_EQ(judge(values_of({kBig}), range).status, GateStatus::pass) << agg;
    EXPECT_EQ(judge(values_of({kBig - 1}), range).status, GateStatus::fail) << agg;
    EXPECT_EQ(judge(values_of({kBig + 1}), range).status, GateStatus::fail) << agg;
  }
}

TEST_F(Gates, OnlyFiniteNumbersAreNumbers) {
  for (const std::string bad : {"Infinity", "-Infinity", "NaN"}) {
    for (const std::string compare : {"le", "ge", "ne"}) {
      for (const std::string agg : {"", "max", "min", "mean", "median", "sum"}) {
        SCOPED_TRACE(bad + " " + compare + " " + agg);
        const Gate gate = metric("tally.n", compare, compare == "le" ? 1e308 : -1e308, agg);
        const GateOutcome outcome = judge(values_of({0.5, bad, 1.5}), gate);
        EXPECT_EQ(outcome.status, GateStatus::fail) << outcome.message;
        EXPECT_EQ(outcome.failed, 1);
        EXPECT_EQ(outcome.measured, bad);
        EXPECT_NE(outcome.message.find("no finite number"), std::string::npos) << outcome.message;
        EXPECT_NE(outcome.where.find("step=1"), std::string::npos) << outcome.where;
        EXPECT_EQ(judge(values_of({0.5, 1, 1.5}), gate).status, GateStatus::pass);
      }
    }
  }
  // Finite ones may have a sum that is none.
  EXPECT_EQ(judge(values_of({1e308, 1e308}), metric("tally.n", "ge", 0, "sum")).status,
            GateStatus::fail);
}

TEST_F(Gates, CountCountsValues) {
  const Json absent(Json::value_t::discarded);
  const GateOutcome two = judge(values_of({1, nullptr, absent, "NaN"}), whole("eq", 2, "count"));
  EXPECT_EQ(two.status, GateStatus::pass) << two.message;
  EXPECT_EQ(two.measured, "2");
  // A record with a value makes the field known; none of those chosen has one.
  Gate none = whole("le", 9, "count");
  none.where = "step > 0";
  const GateOutcome nothing = judge(values_of({1, nullptr, absent}), none);
  EXPECT_EQ(nothing.status, GateStatus::not_measured) << nothing.message;
  EXPECT_NE(nothing.message.find("none of 2 tally records has a value of n"), std::string::npos)
      << nothing.message;
  Gate grouped = whole("le", 9, "count");
  grouped.per = {"step"};
  EXPECT_EQ(judge(values_of({1, nullptr}), grouped).status, GateStatus::not_measured);
  grouped.bounds[0] = whole("ge", 1).bounds[0];
  EXPECT_EQ(judge(values_of({1, nullptr}), grouped).status, GateStatus::fail);
  EXPECT_EQ(judge(values_of({1, 2}), grouped).status, GateStatus::pass);
}

TEST_F(Gates, WhatIsNoNumberIsTheWorst) {
  TestRun run = clean_run();
  auto& records = run.attempts[0].records["attn_decode_verify"];
  records[2]["bound"] = nullptr;
  const GateOutcome limit = judge(run, within_bound());
  EXPECT_EQ(limit.status, GateStatus::fail);
  EXPECT_NE(limit.message.find("its limit `bound` = – is no finite number"), std::string::npos)
      << limit.message;
  records[5]["rel_l2"] = "NaN";
  for (const std::string agg : {"", "max"}) {
    const GateOutcome worst = judge(run, within_bound(agg));
    EXPECT_EQ(worst.failed, 2);
    EXPECT_EQ(worst.measured, "NaN") << worst.message;
  }
  // With the mean over all the limit is the least bound: one that is none leaves no meaning.
  records[5]["rel_l2"] = 1e-7;
  const GateOutcome mean = judge(run, within_bound("mean"));
  EXPECT_EQ(mean.status, GateStatus::fail);
  EXPECT_NE(mean.message.find("first: bound = –"), std::string::npos) << mean.message;
}

TEST_F(Gates, AFieldIsNotItsOwnLimit) {
  Gate gate = metric("readout.gap", "le", 0);
  gate.bounds[0].limit_field = "gap";
  const GateOutcome outcome = judge(clean_run(), gate);
  EXPECT_EQ(outcome.status, GateStatus::error);
  EXPECT_NE(outcome.message.find("`gap` is compared with itself"), std::string::npos);
  gate.bounds[0].limit_field = "entropy";
  EXPECT_EQ(judge(clean_run(), gate).status, GateStatus::pass);
}

}  // namespace
}  // namespace greta::store
