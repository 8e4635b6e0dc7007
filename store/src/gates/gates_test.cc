#include "gates/gates_fixture.h"

namespace greta::store {
namespace {

TestRun two_arms(const std::string& hash_of_fused) {
  TestRun run;
  run.attempts = {clean_attempt({{kKernelAxis, "manual"}}),
                  clean_attempt({{kKernelAxis, "fused"}})};
  for (Json& record : run.attempts[1].records["attn_decode_verify"]) {
    record["kernel_hash"] = hash_of_fused;
  }
  return run;
}

TEST_F(Gates, MetricHoldsInEveryRecord) {
  const GateOutcome outcome =
      judge(clean_run(), metric("attn_decode_verify.rel_l2", "le", 0x1p-19));
  EXPECT_EQ(outcome.status, GateStatus::pass) << outcome.message;
  EXPECT_EQ(outcome.rows, 8);
  EXPECT_EQ(outcome.measured, "1.9073486328125e-06");
  EXPECT_EQ(outcome.limit, "<= 1.9073486328125e-06");
  EXPECT_EQ(outcome.where,
            "variant=default, prompt=p1, repeat=0, phase=decode0, step=1, layer=0, head=1");
}

TEST_F(Gates, MetricNamesTheWorstRecord) {
  TestRun run = clean_run();
  run.attempts[0].records["attn_decode_verify"][6]["rel_l2"] = 0.5;
  const GateOutcome outcome = judge(run, within_bound());
  EXPECT_EQ(outcome.status, GateStatus::fail);
  EXPECT_EQ(outcome.failed, 1);
  EXPECT_EQ(outcome.measured, "0.5");
  EXPECT_EQ(outcome.limit, "<= bound = 1.52587890625e-05");
  EXPECT_EQ(outcome.where,
            "variant=default, prompt=p2, repeat=0, phase=decode0, step=1, layer=1, head=0");
}

TEST_F(Gates, BoundIsThatOfTheSameRecord) {
  // The largest value is within its own bound; a smaller one is over a smaller bound.
  TestRun run = clean_run();
  auto& records = run.attempts[0].records["attn_decode_verify"];
  records[0]["rel_l2"] = 0.5;
  records[0]["bound"] = 1.0;
  records[1]["rel_l2"] = 0.25;
  records[1]["bound"] = 0.125;
  for (const std::string agg : {"", "max"}) {
    const GateOutcome outcome = judge(run, within_bound(agg));
    EXPECT_EQ(outcome.status, GateStatus::fail) << agg;
    EXPECT_EQ(outcome.measured, "0.25") << agg;
  }
}

struct BadValue {
  const char* name;
  Json value;
};
class GatesBadValue : public Gates, public testing::WithParamInterface<BadValue> {};
TEST_P(GatesBadValue, FailsEveryFormThatReadsIt) {
  TestRun run = clean_run();
  auto& record = run.attempts[0].records["attn_decode_verify"][5];
  if (GetParam().value.is_discarded()) {
    record.erase("rel_l2");
  } else {
    record["rel_l2"] = GetParam().value;
  }
  // A limit that any number would meet, from either side.
  for (const std::string compare : {"le", "ge", "ne"}) {
    for (const std::string agg : {"", "max", "min", "mean", "sum"}) {
      const double limit = compare == "ge" ? -1e300 : 1e300;
      const GateOutcome outcome =
          judge(run, metric("attn_decode_verify.rel_l2", compare, limit, agg));
      EXPECT_EQ(outcome.status, GateStatus::fail) << compare << " " << agg;
      EXPECT_NE(outcome.where.find("prompt=p2"), std::string::npos) << outcome.where;
      EXPECT_NE(outcome.where.find("layer=0, head=1"), std::string::npos) << outcome.where;
    }
  }
  EXPECT_EQ(judge(run, within_bound()).status, GateStatus::fail);
}
INSTANTIATE_TEST_SUITE_P(Values, GatesBadValue,
                         testing::Values(BadValue{"null", nullptr}, BadValue{"nan", "NaN"},
                                         BadValue{"missing", Json(Json::value_t::discarded)},
                                         BadValue{"text", "fast"}),
                         [](const auto& test) { return test.param.name; });

TEST_F(Gates, AggregatesAreThoseOfTheRecords) {
  struct Case {
    std::string agg, compare;
    double limit;
    GateStatus status;
    std::string measured;
  };
  // gaps 0.5, 0.625, 0.75, 0.875
  const std::vector<Case> cases = {{"max", "le", 0.875, GateStatus::pass, "0.875"},
                                   {"max", "lt", 0.875, GateStatus::fail, "0.875"},
                                   {"min", "ge", 0.5, GateStatus::pass, "0.5"},
                                   {"min", "gt", 0.5, GateStatus::fail, "0.5"},
                                   {"mean", "eq", 0.6875, GateStatus::pass, "0.6875"},
                                   {"sum", "ne", 2.75, GateStatus::fail, "2.75"},
                                   {"median", "le", 0.6875, GateStatus::pass, "0.6875"},
                                   {"median", "lt", 0.6875, GateStatus::fail, "0.6875"},
                                   {"count", "eq", 4, GateStatus::pass, "4"}};
  for (const Case& one : cases) {
    const GateOutcome outcome =
        judge(clean_run(), metric("readout.gap", one.compare, one.limit, one.agg));
    EXPECT_EQ(outcome.status, one.status) << one.agg << " " << one.compare;
    EXPECT_EQ(outcome.measured, one.measured);
  }
}

TEST_F(Gates, PerGroupsAreJudgedOneByOne) {
  Gate gate = metric("readout.gap", "le", 0.65, "max");
  gate.per = {"prompt"};
  const GateOutcome outcome = judge(clean_run(), gate);
  EXPECT_EQ(outcome.status, GateStatus::fail);
  EXPECT_EQ(outcome.failed, 1);
  EXPECT_EQ(outcome.where.substr(0, 9), "prompt=p2");
  EXPECT_NE(outcome.message.find("2 groups"), std::string::npos) << outcome.message;
}

TEST_F(Gates, ARangeHasTwoEnds) {
  struct Case {
    double low, high;
    std::string agg;
    int64_t failed;
    std::string measured;
  };
  // gaps 0.5, 0.625, 0.75, 0.875
  for (const Case& one : std::vector<Case>{{0.5, 0.875, "", 0, "0.5"},
                                           {0.625, 0.875, "", 1, "0.5"},
                                           {0.5, 0.625, "", 2, "0.875"},
                                           {0.625, 0.75, "", 2, "0.5"},
                                           {0.5, 0.75, "median", 0, "0.6875"},
                                           {0.75, 0.875, "median", 1, "0.6875"},
                                           {0.5, 0.625, "mean", 1, "0.6875"}}) {
    Gate gate = metric("readout.gap", "ge", one.low, one.agg);
    gate.bounds.push_back(Bound{"le", one.high, ""});
    const GateOutcome outcome = judge(clean_run(), gate);
    SCOPED_TRACE(outcome.limit + " " + one.agg + ": " + outcome.message);
    EXPECT_EQ(outcome.status, one.failed == 0 ? GateStatus::pass : GateStatus::fail);
    EXPECT_EQ(outcome.failed, one.failed);
    EXPECT_EQ(outcome.measured, one.measured);
  }
  for (const auto& [first, second] : {std::pair{"ge", "gt"}, std::pair{"le", "eq"}}) {
    Gate gate = metric("readout.gap", first, 1);
    gate.bounds.push_back(Bound{second, 1, ""});
    EXPECT_EQ(judge(clean_run(), gate).status, GateStatus::error);
  }
}

TEST_F(Gates, TheSecondsOfACellAreAMetric) {
  TestRun run = clean_run();
  run.attempts.push_back(clean_attempt({}, 1));
  run.attempts[1].wall_s = 3;
  const GateOutcome median = judge(run, metric("cells.wall_s", "le", 2, "median"));
  EXPECT_EQ(median.status, GateStatus::pass) << median.message;
  EXPECT_EQ(median.measured, "2");
  EXPECT_EQ(median.rows, 2) << "a process that serves two prompts counts once";
  EXPECT_EQ(judge(run, metric("cells.wall_s", "le", 2)).failed, 1);
  run.attempts[1].status = "failed";
  EXPECT_EQ(judge(run, metric("cells.wall_s", "le", 9, "max")).status, GateStatus::not_measured);
  EXPECT_EQ(judge(run, metric("cells.wall", "le", 9)).status, GateStatus::error);
}

TEST_F(Gates, WhereChoosesRecords) {
  Gate gate = metric("readout.gap", "le", 0.75);
  gate.where = "step = 0";
  EXPECT_EQ(judge(clean_run(), gate).status, GateStatus::pass);
  gate.where = "step = 1";
  EXPECT_EQ(judge(clean_run(), gate).status, GateStatus::fail);
}

TEST_F(Gates, NothingMeasuredIsNeverAPass) {
  Gate none = metric("readout.gap", "le", 1e300);
  none.where = "step = 99";
  Gate count = metric("readout.gap", "eq", 0, "count");
  count.where = "nan > 0";
  for (const Gate& gate :
       {none, count, metric("stage_trace.rms", "le", 1), all_true("stage_trace", "nan"),
        distinct({"stage_trace.hash", "stage_trace.row_hash"}), sql("SELECT 1 WHERE 0"),
        sql("SELECT gap > 0 FROM readout WHERE step = 99")}) {
    const GateOutcome outcome = judge(clean_run(), gate);
    EXPECT_EQ(outcome.status, GateStatus::not_measured) << outcome.message;
    EXPECT_EQ(outcome.rows, 0);
    EXPECT_FALSE(outcome.message.empty());
  }
}

TEST_F(Gates, UnknownNamesAreErrorsThatNameTheNearest) {
  Gate per = metric("readout.gap", "le", 1, "max");
  per.per = {"promt"};
  Gate where = metric("readout.gap", "le", 1);
  where.where = "stepp = 0";
  Gate across = distinct({"attn_decode_verify.kernel_hash"}, {"GRETA_FORCE_ATTN_DECODE_KERNAL"});
  Gate agg = metric("readout.gap", "le", 1, "maxx");
  Gate compare = metric("readout.gap", "less", 1);
  const std::vector<std::pair<Gate, std::string>> cases = {
      {metric("readuot.gap", "le", 1), "readout"},
      {metric("readout.entropi", "le", 1), "entropy"},
      {all_true("attn_decode_verify", "kv_invariant"), "kv_invariant_ok"},
      {distinct({"attn_decode_verify.q_hsh", "attn_decode_verify.k_hash"}), "q_hash"},
      {distinct({"attn_decode_verify.q_hash", "readout.logits_hash"}), "two kinds"},
      {distinct({"attn_decode_verify.q_hash"}), "two fields"},
      {per, "prompt"},
      {where, "stepp"},
      {across, kKernelAxis},
      {agg, "max"},
      {compare, "le"},
      {sql("SELECT gap FROM readuot"), "readuot"},
      {sql("DELETE FROM gate"), ""}};
  for (const auto& [gate, words] : cases) {
    const GateOutcome outcome = judge(two_arms("00000000000000bb"), gate);
    EXPECT_EQ(outcome.status, GateStatus::error) << outcome.message;
    EXPECT_NE(outcome.message.find(words), std::string::npos) << outcome.message;
  }
}

TEST_F(Gates, AFieldBeyondTheColumnsOfItsKindIsPointedAt) {
  TestRun run = clean_run();
  Json wide = {{"request", "p1"}};
  for (int i = 0; i < 450; ++i) wide["f" + std::to_string(i)] = i;
  run.attempts[0].records["wide"] = {wide};
  const GateOutcome outcome = judge(run, metric("wide.f449", "le", 500));
  EXPECT_EQ(outcome.status, GateStatus::error);
  EXPECT_NE(outcome.message.find("json_extract(extra, '$.\"f449\"') in a gate with `sql`"),
            std::string::npos)
      << outcome.message;
  EXPECT_EQ(judge(run, sql("SELECT json_extract(extra, '$.\"f449\"') <= 500 FROM wide")).status,
            GateStatus::pass);
}

TEST_F(Gates, AllNeedsTrueEverywhere) {
  TestRun run = clean_run();
  EXPECT_EQ(judge(run, all_true("attn_decode_verify", "kv_invariant_ok")).status, GateStatus::pass);
  auto& record = run.attempts[0].records["attn_decode_verify"][3];
  for (const Json& value : {Json(false), Json(nullptr)}) {
    record["kv_invariant_ok"] = value;
    const GateOutcome outcome = judge(run, all_true("attn_decode_verify", "kv_invariant_ok"));
    EXPECT_EQ(outcome.status, GateStatus::fail);
    EXPECT_EQ(outcome.failed, 1);
    EXPECT_NE(outcome.where.find("layer=1, head=1"), std::string::npos) << outcome.where;
  }
}

TEST_F(Gates, DistinctWithinEachRecord) {
  TestRun run = clean_run();
  const Gate gate =
      distinct({"attn_decode_verify.kernel_hash", "attn_decode_verify.attn_out_hash"});
  EXPECT_EQ(judge(run, gate).status, GateStatus::pass);
  auto& record = run.attempts[0].records["attn_decode_verify"][2];
  record["attn_out_hash"] = record["kernel_hash"];
  EXPECT_EQ(judge(run, gate).status, GateStatus::fail);
  record.erase("attn_out_hash");
  EXPECT_EQ(judge(run, gate).status, GateStatus::fail);
}

TEST_F(Gates, DistinctAcrossAnAxis) {
  const Gate gate = distinct({"attn_decode_verify.kernel_hash"}, {kKernelAxis});
  EXPECT_EQ(judge(two_arms("00000000000000bb"), gate).status, GateStatus::pass);
  const GateOutcome same = judge(two_arms("00000000000000aa"), gate);
  EXPECT_EQ(same.status, GateStatus::fail);
  EXPECT_EQ(same.measured, "00000000000000aa");
  EXPECT_NE(same.message.find("manual"), std::string::npos) << same.message;
  // One record of the other arm's kernel is enough.
  TestRun one = two_arms("00000000000000bb");
  one.attempts[1].records["attn_decode_verify"][7]["kernel_hash"] = "00000000000000aa";
  EXPECT_EQ(judge(one, gate).status, GateStatus::fail);
  // The same said with kind and field.
  Gate by_field = gate;
  by_field.fields.clear();
  by_field.kind = "attn_decode_verify";
  by_field.field = "kernel_hash";
  EXPECT_EQ(judge(one, by_field).status, GateStatus::fail);
  EXPECT_EQ(judge(two_arms("00000000000000bb"), by_field).status, GateStatus::pass);
  // A single arm shows nothing.
  TestRun single = two_arms("00000000000000bb");
  single.attempts.pop_back();
  const GateOutcome alone = judge(single, gate);
  EXPECT_EQ(alone.status, GateStatus::not_measured);
  EXPECT_NE(alone.message.find("nothing to tell apart"), std::string::npos) << alone.message;
}

TEST_F(Gates, DistinctAcrossComparesOtherwiseEqualVariants) {
  // Equal hashes in variants that differ in another axis are no fault of this one.
  TestRun run;
  for (const auto& [kernel, route, hash] : {std::tuple{"manual", "valu", "00000000000000a1"},
                                            std::tuple{"fused", "valu", "00000000000000b1"},
                                            std::tuple{"manual", "mfma", "00000000000000b1"},
                                            std::tuple{"fused", "mfma", "00000000000000a1"}}) {
    run.attempts.push_back(clean_attempt({{kKernelAxis, kernel}, {"ROUTE", route}}));
    for (Json& record : run.attempts.back().records["attn_decode_verify"]) {
      record["kernel_hash"] = hash;
    }
  }
  const GateOutcome outcome =
      judge(run, distinct({"attn_decode_verify.kernel_hash"}, {kKernelAxis}));
  EXPECT_EQ(outcome.status, GateStatus::pass) << outcome.message;
}

TEST_F(Gates, SqlSeesThisRunOnlyAndWantsTrueInEveryRow) {
  TestRun wrong = clean_run();
  wrong.attempts[0].records["readout"][0]["nan"] = 3;
  add(wrong);
  EXPECT_EQ(judge(clean_run(), sql("SELECT nan = 0 AS ok FROM readout")).status, GateStatus::pass);
  const GateOutcome failed = judge(wrong, sql("SELECT nan = 0 AS ok, prompt FROM readout"));
  EXPECT_EQ(failed.status, GateStatus::fail);
  EXPECT_EQ(failed.failed, 1);
  EXPECT_EQ(failed.where, "prompt=p1");
  for (const std::string text : {"SELECT NULL", "SELECT 'true'", "SELECT 0", "SELECT 0.0"}) {
    EXPECT_EQ(judge(clean_run(), sql(text)).status, GateStatus::fail) << text;
  }
}

TEST_F(Gates, CellsWithoutRecordsMeasureNothing) {
  TestRun run = two_arms("00000000000000bb");
  run.attempts[1].status = "failed";
  run.attempts[1].reason = "signal 11";
  run.attempts[1].records.clear();
  const GateOutcome outcome = judge(run, metric("readout.gap", "le", 10));
  EXPECT_EQ(outcome.status, GateStatus::not_measured);
  EXPECT_NE(outcome.message.find("2 of 4 cells gave no readout record"), std::string::npos)
      << outcome.message;
  EXPECT_NE(outcome.where.find("fused"), std::string::npos) << outcome.where;
  // A gate that speaks of the other arm only is not touched by that …
  Gate manual = metric("readout.gap", "le", 10);
  manual.where = "variant LIKE '%manual%' AND step = 0";
  EXPECT_EQ(judge(run, manual).status, GateStatus::pass);
  // … a condition on the records themselves excuses nobody …
  manual.where = "step = 0";
  EXPECT_EQ(judge(run, manual).status, GateStatus::not_measured);
  // … and what fails, fails.
  EXPECT_EQ(judge(run, metric("readout.gap", "le", 0)).status, GateStatus::fail);
}

TEST_F(Gates, RecordsOfCellsThatDidNotEndOkAreNoResults) {
  // Every record of the failed arm would hold, or not: neither may be seen.
  TestRun run = two_arms("00000000000000bb");
  run.attempts[1].reason = "signal 11";
  for (const std::string status : {"failed", "timeout", "killed"}) {
    run.attempts[1].status = status;
    for (Json& record : run.attempts[1].records["readout"]) record["gap"] = 1000;
    const GateOutcome over = judge(run, metric("readout.gap", "le", 10, "max"));
    EXPECT_EQ(over.status, GateStatus::not_measured) << over.message;
    EXPECT_NE(over.message.find("2 of 4 cells gave no readout record"), std::string::npos)
        << over.message;
    EXPECT_EQ(over.rows, 4);
    EXPECT_EQ(over.measured, "0.875");
    const GateOutcome of_sql = judge(run, sql("SELECT max(gap) < 10 FROM readout"));
    EXPECT_EQ(of_sql.status, GateStatus::pass) << of_sql.message;
    EXPECT_NE(of_sql.message.find("2 of 4 cells did not end ok"), std::string::npos)
        << of_sql.message;
    // The arms cannot be told apart where one has no result.
    EXPECT_EQ(judge(run, distinct({"attn_decode_verify.kernel_hash"}, {kKernelAxis})).status,
              GateStatus::not_measured);
  }
}

TEST_F(Gates, ARunWithoutAnOkCellPassesNothing) {
  TestRun run = clean_run();
  run.attempts[0].status = "failed";
  TestRun silent = run;  // nothing came out before it failed
  silent.attempts[0].records.clear();
  for (const Gate& gate :
       {metric("readout.gap", "le", 10, "max"), metric("readout.gap", "le", 10),
        metric("readout.gap", "ge", 0, "count"), all_true("attn_decode_verify", "kv_invariant_ok"),
        distinct({"readout.logits_hash", "readout.top1_text"}), sql("SELECT 1"), sql("SELECT 0"),
        sql("SELECT count(*) > 0 FROM readout"), sql("SELECT count(*) = 0 FROM readout"),
        metric("readout2.x", "le", 1), sql("SELECT max(x) < 1 FROM readout2")}) {
    for (const TestRun& one : {run, silent}) {
      const GateOutcome outcome = judge(one, gate);
      EXPECT_EQ(outcome.status, GateStatus::not_measured)
          << gate.kind << gate.sql << ": " << outcome.message;
      EXPECT_TRUE(outcome.message.find("no cell ended ok") != std::string::npos ||
                  outcome.message.find("2 of 2 cells did not end ok") != std::string::npos)
          << outcome.message;
    }
  }
  const GateOutcome unknown = judge(run, metric("readout2.x", "le", 1));
  EXPECT_NE(unknown.message.find("no cell gave a record `readout2`"), std::string::npos)
      << unknown.message;
  EXPECT_NE(unknown.message.find("2 of 2 cells did not end ok"), std::string::npos);
  // A mistake stays one, and an unknown kind where every cell is ok.
  EXPECT_EQ(judge(run, metric("readout.gab", "le", 1)).status, GateStatus::error);
  EXPECT_EQ(judge(run, sql("SELEC 1")).status, GateStatus::error);
  EXPECT_EQ(judge(clean_run(), metric("readout2.x", "le", 1)).status, GateStatus::error);
}

TEST_F(Gates, AreStoredInOrderAndReplaced) {
  const int64_t id = add(clean_run());
  Gate first = metric("readout.gap", "le", 10), second = sql("SELECT 0");
  first.id = "z";
  second.id = "a";
  ASSERT_TRUE(evaluate_gates(store(), name_, {second, first}));
  ASSERT_TRUE(evaluate_gates(store(), name_, {first, second}));
  const auto kept = stored_gates(store(), id);
  ASSERT_TRUE(kept) << kept.error().str();
  ASSERT_EQ(kept->size(), 2u);
  EXPECT_EQ((*kept)[0].id, "z");
  EXPECT_EQ((*kept)[0].status, GateStatus::pass);
  EXPECT_EQ((*kept)[0].measured, "0.875");
  EXPECT_EQ((*kept)[1].id, "a");
  EXPECT_EQ((*kept)[1].status, GateStatus::fail);
  EXPECT_FALSE(evaluate_gates(store(), name_, {first, first}));
  EXPECT_FALSE(evaluate_gates(store(), "no-such-run", {first}));
}

}  // namespace
}  // namespace greta::store
