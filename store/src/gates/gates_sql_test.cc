// SQL in gates: what `where` may say, what `sql` has measured, and that both can be stopped.

#include "gates/gates_fixture.h"

namespace greta::store {
namespace {

TEST_F(Gates, WhereIsOneConditionByItself) {
  // gaps 0.5, 0.625, 0.75, 0.875: the maximum of each phase is above the limit.
  Gate gate = metric("readout.gap", "le", 0.6, "max");
  gate.per = {"phase"};
  for (const std::string condition :
       {"1=1) --", "0) OR (1", "1=1) GROUP BY (variant", "step = 0 -- all", "step = 0 /*",
        "step = 0; --", "1=1) LIMIT 1 --", "1 GROUP BY phase", "1, 1", "SELECT 1", "-- nothing",
        "1) UNION SELECT 1 WHERE (1"}) {
    gate.where = condition;
    const GateOutcome outcome = judge(clean_run(), gate);
    EXPECT_EQ(outcome.status, GateStatus::error) << condition << ": " << outcome.message;
    EXPECT_TRUE(outcome.message.starts_with("`where`: ")) << outcome.message;
    const auto found = check_gates({gate});
    ASSERT_TRUE(found) << found.error().str();
    ASSERT_EQ(found->size(), 1u) << condition;
    EXPECT_EQ(found->front().key, "where");
    EXPECT_EQ(found->front().what, GateMistake::What::wrong) << found->front().message;
  }
  for (const std::string condition :
       {"1=1", "(step = 0) OR (step = 1)", "prompt = ')' OR step < 9", "/* both */ step < 2",
        "step = 0 OR step = 1", "step <= (SELECT max(step) FROM readout)"}) {
    gate.where = condition;
    const GateOutcome outcome = judge(clean_run(), gate);
    EXPECT_EQ(outcome.status, GateStatus::fail) << condition << ": " << outcome.message;
    EXPECT_EQ(outcome.failed, 2) << condition;
    EXPECT_TRUE(check_gates({gate})->empty()) << condition;
  }
}

TEST_F(Gates, SqlOverKindsWithoutARecordMeasuresNothing) {
  TestRun silent = clean_run();
  silent.attempts[0].records.erase("readout");
  add(clean_run());  // another run has some
  for (const std::string text :
       {"SELECT count(*) = 0 FROM readout WHERE nan > 0", "SELECT count(*) = 0 FROM Readout",
        "SELECT NOT EXISTS (SELECT * FROM readout WHERE nan > 0)",
        "WITH bad AS (SELECT nan FROM readout WHERE nan > 0) SELECT count(*) = 0 FROM bad",
        "SELECT count(*) = 0 FROM readout r JOIN stage_trace s USING (prompt)",
        "SELECT count(*) = 0 FROM readout, json_each('[1]')"}) {
    const GateOutcome outcome = judge(silent, sql(text));
    EXPECT_EQ(outcome.status, GateStatus::not_measured) << text << ": " << outcome.message;
    EXPECT_EQ(outcome.rows, 0);
    EXPECT_NE(outcome.message.find("no readout"), std::string::npos) << outcome.message;
    EXPECT_NE(judge(clean_run(), sql(text)).status, GateStatus::not_measured) << text;
  }
  for (const std::string text :
       {"SELECT 1", "SELECT count(*) = 0 FROM records WHERE kind = 'readout'",
        "SELECT count(*) = 2 FROM cells WHERE NOT EXISTS (SELECT 1 FROM readout)",
        "SELECT (SELECT count(*) FROM readout) = 0 FROM runs",
        "SELECT count(*) = 0 FROM readout NATURAL JOIN attn_decode_verify"}) {
    const GateOutcome outcome = judge(silent, sql(text));
    EXPECT_EQ(outcome.status, GateStatus::pass) << text << ": " << outcome.message;
  }
}

TEST_F(Gates, AnEndlessQueryCanBeStopped) {
  const int64_t id = add(clean_run());
  ASSERT_TRUE(evaluate_gates(store(), name_, {metric("readout.gap", "le", 1)}));
  const std::string endless =
      "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c";
  Gate where = metric("readout.gap", "le", 1);
  where.where = "step < (" + endless + ")";
  for (const Gate& gate : {sql(endless + " LIMIT 1"), where}) {
    int asked = 0;
    const auto stopped = evaluate_gates(store(), name_, {gate}, [&] { return ++asked > 3; });
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().exit_code, static_cast<int>(Exit::interrupted));
  }
  const auto kept = stored_gates(store(), id);
  ASSERT_TRUE(kept);
  ASSERT_EQ(kept->size(), 1u) << "what was measured before stays";
  EXPECT_EQ(kept->front().status, GateStatus::pass);
  // Who is not stopped is not disturbed, and afterwards nobody is asked.
  EXPECT_TRUE(
      evaluate_gates(store(), name_, {metric("readout.gap", "le", 1)}, [] { return false; }));
  EXPECT_TRUE(store().query("SELECT 1 FROM readout", id));
}

}  // namespace
}  // namespace greta::store
