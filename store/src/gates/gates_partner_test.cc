// Gates that compare with a baseline, another run or another arm: `ratio_to`, `within_floor_of`.

#include <algorithm>

#include "contract/text.h"
#include "gates/compare_fixture.h"
#include "store/gates.h"
#include "store/report.h"
#include "text/markdown.h"

namespace greta::store {
namespace {

Partner baseline() { return Partner{.what = Partner::What::baseline, .run = "", .arm = {}}; }
Partner the_run(const std::string& selector) {
  return Partner{.what = Partner::What::run, .run = selector, .arm = {}};
}
Partner arm(const std::string& value) {
  return Partner{.what = Partner::What::arm, .run = "", .arm = {{kKernelAxis, value}}};
}

Gate gate_of(const std::string& metric, const Partner& partner) {
  Gate gate;
  gate.id = "g";
  gate.kind = metric.substr(0, metric.find('.'));
  gate.field = metric.substr(metric.find('.') + 1);
  gate.partner = partner;
  return gate;
}
Gate ratio(const std::string& metric, const Partner& partner, double low, double high,
           const std::string& agg = "") {
  Gate gate = gate_of(metric, partner);
  gate.bounds = {Bound{"ge", low, ""}, Bound{"le", high, ""}};
  gate.agg = agg;
  return gate;
}
Gate within_floor(const std::string& metric, const Partner& partner) {
  Gate gate = gate_of(metric, partner);
  gate.form = Gate::Form::floor;
  return gate;
}

bool has(const std::string& text, const std::string& words) {
  return text.find(words) != std::string::npos;
}

TestRun scaled(double factor) {
  TestRun run = clean_run();
  for (Json& record : run.attempts[0].records["readout"])
    record["gap"] = record["gap"].get<double>() * factor;
  return run;
}

// Two kernels, each with its own hash, several repeats; seconds of fused are `factor` of manual's.
TestRun arms(double factor, int64_t repeats = 1) {
  TestRun run;
  for (const std::string value : {"manual", "fused"}) {
    for (int64_t repeat = 0; repeat < repeats; ++repeat) {
      TestAttempt attempt = clean_attempt({{kKernelAxis, value}}, repeat);
      const bool fused = value == "fused";
      attempt.wall_s = (2 + 0.01 * static_cast<double>(repeat)) * (fused ? factor : 1);
      for (Json& record : attempt.records["attn_decode_verify"])
        record["kernel_hash"] = fused ? "00000000000000bb" : "00000000000000aa";
      run.attempts.push_back(attempt);
    }
  }
  return run;
}

class GatePartners : public RunFixture {
 protected:
  // A run that `greta accept` made the baseline.
  void accept(const TestRun& run) {
    add(run);
    baseline_ = name_;
    const auto accepted = store().accept(name_);
    ASSERT_TRUE(accepted) << accepted.error().str();
  }

  GateOutcome judge(const TestRun& run, const Gate& gate) {
    add(run);
    return judge(gate);
  }
  GateOutcome judge(const Gate& gate) {
    const auto outcomes = evaluate_gates(store(), name_, {gate});
    EXPECT_TRUE(outcomes) << outcomes.error().str();
    if (!outcomes) return {};
    const GateOutcome& outcome = outcomes->front();
    if (!outcome.query.empty()) expect_query(outcome);
    return outcome;
  }

  // The query gives what was measured.
  void expect_query(const GateOutcome& outcome) {
    int64_t scope = -1;
    if (const std::string run = query_scope(outcome, name_); !run.empty())
      scope = store().resolve(run).value_or(-1);
    const auto table = store().query(outcome.query, scope);
    ASSERT_TRUE(table) << outcome.query << ": " << table.error().str();
    const bool judged = outcome.status == GateStatus::pass || outcome.status == GateStatus::fail;
    if (!judged || has(outcome.measured, " / ")) return;
    ASSERT_EQ(table->rows.size(), 1u) << outcome.query;
    std::vector<std::string> values;
    for (const Value& value : table->rows[0])
      values.push_back(value.type == Value::Type::null ? "NULL" : value_text(value));
    EXPECT_TRUE(std::find(values.begin(), values.end(), outcome.measured) != values.end())
        << outcome.query << " gives " << joined(values, ", ") << ", not " << outcome.measured;
  }

