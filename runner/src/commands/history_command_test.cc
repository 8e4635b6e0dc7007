// greta history METRIC as a person calls it.

#include <sstream>

#include "commands/store_commands_fixture.h"
#include "system/files.h"

namespace greta::runner {
namespace {

class HistoryCommand : public StoreCommands {
 protected:
  std::string day_run(int day, const std::string& gap, const std::string& milestone = "B3.21") {
    return run_with(milestone, "2026-03-0" + std::to_string(day) + "T10:00:00.000Z",
                    "{\"phase\":\"decode0\",\"gap\":" + gap + "}\n");
  }
  // The cells of a table for people, blanks at their ends removed, rows from the third line on.
  static std::vector<std::string> lines(const std::string& text) {
    std::vector<std::string> out;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) out.push_back(line);
    return out;
  }
};

TEST_F(HistoryCommand, TableChangesAndRecordedPoints) {
  day_run(1, "2");
  day_run(2, "2.5");
  day_run(3, "\"NaN\"");
  const Answer plain = greta({"history", "gap"});
  EXPECT_EQ(plain.exit_code, 0) << plain.err;
  const auto rows = lines(plain.out);
  ASSERT_EQ(rows.size(), 5U) << "no plot where output is no terminal: " << plain.out;
  EXPECT_TRUE(rows[0].starts_with("run ")) << rows[0];
  EXPECT_NE(rows[0].find("max  records  change"), std::string::npos) << rows[0];
  EXPECT_NE(rows[3].find("2026-03-02 10:00  c0ffee  2.5        1  +0.5 (+25 %)"), std::string::npos)
      << rows[3];
  EXPECT_NE(rows[4].find("NaN"), std::string::npos) << rows[4];
  EXPECT_NE(plain.err.find("all: prompt p4_sys, variant default"), std::string::npos) << plain.err;
  const Answer mixed =
      greta({"history", "readout.gap", "--milestone", "B3.21,B3.21@recorded", "--by", "milestone"});
  EXPECT_EQ(mixed.exit_code, 0) << mixed.err;
  EXPECT_NE(mixed.out.find("recorded"), std::string::npos) << mixed.out;
}

TEST_F(HistoryCommand, FormatsForPrograms) {
  day_run(1, "2");
  day_run(2, "2.5");
  const SortedJson json = SortedJson::parse(greta({"history", "gap", "--json"}).out);
  ASSERT_EQ(json.size(), 2U);
  EXPECT_EQ(json[1]["value"], 2.5);
  EXPECT_EQ(json[1]["change"], 0.5);
  EXPECT_EQ(json[1]["agg"], "max");
  EXPECT_EQ(json[0]["change"], nullptr);
  const std::string csv = greta({"history", "gap", "--csv"}).out;
  EXPECT_EQ(csv.substr(0, 25), "run,runs,milestone,starte");
  const std::string sql = greta({"history", "gap", "--show-sql"}).out;
  const Answer again = greta({"query", "SELECT \"max(gap)\" FROM (" + sql + ")", "--csv"});
  EXPECT_EQ(again.out, "max(gap)\n2\n2.5\n") << again.err;
}

TEST_F(HistoryCommand, PlotAndSvg) {
  for (int i = 1; i <= 5; ++i) day_run(i, std::to_string(i));
  const Answer plot = greta({"history", "gap", "--by", "day", "--plot"});
  EXPECT_EQ(plot.exit_code, 0) << plot.err;
  EXPECT_NE(plot.out.find("readout.gap (prompt p4_sys, variant default)\nmax\n"), std::string::npos)
      << plot.out;
  EXPECT_NE(plot.out.find("2026-03-01"), std::string::npos) << plot.out;
  EXPECT_EQ(plot.out.find('\x1b'), std::string::npos) << "no colour where it is no terminal";
  EXPECT_EQ(plot.out.find("┤"), std::string::npos) << "plain ASCII there";
  const std::string file = (root_ / "gap.svg").string();
  const Answer drawn = greta({"history", "gap", "--svg", file});
  EXPECT_EQ(drawn.exit_code, 0) << drawn.err;
  const auto svg = read_file(file);
  ASSERT_TRUE(svg);
  EXPECT_NE(svg->find("5 points of 1 series from 2026-03-01 to 2026-03-05, values from 1 to 5"),
            std::string::npos)
      << *svg;
  const Answer nowhere = greta({"history", "gap", "--svg", (root_ / "none/gap.svg").string()});
  EXPECT_EQ(nowhere.exit_code, 4) << nowhere.err;
  EXPECT_NE(nowhere.err.find("cannot write " + (root_ / "none/gap.svg: ").string()),
            std::string::npos)
      << nowhere.err;
  EXPECT_EQ(nowhere.err.find(".part"), std::string::npos) << nowhere.err;
  EXPECT_EQ(nowhere.out, "");
}

TEST_F(HistoryCommand, OnlyTheNewestRunsUnlessAsked) {
  for (int i = 1; i <= 5; ++i) day_run(i, std::to_string(i));
  const Answer newest = greta({"history", "gap", "--limit", "2"});
  EXPECT_EQ(lines(newest.out).size(), 4U) << newest.out;
  EXPECT_NE(newest.err.find("the newest 2 runs that have it; older ones are left out"),
            std::string::npos)
      << newest.err;
  EXPECT_EQ(lines(greta({"history", "gap", "--limit", "0"}).out).size(), 7U);
}

TEST_F(HistoryCommand, Mistakes) {
  day_run(1, "2");
  struct Case {
    std::vector<std::string> words;
    int exit_code;
    const char* says;
  };
  const Case cases[] = {
      {{"history", "gpa"}, 2, "did you mean `gap`?"},
      {{"history", "gap", "--by", "comit"}, 2, "did you mean `commit`?"},
      {{"history", "gap", "--series", "promt"}, 2, "did you mean `prompt`?"},
      {{"history", "gap", "--json", "--plot"}, 2, "--svg FILE with any format"},
      {{"history", "phase", "--plot"}, 2, "nothing to plot"},
      {{"history", "gap", "--prompt", "p5"}, 3, "there is prompt p4_sys"},
      {{"history", "attn_out_mae"}, 3, "no record has it at all"},
  };
  for (const auto& [words, exit_code, says] : cases) {
    const Answer answer = greta(words);
    EXPECT_EQ(answer.exit_code, exit_code) << says << answer.out;
    EXPECT_NE(answer.err.find(says), std::string::npos) << answer.err;
  }
  EXPECT_EQ(greta({"history", "phase"}).exit_code, 0) << "texts have a table";
}

}  // namespace
}  // namespace greta::runner
