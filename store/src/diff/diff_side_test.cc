#include "diff/diff_side.h"

#include <nlohmann/json.hpp>

#include "gates/compare_fixture.h"

namespace greta::store {
namespace {

TEST(ParseSide, ARunAndItsArms) {
  using Arms = std::map<std::string, std::string>;
  const struct {
    const char* selector;
    const char* run;
    Arms arms;
  } cases[] = {
      {"B3.21", "B3.21", {}},
      {"B3.21@recorded", "B3.21@recorded", {}},
      {"r#engine=llama.cpp", "r", {{"engine", "llama.cpp"}}},
      {"r#engine=a,decode.threads=2", "r", {{"engine", "a"}, {"decode.threads", "2"}}},
      {"r#GRETA_TRACE_LAYERS=0,1,engine=a", "r", {{"GRETA_TRACE_LAYERS", "0,1"}, {"engine", "a"}}},
      {"r#X=", "r", {{"X", ""}}},
      {"r#X=a=b", "r", {{"X", "a=b"}}},
  };
  for (const auto& c : cases) {
    const auto side = parse_side(c.selector);
    ASSERT_TRUE(side) << c.selector << ": " << side.error().str();
    EXPECT_EQ(side->run, c.run) << c.selector;
    EXPECT_EQ(side->arms, c.arms) << c.selector;
  }
}

TEST(ParseSide, MistakesAreNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {"r#", "AXIS=VALUE is wanted after the #, got ``"},
      {"r#engine", "got `engine`"},
      {"r#=x", "got `=x`"},
      {"r#X=a,=b", "got `=b`"},
      {"r#X=a,X=b", "chooses a value of `X` twice"},
  };
  for (const auto& [selector, message] : cases) {
    const auto side = parse_side(selector);
    ASSERT_FALSE(side) << selector;
    EXPECT_NE(side.error().str().find(message), std::string::npos) << side.error().str();
    EXPECT_EQ(side.error().exit_code, 2);
  }
}

class DiffArms : public RunFixture {
 protected:
  // engine × threads; the engines agree but for what `change` does to the second one's.
  TestRun two_engines(const std::function<void(TestAttempt&)>& change = {}) {
    TestRun run;
    for (const std::string engine : {"ours", "theirs"}) {
      for (const std::string threads : {"1", "2"}) {
        TestAttempt attempt = clean_attempt({{"engine", engine}, {"threads", threads}});
        if (engine == "theirs" && change) change(attempt);
        run.attempts.push_back(attempt);
      }
    }
    return run;
  }
  Diff compare(const Side& a, const Side& b) {
    auto found = diff(store(), a, b);
    EXPECT_TRUE(found) << found.error().str();
    return found ? *found : Diff{};
  }
};

TEST_F(DiffArms, ArmsArePairedByTheAxesThatNobodyChose) {
  const int64_t run = add(two_engines());
  const Diff found = compare({{run}, {{"engine", "ours"}}}, {{run}, {{"engine", "theirs"}}});
  EXPECT_EQ(found.verdict, Verdict::identical) << found.reason;
  ASSERT_EQ(found.variants.size(), 2U);
  for (const VariantPair& pair : found.variants) {
    EXPECT_TRUE(pair.same) << pair.note;
    const std::string threads = pair.a.substr(pair.a.find("threads"));
    EXPECT_EQ(pair.a, "engine=ours," + threads);
    EXPECT_EQ(pair.b, "engine=theirs," + threads);
    EXPECT_EQ(pair.label, threads);
  }
  EXPECT_EQ(found.only_a + found.only_b, 0);
  EXPECT_EQ(found.a.cells, 4);  // of 8: two prompts, two threads
  const std::string text = to_markdown(found, 20);
  EXPECT_NE(text.find("**engine=ours**"), std::string::npos) << text;
  EXPECT_NE(text.find("**engine=theirs**"), std::string::npos) << text;
  const auto json = Json::parse(to_json(found));
  EXPECT_EQ(json["a"]["arms"]["engine"], "ours");
  EXPECT_EQ(json["b"]["arms"]["engine"], "theirs");
}

TEST_F(DiffArms, WhatDiffersIsOfTheChosenArmsAlone) {
  const int64_t run = add(two_engines([](TestAttempt& attempt) {
    attempt.records["readout"][1]["gap"] = 9.0;
    for (Json& record : attempt.records["readout"]) record["entropy"] = 1.0;
  }));
  const Side ours{{run}, {{"engine", "ours"}, {"threads", "1"}}};
  EXPECT_EQ(compare(ours, {{run}, {{"engine", "ours"}, {"threads", "2"}}}).verdict,
            Verdict::identical);
  const Diff found = compare(ours, {{run}, {{"engine", "theirs"}, {"threads", "1"}}});
  EXPECT_EQ(found.verdict, Verdict::diverged);
  EXPECT_EQ(found.diverged, 5);
  const auto json = Json::parse(to_json(found))["figures"];
  const auto tally = [&](const std::string& metric) {
    for (const auto& one : json)
      if (one["metric"] == metric) return one;
    return Json();
  };
  EXPECT_EQ(tally("gap")["diverged"], 1);
  EXPECT_EQ(tally("gap")["identical"], 3);
  EXPECT_EQ(tally("gap")["largest_difference"], 9.0 - 0.625);
  EXPECT_EQ(tally("gap")["where"], "prompt=p1, phase=decode0");
  EXPECT_EQ(tally("entropy")["diverged"], 4);
  EXPECT_EQ(tally("top1_id")["identical"], 4);
  const std::string text = to_markdown(found, 20);
  EXPECT_NE(text.find("top1_id) is the same in all 4 records"), std::string::npos) << text;
  EXPECT_NE(text.find("Identical in every record"), std::string::npos) << text;
  EXPECT_NE(text.find("top1_id (4)"), std::string::npos) << text;
}

TEST_F(DiffArms, AnswersThatChangedAreSaidFirst) {
  const int64_t run =
      add(two_engines([](TestAttempt& attempt) { attempt.records["readout"][3]["top1_id"] = 99; }));
  const Diff found = compare({{run}, {{"engine", "ours"}, {"threads", "1"}}},
                             {{run}, {{"engine", "theirs"}, {"threads", "1"}}});
  const std::string text = to_markdown(found, 20);
  EXPECT_NE(text.find("top1_id) differs in 1 of 4 records"), std::string::npos) << text;
}

TEST_F(DiffArms, AnAxisOfOneSideChoosesAmongTheOthersArms) {
  const int64_t run = add(two_engines()), other = add(two_engines());
  const Diff whole = compare({{run}, {{"engine", "ours"}}}, {{other}, {}});
  EXPECT_EQ(whole.verdict, Verdict::identical);
  ASSERT_EQ(whole.variants.size(), 2U);
  for (const VariantPair& pair : whole.variants) EXPECT_EQ(pair.a, pair.b);
  EXPECT_EQ(whole.only_b, 2 * (4 + 8));  // theirs: readout and attn_decode_verify
  // A run without that axis has one arm, and it is the partner.
  const int64_t single = add(clean_run());
  const Diff found = compare({{run}, {{"engine", "ours"}, {"threads", "1"}}}, {{single}, {}});
  EXPECT_EQ(found.verdict, Verdict::identical) << found.reason;
  EXPECT_EQ(found.only_a + found.only_b, 0);
}

TEST_F(DiffArms, MistakesNameTheNearest) {
  const int64_t run = add(two_engines()), single = add(clean_run());
  const struct {
    Side side;
    const char* message;
  } cases[] = {
      {{{run}, {{"engin", "ours"}}}, "no axis `engin` (did you mean `engine`?); it has engine,"},
      {{{run}, {{"engine", "our"}}}, "engine=our (did you mean `ours`?); there are ours, theirs"},
      {{{run}, {{"threads", "3"}}}, "no variant with threads=3"},
      {{{single}, {{"engine", "ours"}}}, "has one variant"},
  };
  for (const auto& c : cases) {
    const auto found = diff(store(), c.side, Side{{run}, {}});
    ASSERT_FALSE(found) << c.message;
    EXPECT_NE(found.error().str().find(c.message), std::string::npos) << found.error().str();
    EXPECT_EQ(found.error().exit_code, 2);
  }
}

// Two programs promise no common order of sums, nor does one behind an adapter.
TEST_F(DiffArms, OtherEnginesHaveTheWiderFloor) {
  const struct {
    std::map<std::string, std::string> a, b;
    bool same_order;
  } cases[] = {
      {{}, {}, true},
      {{{"engine", "x"}}, {{"engine", "x"}}, true},
      {{{"engine", "x"}}, {{"engine", "y"}}, false},
      {{{"adapter", "greta"}}, {{"adapter", "greta"}}, true},
      {{{"adapter", "t"}}, {{"adapter", "t"}}, false},
  };
  for (const auto& c : cases) {
    TestRun a = clean_run(), b = clean_run();
    a.environment.insert(c.a.begin(), c.a.end());
    b.environment.insert(c.b.begin(), c.b.end());
    b.attempts[0].records["readout"][0]["logits_max"] = 12.25 * (1 + 16 * 0x1p-23);
    b.attempts[0].records["readout"][0]["logits_hash"] = "00000000000000ff";
    const Diff found = compare(Side{{add(a)}, {}}, Side{{add(b)}, {}});
    EXPECT_EQ(found.verdict, c.same_order ? Verdict::diverged : Verdict::within_floor)
        << found.reason;
  }
}

}  // namespace
}  // namespace greta::store
