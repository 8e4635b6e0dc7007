// greta query METRIC as a person calls it.

#include "commands/store_commands_fixture.h"

namespace greta::runner {
namespace {

class QueryMetric : public StoreCommands {
 protected:
  void SetUp() override {
    StoreCommands::SetUp();
    const auto line = [](int step, double gap) {
      return SortedJson({{"phase", "decode" + std::to_string(step)}, {"step", step}, {"gap", gap}})
                 .dump() +
             "\n";
    };
    first_ = run_with("B3.20", "2026-02-03T10:00:00.000Z", line(0, 1.5) + line(1, 2.5));
    second_ = run_with("B3.21", "2026-02-04T10:00:00.000Z", line(0, 3.5));
  }
  std::string first_, second_;
};

TEST_F(QueryMetric, PeopleSeeWhatVaries) {
  const Answer one = greta({"query", "gap", "--milestone", "B3.21"});
  EXPECT_EQ(one.exit_code, 0) << one.err;
  const std::string rule = std::string(second_.size() * 3, ' ');
  EXPECT_EQ(one.out.substr(0, 30).substr(0, 3), "run") << one.out;
  EXPECT_NE(one.out.find(second_ + "  B3.21      3.5\n"), std::string::npos) << one.out;
  EXPECT_NE(one.err.find("phase decode0, step 0"), std::string::npos) << one.err;
  const Answer all = greta({"query", "readout.gap", "--milestone", "B3.2*", "--step", "0-1"});
  EXPECT_NE(all.out.find("milestone  phase    step  gap"), std::string::npos) << all.out;
  EXPECT_EQ(all.err.find("phase"), std::string::npos) << all.err;
}

TEST_F(QueryMetric, ProgramsSeeAllColumns) {
  const Answer csv = greta({"query", "gap", "--prompt", "p4_sys", "--step", "1", "--csv"});
  EXPECT_EQ(csv.out.substr(0, csv.out.find('\n')),
            "run,run_id,milestone,started_at,provenance,commit,variant,prompt,repeat,phase,step,"
            "gap,record");
  const SortedJson json = SortedJson::parse(greta({"query", "gap", "--step", "1", "--json"}).out);
  ASSERT_EQ(json.size(), 1U);
  EXPECT_EQ(json[0]["gap"], 2.5);
  EXPECT_EQ(json[0]["run"], first_);
  const Answer agg = greta(
      {"query", "gap", "--agg", "mean", "--by", "milestone,prompt", "--order", "worst", "--md"});
  EXPECT_EQ(agg.out,
            "| milestone | prompt | mean(gap) | records |\n| --- | --- | --- | --- |\n"
            "| B3.21 | p4_sys | 3.5 | 1 |\n| B3.20 | p4_sys | 2 | 2 |\n");
}

// No figure without its query: what --show-sql prints gives the same rows.
TEST_F(QueryMetric, ItsSqlIsAcceptedAgain) {
  const std::vector<std::vector<std::string>> questions = {
      {"gap"},
      {"gap", "--milestone", "B3.2*", "--prompt", "p4_sys,p5_ba", "--step", "0-3", "--order",
       "best"},
      {"gap", "--where", "gap > 2 -- large ones"},
      {"gap", "--agg", "median", "--by", "day"},
      {"gap", "--agg", "last", "--run", first_},
      {"cells.wall_s", "--axis", "GRETA_X=1"},
      {"attn_out_mae"}};
  for (const auto& question : questions) {
    std::vector<std::string> words = {"query"};
    words.insert(words.end(), question.begin(), question.end());
    words.push_back("--csv");
    const Answer answer = greta(words);
    words.push_back("--show-sql");
    const Answer sql = greta(words);
    EXPECT_EQ(sql.exit_code, 0) << sql.err;
    const Answer again = greta({"query", sql.out, "--csv"});
    EXPECT_EQ(again.exit_code, 0) << again.err;
    EXPECT_EQ(again.out, answer.out) << sql.out;
  }
}

TEST_F(QueryMetric, LongTablesSayThatThereIsMore) {
  std::string lines;
  for (int i = 0; i < 300; ++i)
    lines += "{\"phase\":\"decode0\",\"gap\":" + std::to_string(i) + "}\n";
  run_with("B4", "2026-02-05T10:00:00.000Z", lines);
  const auto rows = [](const Answer& answer) {
    return std::count(answer.out.begin(), answer.out.end(), '\n') - 2;
  };
  const Answer usual = greta({"query", "gap"});
  EXPECT_EQ(rows(usual), 200);
  EXPECT_NE(usual.err.find("there are more"), std::string::npos) << usual.err;
  EXPECT_EQ(rows(greta({"query", "gap", "--limit", "0"})), 303);
  EXPECT_EQ(rows(greta({"query", "gap", "--limit", "7"})), 7);
  EXPECT_EQ(rows(greta({"query", "gap", "--csv"})), 302) << "a header of one line, and all rows";
}

TEST_F(QueryMetric, RecordedMilestonesComeInOnDemand) {
  const Answer before = greta({"query", "attn_out_mae", "--milestone", "B3.21"});
  EXPECT_EQ(before.exit_code, 3) << before.out;
  const Answer one = greta({"query", "attn_decode_verify.attn_out_mae", "--milestone",
                            "B3.21@recorded", "--prompt", "p4_sys", "--layer", "31", "--csv"});
  EXPECT_EQ(one.exit_code, 0) << one.err;
  EXPECT_NE(one.out.find(",0.0419899,"), std::string::npos) << one.out;
  EXPECT_EQ(greta({"query", "attn_out_mae", "--milestone", "B3.2[0-9]@recorded"}).exit_code, 0);
  EXPECT_EQ(greta({"query", "gap", "--run", "B3.21@recorded"}).exit_code, 0);
  const Answer unknown = greta({"query", "gap", "--milestone", "B9.99@recorded"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_NE(unknown.err.find("no recorded figures of milestone `B9.99`"), std::string::npos)
      << unknown.err;
}

TEST_F(QueryMetric, MistakesAndNothingFound) {
  struct Case {
    std::vector<std::string> words;
    int exit_code;
    const char* says;
  };
  const Case cases[] = {
      {{"query", "gpa"}, 2, "no record kind has a field `gpa` (did you mean `gap`?)"},
      {{"query", "gap", "--run", "B3.12"}, 2, "did you mean `B3.21`?"},
      {{"query", "gap", "--step", "x"}, 2, "`x` is no step"},
      {{"query", "gap", "--axis", "GRETA_X"}, 2, "AXIS=VALUE"},
      {{"query", "gap", "--order", "wrost"}, 2, "did you mean `worst`?"},
      {{"query", "gap", "--where", "gpa > 1"}, 2, "--where:1:1: no such column: gpa"},
      {{"query", "gap", "--layer", "1"}, 2, "have no `layer`"},
      {{"query", "SELECT 1", "--layer", "1"}, 2, "--layer goes with a METRIC"},
      {{"query", "SELECT 1", "--run", first_, "--run", second_}, 2, "WHERE run IN"},
      {{"query", "gap", "--step", "7"}, 3, "no step 7: there is step 0–1"},
      {{"query", "gap", "--prompt", "p4_syz"}, 3, "did you mean `p4_sys`?"},
      {{"query", "gap", "--step", "7", "--json"}, 3, "no step 7"},
      {{"query", "gap", "--json", "--csv"}, 2, "--json excludes --csv"},
      {{"query", "SELECT 1", "--json", "--md"}, 2, "--json excludes --md"},
      {{"query", "gap", "--limit", "-1"}, 2, "`-1` is no whole number, 0 or more"},
      {{"query", "gap", "--limit", "two"}, 2, "`two` is no whole number"},
      {{"query", "gap", "--where", "1=1) OR (1=1"}, 2, "--where:1:4: near \")\""},
      {{"query", "gap", "--prompt", "p4_sys,"}, 2, "an empty name in `p4_sys,`"},
      {{"query", "gap", "--milestone", "B3.20,,B3.21"}, 2, "an empty name in `B3.20,,B3.21`"},
  };
  for (const auto& [words, exit_code, says] : cases) {
    const Answer answer = greta(words);
    EXPECT_EQ(answer.exit_code, exit_code) << says;
    EXPECT_NE(answer.err.find(says), std::string::npos) << answer.err;
  }
}

// What a shell makes of a variable that is not set would ask for everything.
TEST_F(QueryMetric, AnEmptyFilterIsRefused) {
  for (const char* option :
       {"--milestone", "--provenance", "--commit", "--variant", "--axis", "--prompt", "--repeat",
        "--phase", "--layer", "--head", "--step", "--where", "--agg", "--run"}) {
    for (const char* command : {"query", "history"}) {
      const Answer answer = greta({command, "gap", option, ""});
      EXPECT_EQ(answer.exit_code, 2) << command << option << answer.out;
      EXPECT_EQ(answer.out, "") << command << option;
      EXPECT_NE(answer.err.find("empty"), std::string::npos) << answer.err;
    }
  }
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"query", "gap", "--by", ""},
                                             {"query", "gap", "--order", ""},
                                             {"query", ""},
                                             {"history", "gap", "--by", ""},
                                             {"history", "gap", "--svg", ""},
                                             {"list", "--milestone", ""},
                                             {"list", "--status", ""},
                                             {"list", "--provenance", ""},
                                             {"list", "--commit", ""},
                                             {"gc", "--older-than", "1", "--milestone", ""}}) {
    const Answer answer = greta(words);
    EXPECT_EQ(answer.exit_code, 2) << words[1] << answer.out;
    EXPECT_EQ(answer.out, "") << words[1];
  }
  EXPECT_EQ(greta({"history", "gap", "--series", ""}).exit_code, 0) << "nothing tells them apart";
}

TEST_F(QueryMetric, NotesStandBesideTheAnswer) {
  run_with("B3.22", "2026-02-05T10:00:00.000Z",
           "{\"phase\":\"decode0\",\"gap\":\"1.5\"}\n{\"phase\":\"decode0\",\"gap\":4.5}\n");
  const std::string note = "note: 1 record of readout holds gap otherwise: gap__text\n";
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"query", "gap", "--milestone", "B3.22", "--csv"},
                                             {"query", "gap", "--agg", "max"},
                                             {"history", "gap", "--json"}}) {
    const Answer answer = greta(words);
    EXPECT_EQ(answer.exit_code, 0) << answer.err;
    EXPECT_NE(answer.err.find(note), std::string::npos) << answer.err;
    EXPECT_EQ(answer.out.find("note"), std::string::npos) << answer.out;
  }
  EXPECT_EQ(greta({"query", "gap", "--milestone", "B3.21"}).err.find("note"), std::string::npos);
}

// A table is an answer without a row, too; a figure that nobody has is none.
TEST_F(QueryMetric, NoRowsOfSqlAreAnAnswer) {
  const Answer sql = greta({"query", "SELECT run FROM runs WHERE 0", "--csv"});
  EXPECT_EQ(sql.exit_code, 0) << sql.err;
  EXPECT_EQ(sql.out, "run\n");
  EXPECT_EQ(greta({"list", "--milestone", "B9"}).exit_code, 0);
  EXPECT_EQ(greta({"query", "gap", "--milestone", "B9"}).exit_code, 3);
}

}  // namespace
}  // namespace greta::runner