  std::string baseline_;
};

TEST_F(GatePartners, RatioOfEveryRecord) {
  accept(clean_run());
  const GateOutcome same = judge(clean_run(), ratio("readout.gap", baseline(), 0.9, 1.1));
  EXPECT_EQ(same.status, GateStatus::pass) << same.message;
  EXPECT_EQ(same.rows, 4);
  EXPECT_EQ(same.measured, "1");
  EXPECT_EQ(same.limit, ">= 0.9, <= 1.1 × " + baseline_);
  TestRun one = clean_run();
  one.attempts[0].records["readout"][2]["gap"] = 1.5;
  const GateOutcome twice = judge(one, ratio("readout.gap", baseline(), 0.9, 1.1));
  EXPECT_EQ(twice.status, GateStatus::fail);
  EXPECT_EQ(twice.failed, 1);
  EXPECT_EQ(twice.measured, "2");
  EXPECT_EQ(twice.where, "variant=default, prompt=p2, phase=prefill_last, repeat=0");
  EXPECT_TRUE(has(twice.message, "gap = 1.5 is 2 times 0.75 of " + baseline_)) << twice.message;
  Gate elsewhere = ratio("readout.gap", baseline(), 0.9, 1.1);
  elsewhere.where = "prompt = 'p1'";
  EXPECT_EQ(judge(one, elsewhere).status, GateStatus::pass);
  EXPECT_EQ(judge(scaled(0.5), ratio("readout.gap", baseline(), 0.9, 1.1)).failed, 4);
}

TEST_F(GatePartners, AggregatesAreDividedGroupByGroup) {
  accept(clean_run());
  TestRun run = scaled(2);
  for (Json& record : run.attempts[0].records["readout"])
    if (record["request"] == "p1") record["gap"] = record["gap"].get<double>() / 2;
  struct Case {
    std::string agg;
    std::vector<std::string> per;
    std::string measured, where;
    int64_t failed;
  };
  // gaps 0.5, 0.625 and 1.5, 1.75 beside 0.5, 0.625, 0.75, 0.875
  for (const Case& one : std::vector<Case>{{"median", {}, "1.5454545454545454", "", 1},
                                           {"max", {}, "2", "", 1},
                                           {"min", {}, "1", "", 0},
                                           {"sum", {}, "1.5909090909090908", "", 1},
                                           {"mean", {}, "1.5909090909090908", "", 1},
                                           {"median", {"prompt"}, "2", "prompt=p2", 1},
                                           {"max", {"phase"}, "2", "phase=decode0", 2},
                                           {"max", {"repeat"}, "2", "repeat=0", 1},
                                           {"max", {"variant"}, "2", "variant=default", 1}}) {
    Gate gate = ratio("readout.gap", baseline(), 0, 1.25, one.agg);
    gate.per = one.per;
    const GateOutcome outcome = judge(run, gate);
    SCOPED_TRACE(one.agg + " " + joined(one.per) + ": " + outcome.message);
    EXPECT_EQ(outcome.status, one.failed == 0 ? GateStatus::pass : GateStatus::fail);
    EXPECT_EQ(outcome.failed, one.failed);
    EXPECT_EQ(outcome.measured, one.measured);
    EXPECT_TRUE(has(outcome.where, one.where)) << outcome.where;
    EXPECT_EQ(outcome.rows, 4);
  }
}

TEST_F(GatePartners, WhatHasNoRatioFails) {
  struct Case {
    const char* name;
    Json here, there;
    const char* words;
  };
  for (const Case& one :
       {Case{"x / 0", 1.5, 0.0, "divided by 0"}, Case{"0 / 0", 0.0, 0.0, "divided by 0"},
        Case{"missing", nullptr, 1.5, "no number here"},
        Case{"NaN here", "NaN", 1.5, "no number here"},
        Case{"NaN there", 1.5, "NaN", "no number there"},
        Case{"overflow", 1e300, 1e-300, "no finite number"}}) {
    SCOPED_TRACE(one.name);
    TestRun there = clean_run(), here = clean_run();
    there.attempts[0].records["readout"][3]["gap"] = one.there;
    here.attempts[0].records["readout"][3]["gap"] = one.here;
    accept(there);
    const GateOutcome outcome = judge(here, ratio("readout.gap", baseline(), -1e300, 1e300));
    EXPECT_EQ(outcome.status, GateStatus::fail) << outcome.message;
    EXPECT_EQ(outcome.failed, 1);
    EXPECT_TRUE(has(outcome.message, one.words)) << outcome.message;
    EXPECT_TRUE(has(outcome.measured, " / ")) << outcome.measured;
    EXPECT_TRUE(has(outcome.where, "prompt=p2, phase=decode0")) << outcome.where;
    for (const std::string agg : {"max", "min", "mean", "median", "sum"}) {
      Gate gate = ratio("readout.gap", baseline(), -1e300, 1e300, agg);
      gate.per = {"prompt", "phase"};
      EXPECT_EQ(judge(here, gate).status, GateStatus::fail) << agg;
    }
  }
}

TEST_F(GatePartners, ArmsOfOneRun) {
  const Gate faster = ratio("cells.wall_s", arm("manual"), 0, 0.9, "median");
  const GateOutcome fused = judge(arms(0.5, 5), faster);
  EXPECT_EQ(fused.status, GateStatus::pass) << fused.message;
  EXPECT_EQ(fused.measured, "0.5");
  EXPECT_EQ(fused.where, std::string(kKernelAxis) + "=fused");
  EXPECT_EQ(fused.rows, 5) << "one process serves both prompts, and counts once";
  EXPECT_TRUE(has(fused.message, "95 % interval 0.49")) << fused.message;
  EXPECT_TRUE(has(fused.message, "5 and 5 samples")) << fused.message;
  EXPECT_EQ(query_scope(fused, name_), name_);
  const GateOutcome few = judge(arms(2, 4), faster);
  EXPECT_EQ(few.status, GateStatus::fail);
  EXPECT_EQ(few.measured, "2");
  EXPECT_TRUE(has(few.message, "4 and 4 samples: no interval")) << few.message;

  const Gate same = within_floor("readout.gap", arm("manual"));
  EXPECT_EQ(judge(arms(1), same).status, GateStatus::pass);
  TestRun wrong = arms(1);
  wrong.attempts[1].records["readout"][1]["gap"] = 0.75;
  const GateOutcome differs = judge(wrong, same);
  EXPECT_EQ(differs.status, GateStatus::fail);
  EXPECT_TRUE(has(differs.where, "=fused, prompt=p1, phase=decode0")) << differs.where;
}

TEST_F(GatePartners, EachOtherArmIsJudgedByItself) {
  TestRun run;
  double seconds = 1;
  for (const std::string value : {"manual", "fused", "split"}) {
    run.attempts.push_back(clean_attempt({{kKernelAxis, value}}));
    run.attempts.back().wall_s = seconds++;
    for (Json& record : run.attempts.back().records["attn_decode_verify"])
      record["kernel_hash"] = sha256_hex(value).substr(0, 16);
  }
  const GateOutcome outcome = judge(run, ratio("cells.wall_s", arm("manual"), 0, 2.5, "max"));
  EXPECT_EQ(outcome.status, GateStatus::fail);
  EXPECT_EQ(outcome.failed, 1);
  EXPECT_EQ(outcome.measured, "3");
  EXPECT_EQ(outcome.where, std::string(kKernelAxis) + "=split");
}

TEST_F(GatePartners, WithinTheFloorOfADiff) {
  struct Case {
    const char* field;
    Json value;
    GateStatus status;
  };
  const auto pass = GateStatus::pass, fail = GateStatus::fail;
  accept(clean_run());
  for (const Case& one :
       {Case{"gap", 0.625, pass}, Case{"gap", 0.625 * (1 + 1e-8), pass}, Case{"gap", 0.626, fail},
        Case{"gap", nullptr, fail}, Case{"gap", "NaN", fail}, Case{"top1_id", 8, pass},
        Case{"top1_id", 9, fail}, Case{"top1_text", " a|b\n", pass}, Case{"top1_text", "x", fail},
        Case{"logits_hash", "00000000000000cc", fail}, Case{"readout_mismatch", true, fail}}) {
    TestRun run = clean_run();
    run.attempts[0].records["readout"][1][one.field] = one.value;
    const GateOutcome outcome =
        judge(run, within_floor(std::string("readout.") + one.field, baseline()));
    SCOPED_TRACE(std::string(one.field) + " " + one.value.dump() + ": " + outcome.message);
    EXPECT_EQ(outcome.status, one.status);
    EXPECT_EQ(outcome.rows, 4);
    EXPECT_EQ(outcome.failed, one.status == fail ? 1 : 0);
    if (one.status == fail) {
      EXPECT_TRUE(has(outcome.where, "prompt=p1, phase=decode0")) << outcome.where;
    }
  }
  // Repeats that differ widen the floor.
  TestRun noisy = clean_run();
  noisy.attempts.push_back(clean_attempt({}, 1));
  for (Json& record : noisy.attempts[1].records["readout"])
    record["gap"] = record["gap"].get<double>() + 0.25;
  TestRun moved = noisy;
  for (TestAttempt& attempt : moved.attempts)
    attempt.records["readout"][1]["gap"] = attempt.records["readout"][1]["gap"].get<double>() + 0.2;
  EXPECT_EQ(judge(moved, within_floor("readout.gap", baseline())).status, pass);
}

TEST_F(GatePartners, RecordsWithoutAPartnerAreCounted) {
  accept(clean_run());
  TestRun more = clean_run();
  more.attempts[0].records["readout"].push_back(readout("p2", 2, 3));
  for (const Gate& gate : {ratio("readout.gap", baseline(), 0.9, 1.1),
                           ratio("readout.gap", baseline(), 0.9, 1.1, "max"),
                           within_floor("readout.gap", baseline())}) {
    const GateOutcome outcome = judge(more, gate);
    EXPECT_EQ(outcome.status, GateStatus::pass) << outcome.message;
    EXPECT_EQ(outcome.rows, 4);
    EXPECT_TRUE(has(outcome.message, "1 record without a partner in " + baseline_ +
                                         ", first: variant=default, prompt=p2, phase=decode1"))
        << outcome.message;
    Gate alone = gate;
    alone.where = "step = 2";
    const GateOutcome none = judge(more, alone);
    EXPECT_EQ(none.status, GateStatus::not_measured) << none.message;
    EXPECT_TRUE(has(none.message, "no record of this run has a partner")) << none.message;
  }
  TestRun other_text = clean_run();
  other_text.prompts["p2"] = "Two!";
  const GateOutcome half = judge(other_text, ratio("readout.gap", baseline(), 0.9, 1.1, "median"));
  EXPECT_EQ(half.rows, 2);
  EXPECT_TRUE(has(half.message, "2 records of prompts that have other bytes")) << half.message;
}

TEST_F(GatePartners, NothingToCompareIsNeverAPass) {
  const auto with = [](const std::string& key, const std::string& value) {
    TestRun run = clean_run();
    run.environment[key] = value;
    return run;
  };
  TestRun shape = clean_run();
  for (Json& record : shape.attempts[0].records["readout"]) record["vocab"] = 4096;
  TestRun one_kernel = arms(1);
  for (Json& record : one_kernel.attempts[1].records["attn_decode_verify"])
    record["kernel_hash"] = "00000000000000aa";
  TestRun unread = arms(1);
  for (TestAttempt& attempt : unread.attempts) {
    attempt.flags = {{{"name", kKernelAxis},
                      {"value", attempt.axes.at(kKernelAxis)},
                      {"source", "env"},
                      {"read", false}}};
  }
  TestRun one_arm = arms(1);
  one_arm.attempts.pop_back();
  TestRun elsewhere = with("cpu", "another");
  struct Case {
    const char* name;
    TestRun run;
    Gate gate;
    const char* words;
  };
  accept(clean_run());
  for (const Case& one :
       {Case{"no run", clean_run(), ratio("readout.gap", the_run("T9"), 0, 9),
             "no run or milestone"},
        Case{"recorded", clean_run(), ratio("readout.gap", the_run("T1@recorded"), 0, 9),
             "no recorded figures"},
        Case{"model", with("model.sha256", "bb22"), ratio("readout.gap", baseline(), 0, 9),
             "another model"},
        Case{"shape", shape, ratio("readout.gap", baseline(), 0, 9), "another shape: vocab"},
        Case{"zero rows", clean_run(), ratio("stage_trace.rms", baseline(), 0, 9),
             "no record of this run has a partner"},
        Case{"kernel", one_kernel, ratio("readout.gap", arm("manual"), 0, 9),
             "ran the same kernels"},
        Case{"unread", unread, ratio("readout.gap", arm("manual"), 0, 9), "nothing read"},
        Case{"one arm", one_arm, ratio("readout.gap", arm("manual"), 0, 9), "nothing to compare"},
        Case{"no such arm", arms(1), ratio("readout.gap", arm("manul"), 0, 9), "`manual`"},
        Case{"machine", elsewhere, ratio("cells.wall_s", baseline(), 0, 9), "another machine"}}) {
    SCOPED_TRACE(one.name);
    std::vector<Gate> gates = {one.gate, one.gate, within_floor("readout.gap", one.gate.partner)};
    gates[1].agg = "median";
    if (one.gate.kind == "stage_trace") gates[2] = within_floor("stage_trace.rms", baseline());
    if (one.gate.kind == "cells") gates.pop_back();
    for (const Gate& gate : gates) {
      const GateOutcome outcome = judge(one.run, gate);
      EXPECT_EQ(outcome.status, GateStatus::not_measured) << outcome.message;
      EXPECT_TRUE(has(outcome.message, one.words)) << outcome.message;
      EXPECT_EQ(outcome.rows, 0);
    }
  }
  EXPECT_EQ(
      judge(arms(1), ratio("readout.gap", Partner{Partner::What::arm, "", {{"X", "1"}}}, 0, 9))
          .status,
      GateStatus::error);
}

TEST_F(GatePartners, ARunIsNotItsOwnBaseline) {
  const Gate gates[] = {ratio("readout.gap", baseline(), 0, 9),
                        within_floor("readout.gap", baseline())};
  for (const Gate& gate : gates) {
    TestRun run = clean_run();
    run.milestone = "Own" + std::to_string(&gate - gates);
    const GateOutcome none = judge(run, gate);
    EXPECT_EQ(none.status, GateStatus::not_measured);
    EXPECT_TRUE(has(none.message, "there is no baseline")) << none.message;
    ASSERT_TRUE(store().accept(name_));
    const GateOutcome own = judge(gate);
    EXPECT_EQ(own.status, GateStatus::not_measured);
    EXPECT_TRUE(has(own.message, "the baseline is this run itself")) << own.message;
    Gate by_name = gate;
    by_name.partner = the_run(name_);
    EXPECT_TRUE(has(judge(by_name).message, "is this run itself"));
    // A baseline is that of its milestone.
    EXPECT_TRUE(has(judge(clean_run(), gate).message, "there is no baseline"));
  }
}

TEST_F(GatePartners, TheFirstBaselineThatHasTheFigureIsTaken) {
  TestRun without = clean_run(), with = scaled(2);
  without.milestone = "T0";
  without.attempts[0].records.erase("readout");
  with.milestone = "T00";
  add(without);
  add(with);
  const std::string second = name_;
  TestRun run = clean_run();
  run.baseline = {"T9", "T0", "T00"};
  const GateOutcome outcome = judge(run, ratio("readout.gap", baseline(), 0.4, 0.6));
  EXPECT_EQ(outcome.status, GateStatus::pass) << outcome.message;
  EXPECT_TRUE(has(outcome.limit, second)) << outcome.limit;
  EXPECT_EQ(query_scope(outcome, name_), "") << "two runs: no --run shows both";
  // Words for each that did not do.
  run.baseline = {"T9", "T0"};
  const GateOutcome none = judge(run, within_floor("readout.gap", baseline()));
  EXPECT_EQ(none.status, GateStatus::not_measured);
  EXPECT_TRUE(has(none.message, "no record of this run has a partner")) << none.message;
  EXPECT_TRUE(has(none.message, "`T9`")) << none.message;
}

TEST_F(GatePartners, RecordsFromTheCacheProveNothing) {
  accept(clean_run());
  const auto cells =
      store().query("SELECT identity, variant, prompt, repeat, bundle, request FROM cells", -1);
  ASSERT_TRUE(cells);
  RunStart start;
  start.milestone = "T1";
  start.title_json = start.resolved_json = "{}";
  const auto begun = store().begin_run(start);
  ASSERT_TRUE(begun);
  name_ = *begun;
  for (const auto& row : cells->rows) {
    CellRow cell;
    cell.identity = row[0].text;
    cell.variant = row[1].text;
    cell.variant_json = "{}";
    cell.prompt = row[2].text;
    cell.repeat = row[3].integer;
    cell.status = "ok";
    cell.bundle = row[4].text;
    cell.request = row[5].text;
    cell.cached = true;
    ASSERT_TRUE(store().add_cell(name_, cell));
  }
  for (const Gate& gate :
       {ratio("readout.gap", baseline(), 0.9, 1.1), within_floor("readout.gap", baseline()),
        ratio("cells.wall_s", baseline(), 0, 9, "median")}) {
    const GateOutcome outcome = judge(gate);
    EXPECT_EQ(outcome.status, GateStatus::not_measured) << outcome.message;
    EXPECT_TRUE(has(outcome.message, "taken from the cache")) << outcome.message;
    EXPECT_TRUE(has(outcome.message, "--force")) << outcome.message;
  }
}

TEST_F(GatePartners, HeadsThatTheOtherSideDoesNotKnowAreLeftOut) {
  TestRun layers = clean_run();
  auto& records = layers.attempts[0].records["attn_decode_verify"];
  std::vector<Json> kept;
  for (Json& record : records) {
    if (record["head"] != 0) continue;
    record.erase("head");
    kept.push_back(record);
  }
  records = kept;
  accept(layers);
  const Gate gate = ratio("attn_decode_verify.attn_out_min", baseline(), 0.9, 1.1);
  const GateOutcome outcome = judge(clean_run(), gate);
  EXPECT_EQ(outcome.status, GateStatus::pass) << outcome.message;
  EXPECT_EQ(outcome.rows, 4) << "two prompts, two layers";
}

TEST_F(GatePartners, TheReportAndJUnitGiveTheCommand) {
  accept(clean_run());
  const int64_t id = add(scaled(2));
  const auto outcomes =
      evaluate_gates(store(), name_, {ratio("readout.gap", baseline(), 0.9, 1.1), [] {
                                        Gate gate = within_floor("readout.gap", baseline());
                                        gate.id = "floor";
                                        return gate;
                                      }()});
  ASSERT_TRUE(outcomes);
  const std::string command = query_command("", outcomes->front().query);
  const auto junit = junit_report(store(), id);
  ASSERT_TRUE(junit);
  EXPECT_TRUE(has(*junit, "4 of 4 records do not hold; worst: gap")) << *junit;
  for (const Language language : {Language::en, Language::es, Language::both}) {
    const auto report = markdown_report(store(), id, language);
    ASSERT_TRUE(report);
    EXPECT_TRUE(has(*report, command)) << *report;
    EXPECT_TRUE(has(*report, "× " + baseline_)) << *report;
  }
  const auto kept = stored_gates(store(), id);
  ASSERT_TRUE(kept);
  EXPECT_EQ((*kept)[1].limit, (*outcomes)[1].limit);
  EXPECT_EQ((*kept)[1].query, (*outcomes)[1].query);
}

TEST_F(GatePartners, AFigureThatIsNoFiniteNumberIsWithinNoFloor) {
  for (const std::string bad : {"NaN", "Infinity"}) {
    TestRun both = clean_run();
    both.milestone = "T" + bad;
    both.attempts[0].records["readout"][1]["gap"] = bad;
    accept(both);
    const GateOutcome same = judge(both, within_floor("readout.gap", baseline()));
    EXPECT_EQ(same.status, GateStatus::fail) << same.message;
    EXPECT_EQ(same.failed, 1);
    EXPECT_TRUE(has(same.message, "gap = " + bad + " beside " + bad)) << same.message;
    EXPECT_TRUE(has(same.message, "which is no finite number")) << same.message;
    TestRun good = clean_run();
    good.milestone = both.milestone;
    const GateOutcome there = judge(good, within_floor("readout.gap", baseline()));
    EXPECT_EQ(there.failed, 1);
    EXPECT_TRUE(has(there.message, "no finite number there")) << there.message;
    // A text is what it says.
    TestRun text = both;
    text.attempts[0].records["readout"][1]["gap"] = 0.625;
    text.attempts[0].records["readout"][1]["top1_text"] = bad;
    accept(text);
    EXPECT_EQ(judge(text, within_floor("readout.top1_text", baseline())).status, GateStatus::pass);
  }
  // A repeat of the partner that is none makes no floor under which everything is.
  TestRun repeats = clean_run();
  repeats.attempts.push_back(clean_attempt({}, 1));
  repeats.attempts[1].records["readout"][0]["gap"] = "NaN";
  accept(repeats);
  const GateOutcome far = judge(scaled(2), within_floor("readout.gap", baseline()));
  EXPECT_EQ(far.failed, 4) << far.message;
}

TEST_F(GatePartners, ArmsThatShareNothingAreNamed) {
  TestRun other = clean_run();
  other.attempts[0].axes = {{kKernelAxis, "manual"}};
  accept(other);
  TestRun mine = clean_run();
  mine.attempts[0].axes = {{kKernelAxis, "fused"}};
  for (const Gate& gate :
       {ratio("readout.gap", baseline(), 0.9, 1.1), within_floor("readout.gap", baseline())}) {
    const GateOutcome outcome = judge(mine, gate);
    EXPECT_TRUE(has(outcome.message, std::string("no arm is the same in both: ") + kKernelAxis +
                                         "=fused is compared with " + kKernelAxis + "=manual"))
        << outcome.message;
    EXPECT_FALSE(has(judge(other, gate).message, "no arm is the same"));
  }
}

TEST_F(GatePartners, ASlipInBaselineIsPointedAt) {
  for (const auto& [name, hint] : {std::pair{"baselin", true}, std::pair{"elsewhere", false}}) {
    const GateOutcome outcome = judge(clean_run(), within_floor("readout.gap", the_run(name)));
    EXPECT_EQ(outcome.status, GateStatus::not_measured);
    EXPECT_EQ(has(outcome.message, "did you mean `baseline`?"), hint) << outcome.message;
  }
}

}  // namespace
}  // namespace greta::store
