#include <algorithm>
#include <functional>

#include "gates/compare_fixture.h"
#include "store/diff.h"
#include "store/gates.h"

namespace greta::store {
namespace {

class Lints : public RunFixture {
 protected:
  std::vector<Lint> find(const TestRun& run) {
    const int64_t id = add(run);
    auto found = lints(store(), id);
    EXPECT_TRUE(found) << found.error().str();
    if (!found) return {};
    for (const Lint& lint : *found) {
      EXPECT_FALSE(lint.message.empty());
      EXPECT_FALSE(lint.message_es.empty());
      EXPECT_NE(lint.message, lint.message_es);
      const auto rows = store().query(lint.query, id);
      EXPECT_TRUE(rows && !rows->rows.empty()) << lint.id << ": " << lint.query;
    }
    return *found;
  }
};

TestRun two_arms() {
  TestRun run;
  run.attempts = {clean_attempt({{kKernelAxis, "manual"}}),
                  clean_attempt({{kKernelAxis, "fused"}})};
  for (Json& record : run.attempts[1].records["attn_decode_verify"]) {
    record["kernel_hash"] = "00000000000000bb";
  }
  return run;
}

std::vector<std::string> ids(const std::vector<Lint>& found) {
  std::vector<std::string> out;
  for (const Lint& lint : found) out.push_back(lint.id);
  return out;
}

TEST_F(Lints, CleanRunsHaveNone) {
  for (const TestRun& run : {clean_run(), two_arms()}) {
    const auto found = find(run);
    EXPECT_TRUE(found.empty()) << found[0].id << ": " << found[0].message;
  }
}

struct Fault {
  const char* lint;     // what must be found, and nothing else
  const char* message;  // a part of it
  std::function<void(TestRun&)> plant;
};

std::vector<Json>& verify_of(TestRun& run, size_t attempt = 0) {
  return run.attempts[attempt].records["attn_decode_verify"];
}

const std::vector<Fault>& faults() {
  static const std::vector<Fault> kFaults = {
      {"arms_same_kernel", "manual / fused launched the same kernels (00000000000000aa)",
       [](TestRun& run) {
         for (Json& record : verify_of(run, 1)) record["kernel_hash"] = "00000000000000aa";
       }},
      {"constant_across_prompts", "gap of decode0 is 0.625 for different prompts (p1,p2)",
       [](TestRun& run) { run.attempts[0].records["readout"][3]["gap"] = 0.625; }},
      {"hash_equal_across_prompts", "readout.logits_hash is the same for different prompts (p1,p2)",
       [](TestRun& run) {
         auto& records = run.attempts[0].records["readout"];
         records[3]["logits_hash"] = records[1]["logits_hash"];
       }},
      {"hash_equal_across_layers", "attn_decode_verify.attn_out_hash is the same in layers 0,1",
       [](TestRun& run) {
         verify_of(run)[2]["attn_out_hash"] = verify_of(run)[0]["attn_out_hash"];
       }},
      {"repeats_differ", "repeats are not bitwise equal: readout.logits_hash",
       [](TestRun& run) {
         TestAttempt again = run.attempts[0];
         again.repeat = 1;
         again.records["readout"][0]["logits_hash"] = "00000000000000ff";
         run.attempts.push_back(again);
       }},
      {"difference_exactly_zero", "mfma_vs_valu.attn_out_mae is exactly 0 in all 2 records",
       [](TestRun& run) {
         for (TestAttempt& attempt : run.attempts) {
           attempt.records["mfma_vs_valu"] = {
               {{"request", "p1"}, {"phase", "decode0"}, {"layer", 0}, {"attn_out_mae", 0}}};
         }
       }},
      {"error_jump", "attn_out_mae grows 1e+06 times between layers 0 → 1",
       [](TestRun& run) {
         for (Json& record : verify_of(run)) {
           if (record["layer"] == 1) record["attn_out_mae"] = 1e6 * 0x1p-22;
           record["kv_invariant_ok"] = false;
         }
       }},
      {"invariants_blind", "kv_invariant_ok is true in all 16 records although rel_l2",
       [](TestRun& run) { verify_of(run)[5]["rel_l2"] = 1.0; }},
      {"readout_wrong_row", "took row 0 where the last position is row 45",
       [](TestRun& run) { run.attempts[0].records["readout"][0]["expected_last_index"] = 45; }},
      {"misaligned", "1 buffers",
       [](TestRun& run) {
         for (TestAttempt& attempt : run.attempts) {
           attempt.records["attn_align"] = {
               {{"request", "p1"}, {"layer", 0}, {"tensor", "q"}, {"violations", 0}},
               {{"request", "p1"}, {"layer", 1}, {"tensor", "q"}, {"violations", 0}}};
         }
         run.attempts[1].records["attn_align"][1]["violations"] = 2;
       }},
      {"kind_missing_in_variant", "without any readout record",
       [](TestRun& run) { run.attempts[1].records.erase("readout"); }},
      {"flag_not_read", "GRETA_NEW=1 was set and nothing read it",
       [](TestRun& run) {
         for (TestAttempt& attempt : run.attempts) {
           attempt.flags = {
               {{"name", "GRETA_NEW"}, {"value", "1"}, {"source", "env"}, {"read", false}},
               {{"name", "GRETA_OLD"}, {"value", "0"}, {"source", "default"}, {"read", false}},
               {{"name", "GRETA_USED"}, {"value", "1"}, {"source", "env"}, {"read", true}}};
         }
       }},
  };
  return kFaults;
}

class LintFaults : public Lints, public testing::WithParamInterface<size_t> {};
TEST_P(LintFaults, AreFoundAlone) {
  const Fault& fault = faults()[GetParam()];
  TestRun run = two_arms();
  fault.plant(run);
  const auto found = find(run);
  ASSERT_EQ(ids(found), std::vector<std::string>{fault.lint});
  EXPECT_NE(found[0].message.find(fault.message), std::string::npos) << found[0].message;
}
INSTANTIATE_TEST_SUITE_P(Each, LintFaults, testing::Range<size_t>(0, 12),
                         [](const auto& test) { return faults()[test.param].lint; });
TEST(LintFaultTable, IsTestedWhole) { EXPECT_EQ(faults().size(), 12u); }

// An equal token alone is ordinary; beside an equal gap it says the same once more.
TEST_F(Lints, AnEqualTokenIsSaidBesideAnEqualGap) {
  TestRun run = clean_run();
  auto& records = run.attempts[0].records["readout"];
  records[3]["gap"] = records[1]["gap"];
  const auto same = find(run);
  ASSERT_EQ(ids(same), std::vector<std::string>{"constant_across_prompts"});
  EXPECT_NE(same[0].message.find("(p1,p2), top1_id 8 as well: the answer"), std::string::npos)
      << same[0].message;
  records[3]["top1_id"] = 9;
  EXPECT_TRUE(find(run).empty()) << "a short figure may well be equal by chance";
  records[1]["gap"] = records[3]["gap"] = 1.34019;
  const auto other = find(run);
  ASSERT_EQ(ids(other), std::vector<std::string>{"constant_across_prompts"});
  EXPECT_NE(other[0].message.find("(p1,p2): to the last digit, for different answers"),
            std::string::npos)
      << other[0].message;
  records[1]["gap"] = records[3]["gap"] = "NaN";
  EXPECT_TRUE(find(run).empty()) << "NaN is no figure that two prompts share";
}

TEST_F(Lints, DecodeMayNotStayAtOneToken) {
  const auto steps = [](int64_t count, int last) {
    TestRun run = clean_run();
    auto& records = run.attempts[0].records;
    records.clear();
    double gap = 0.125;
    for (const std::string prompt : {"p1", "p2"}) {
      for (int64_t step = 0; step <= count; ++step) {
        Json record = readout(prompt, step, gap += 0.25);
        record["top1_id"] = step == 0 ? 127158 : 96965;
        records["readout"].push_back(record);
      }
    }
    records["readout"].back()["top1_id"] = last;
    return run;
  };
  const auto found = find(steps(8, 96965));
  ASSERT_EQ(ids(found), std::vector<std::string>{"decode_collapsed"});
  EXPECT_NE(found[0].message.find("96965 in all 8 decode steps of all 2 prompts (p1,p2)"),
            std::string::npos)
      << found[0].message;
  EXPECT_TRUE(find(steps(8, 7)).empty());
  EXPECT_TRUE(find(steps(3, 96965)).empty()) << "few steps may be alike";
}

// Lines of GRETA name their prompt, which nobody described as a key.
TEST_F(Lints, ThePromptsOfTheLinesDoNotKeepThemApart) {
  TestRun run = clean_run();
  auto& records = run.attempts[0].records["readout"];
  for (Json& record : records) record["prompt_id"] = record["request"];
  records[3]["logits_hash"] = records[1]["logits_hash"];
  EXPECT_EQ(ids(find(run)), std::vector<std::string>{"hash_equal_across_prompts"});
}

TEST_F(Lints, DecodeMayNotAnswerOneTokenToEveryPrompt) {
  const auto prompts = [](const std::vector<int>& prefill, const std::vector<int>& decode) {
    TestRun run = clean_run();
    run.prompts.clear();
    auto& records = run.attempts[0].records;
    records.clear();
    for (size_t i = 0; i < prefill.size(); ++i) {
      const std::string id = "p" + std::to_string(i);
      run.prompts[id] = id;
      for (int64_t step = 0; step < 2; ++step) {
        Json record =
            readout(id, step, 0.5 * static_cast<double>(i) + 0.25 * static_cast<double>(step + 1));
        record["top1_id"] = step == 0 ? prefill[i] : decode[i];
        records["readout"].push_back(record);
      }
    }
    return run;
  };
  const auto found = find(prompts({1, 2, 1}, {96965, 96965, 96965}));
  ASSERT_EQ(ids(found), std::vector<std::string>{"decode_collapsed"});
  EXPECT_NE(found[0].message.find("top1_id of decode0 is 96965 for all 3 prompts (p0,p1,p2)"),
            std::string::npos)
      << found[0].message;
  EXPECT_TRUE(find(prompts({1, 1, 1}, {5, 5, 5})).empty()) << "no other than their prefill";
  EXPECT_TRUE(find(prompts({1, 2, 1}, {5, 5, 6})).empty());
  EXPECT_TRUE(find(prompts({1, 2}, {5, 5})).empty()) << "two prompts may go on alike";
}

TEST_F(Lints, ArmsAreComparedByLaunchesWhereRecordsNameNoKernel) {
  TestRun run = two_arms();
  for (TestAttempt& attempt : run.attempts) {
    for (Json& record : attempt.records["attn_decode_verify"]) record.erase("kernel_hash");
    attempt.kernels = {{{"id", "attn.cpu"},
                        {"op", "attn"},
                        {"variant", "avx2"},
                        {"code_hash", "00000000000000cc"},
                        {"launches", 4}}};
  }
  EXPECT_EQ(ids(find(run)), std::vector<std::string>{"arms_same_kernel"});
  run.attempts[1].kernels[0]["code_hash"] = "00000000000000dd";
  EXPECT_TRUE(find(run).empty());
}

TEST_F(Lints, AShadowOfItselfIsFound) {
  TestRun run = clean_run();
  Json record = {{"request", "p1"},      {"phase", "decode0"},       {"layer", 0},
                 {"attn_out_mae", 1e-9}, {"mfma_kernel_hash", "aa"}, {"valu_kernel_hash", "bb"}};
  run.attempts[0].records["mfma_vs_valu"] = {record};
  EXPECT_TRUE(find(run).empty());
  record["valu_kernel_hash"] = "aa";
  run.attempts[0].records["mfma_vs_valu"] = {record};
  EXPECT_EQ(ids(find(run)), std::vector<std::string>{"arms_same_kernel"});
}

TEST_F(Lints, EqualPromptsMayHaveEqualResults) {
  TestRun run = clean_run();
  run.prompts["p2"] = run.prompts["p1"];
  auto& records = run.attempts[0].records["readout"];
  records[2]["gap"] = records[0]["gap"];
  records[2]["logits_hash"] = records[0]["logits_hash"];
  EXPECT_TRUE(find(run).empty());
}

TEST_F(Lints, WhatOneTokenGivesInLayer0MayBeEqual) {
  TestRun run = clean_run();
  for (const std::string prompt : {"p1", "p2"}) {
    for (const std::string point : {"embed_out", "attn_out"}) {
      run.attempts[0].records["stage_trace"].push_back(
          {{"request", prompt},
           {"phase", "decode0"},
           {"step", 1},
           {"point", point},
           {"layer", point == "embed_out" ? -1 : 0},
           {"hash", point == "embed_out" ? "00000000000000e0" : prompt}});
    }
  }
  for (const std::string prompt : {"p1", "p2"}) {
    for (const std::string point :
         {"x_in", "attn_norm", "q_pre", "k_pre", "v_pre", "q", "k", "v"}) {
      run.attempts[0].records["stage_trace"].push_back({{"request", prompt},
                                                        {"phase", "decode0"},
                                                        {"step", 1},
                                                        {"point", point},
                                                        {"layer", 0},
                                                        {"hash", "00000000000000" + point}});
    }
  }
  EXPECT_TRUE(find(run).empty());  // the token is not recorded: it may be the same …
  auto& readouts = run.attempts[0].records["readout"];
  for (Json& record : readouts) record["token_id"] = 7;
  EXPECT_TRUE(find(run).empty());  // … and here it is.
  TestRun other = run;
  other.attempts[0].records["readout"][3]["token_id"] = 8;
  EXPECT_EQ(ids(find(other)), std::vector<std::string>{"hash_equal_across_prompts"});
  // Another layer has seen the whole prompt.
  TestRun deep = run;
  for (Json& record : deep.attempts[0].records["stage_trace"])
    if (record["point"] == "k_pre") record["layer"] = 1;
  EXPECT_EQ(ids(find(deep)), std::vector<std::string>{"hash_equal_across_prompts"});
  run.attempts[0].records["stage_trace"][3]["hash"] = "p1";
  EXPECT_EQ(ids(find(run)), std::vector<std::string>{"hash_equal_across_prompts"});
}

TEST_F(Lints, RepeatsMayDifferInFastNumerics) {
  TestRun run = clean_run();
  run.environment["numerics"] = "fast";
  run.attempts.push_back(clean_attempt({}, 1));
  run.attempts[1].records["readout"][0]["logits_hash"] = "00000000000000ff";
  EXPECT_TRUE(find(run).empty());
}

TEST_F(Lints, AGateThatMeasuredNothingIsFound) {
  const int64_t id = add(clean_run());
  Gate gate;
  gate.id = "empty";
  gate.form = Gate::Form::sql;
  gate.sql = "SELECT 1 WHERE 0";
  ASSERT_TRUE(evaluate_gates(store(), name_, {gate}));
  const auto found = lints(store(), id);
  ASSERT_TRUE(found) << found.error().str();
  EXPECT_EQ(ids(*found), std::vector<std::string>{"gate_measured_nothing"});
}

}  // namespace
}  // namespace greta::store
