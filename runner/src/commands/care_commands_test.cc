// greta check, rebuild and gc as a person calls them.

#include "commands/store_commands_fixture.h"

namespace greta::runner {
namespace {

using CareCommands = StoreCommands;

TEST_F(CareCommands, CheckFindsWhatIsNotAsItWasAndRebuildMakesANewStore) {
  const std::string run = executed_run();
  const Answer sound = greta({"check"});
  EXPECT_EQ(sound.exit_code, 0) << sound.out << sound.err;
  EXPECT_NE(sound.out.find("1 runs, 1 bundles"), std::string::npos) << sound.out;
  EXPECT_NE(sound.out.find("1 records: sound"), std::string::npos) << sound.out;

  // A sealed folder beside the store whose bytes have changed.
  const std::string bundle =
      SortedJson::parse(greta({"query", "SELECT bundle FROM bundles", "--json"}).out)[0]["bundle"];
  const fs::path folder = root_ / "store.sqlite.files/bundles" / bundle.substr(0, 2) / bundle;
  fs::create_directories(folder.parent_path());
  fs::copy(root_ / "b", folder, fs::copy_options::recursive);
  EXPECT_EQ(SortedJson::parse(greta({"check", "--json"}).out)["folders"], 1);
  write(folder / "out/readout.jsonl", "{\"phase\":\"decode0\",\"top1_id\":8}\n");
  const Answer damaged = greta({"check"});
  EXPECT_EQ(damaged.exit_code, 4);
  EXPECT_NE(damaged.out.find("out/readout.jsonl: does not have the hash of its manifest"),
            std::string::npos)
      << damaged.out;

  const std::string copy = (root_ / "copy.sqlite").string();
  const Answer rebuilt = greta({"rebuild", "--into", copy});
  EXPECT_EQ(rebuilt.exit_code, 0) << rebuilt.out << rebuilt.err;
  EXPECT_EQ(greta({"rebuild", "--into", copy}).exit_code, 2);  // never over another file
  auto opened = store::Store::open(copy, store::Access::read_only);
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->list()->at(0).run, run);
}

TEST_F(CareCommands, GcRemovesWhatItIsToldTo) {
  std::vector<std::string> runs;
  for (int i = 0; i < 4; ++i)
    runs.push_back(run_with("B3.21", "2026-02-0" + std::to_string(i + 1) + "T10:00:00.000Z",
                            "{\"top1_id\":" + std::to_string(i) + "}\n"));
  ASSERT_EQ(greta({"accept", runs[0]}).exit_code, 0);
  const auto left = [&] {
    std::string out;
    const auto list = SortedJson::parse(greta({"list", "--json"}).out);
    for (const auto& run : list)
      out += std::to_string(std::find(runs.begin(), runs.end(), run["run"]) - runs.begin());
    return out;
  };
  struct Case {
    std::vector<std::string> words;
    int exit_code;
    const char *said, *left;
  };
  const Case cases[] = {
      {{"gc"}, 0, "removed 0 runs", "3210"},
      {{"gc", "--keep-last", "1", "--dry-run"}, 0, "would remove 2 runs, 2 bundles", "3210"},
      {{"gc", runs[0]}, 2, "is the accepted run of B3.21", "3210"},
      {{"gc", "B3.21"}, 2, "names no run but a milestone", "3210"},
      {{"gc", "--older-than", "100000"}, 0, "removed 0 runs", "3210"},
      {{"gc", "--older-than", "0", "--milestone", "C*"}, 0, "removed 0 runs", "3210"},
      {{"gc", "--probes"}, 0, "removed 0 runs", "3210"},
      {{"gc", runs[3]}, 0, "removed 1 runs, 1 bundles", "210"},
      {{"gc", "--keep-last", "1", "--older-than", "0"}, 0, "removed 1 runs", "20"},
  };
  for (const Case& test : cases) {
    const Answer answer = greta(test.words);
    EXPECT_EQ(answer.exit_code, test.exit_code) << test.said << answer.err;
    EXPECT_NE((answer.out + answer.err).find(test.said), std::string::npos)
        << answer.out << answer.err;
    EXPECT_EQ(left(), test.left) << test.said;
  }
  EXPECT_EQ(greta({"check"}).exit_code, 0);
}

}  // namespace
}  // namespace greta::runner
