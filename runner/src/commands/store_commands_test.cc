// greta list, show, query, import, accept as a person calls them.

#include "commands/store_commands_fixture.h"

namespace greta::runner {
namespace {

TEST_F(StoreCommands, WithoutAStoreTheySayHowToMakeOne) {
  for (const auto& words : std::vector<std::vector<std::string>>{
           {"list"}, {"query", "SELECT 1"}, {"gc"}, {"gc", "--dry-run"}, {"accept", "B3.21"}}) {
    const Answer answer = greta(words);
    EXPECT_EQ(answer.exit_code, 2);
    EXPECT_NE(answer.err.find("there is no store yet"), std::string::npos) << answer.err;
    EXPECT_EQ(answer.out, "");
    EXPECT_FALSE(std::filesystem::exists(root_ / "store.sqlite"));
  }
}

TEST_F(StoreCommands, ImportListShow) {
  const Answer first = greta({"import", "experiments/history"});
  EXPECT_EQ(first.exit_code, 0) << first.err;
  EXPECT_NE(first.err.find("52 runs"), std::string::npos) << first.err;
  EXPECT_EQ(greta({"import", "experiments/history/milestones.yaml"}).out, first.out);
  const Answer list = greta({"list", "--milestone", "B3.2[01]", "--json"});
  const SortedJson runs = SortedJson::parse(list.out);
  ASSERT_EQ(runs.size(), 2U);
  EXPECT_EQ(runs[0]["provenance"], "recorded");
  EXPECT_NE(greta({"list"}).out.find("B3.42-recorded-"), std::string::npos);
  EXPECT_EQ(SortedJson::parse(greta({"list", "--json", "-n", "3"}).out).size(), 3U);
  EXPECT_NE(greta({"list", "-n", "3"}).err.find("older runs are not shown: --all"),
            std::string::npos);
  EXPECT_EQ(greta({"list", "--all"}).err, "");
  EXPECT_NE(
      greta({"list", "--milestone", "B3.21", "--status", "failed"}).err.find("no run is like that"),
      std::string::npos);
  const Answer slip = greta({"list", "--status", "compleet"});
  EXPECT_EQ(slip.exit_code, 2);
  EXPECT_NE(slip.err.find("did you mean `complete`?"), std::string::npos) << slip.err;
  const Answer show = greta({"show", "B3.21@recorded"});
  EXPECT_EQ(show.exit_code, 0) << show.err;
  for (const char* part : {"Cells", "Flags", "GRETA_ATTN_DECODE_REF", "mfma_vs_valu", "outcome"})
    EXPECT_NE(show.out.find(part), std::string::npos) << part;
  const SortedJson shown = SortedJson::parse(greta({"show", "B3.20@recorded", "--json"}).out);
  EXPECT_EQ(shown["run"]["milestone"], "B3.20");
  EXPECT_EQ(shown["cells"].size(), 17U);
}

TEST_F(StoreCommands, ImportOfThePastSaysWhatItTookAndWhatNot) {
  const std::string report = "runner/testdata/past/2026_02_03_B3_21_report.md";
  write(root_ / "b3_30/b3_30_p4_readout.jsonl", "{\"top1_id\":1}\n{\"top1_id\":2}\ntorn");
  const Answer dry = greta({"import", "--dry-run", report, (root_ / "b3_30").string()});
  EXPECT_EQ(dry.exit_code, 0) << dry.err;
  for (const char* part : {"B3.21, 2026-02-03: 10 tables with 50 figures, 50 printed twice",
                           "2 lines with numbers that are no figure here", "line 7: The figures",
                           "3 lines: readout 2; prompt p4_sys 2; 1 unreadable, kept as they are"})
    EXPECT_NE(dry.out.find(part), std::string::npos) << part << "\n" << dry.out;
  EXPECT_FALSE(fs::exists(root_ / "store.sqlite"));
  const Answer done = greta({"import", report, (root_ / "b3_30").string(), "--json"});
  const SortedJson json = SortedJson::parse(done.out);
  ASSERT_EQ(json["runs"].size(), 2U) << done.out;
  EXPECT_EQ(json["found"][0]["what"], "report");
  EXPECT_EQ(json["found"][0]["not_taken"][0]["line"], 7);
  EXPECT_EQ(json["found"][1]["files"][0]["prompts"]["p4_sys"], 2);
  EXPECT_EQ(SortedJson::parse(greta({"import", report, "--json"}).out)["runs"][0], json["runs"][0]);
}

TEST_F(StoreCommands, ImportSaysWhatIsSuspiciousAndGuessed) {
  const std::string report = "runner/testdata/past/2026_02_03_B3_21_report.md";
  const Answer seen = greta({"import", report});
  for (const char* part : {"`gap decode` is gap of decode0",
                           "suspicious: gap of decode0 is 1.34019 for different prompts",
                           "(difference_exactly_zero)", "(invariants_blind)"})
    EXPECT_NE(seen.err.find(part), std::string::npos) << part << "\n" << seen.err;
  EXPECT_EQ(greta({"-q", "import", report}).err, "");
  const SortedJson json = SortedJson::parse(greta({"import", report, "--json"}).out);
  EXPECT_EQ(json["found"][0]["lints"][0]["id"], "constant_across_prompts");
  EXPECT_EQ(json["found"][0]["heads"][0]["field"], "hash_equal");
  const Answer history = greta({"import", "experiments/history"});
  EXPECT_NE(history.err.find(" suspicious results more"), std::string::npos) << history.err;
  EXPECT_NE(history.err.find("suspicious in B3.11-recorded-"), std::string::npos) << history.err;

  std::string lines;
  for (int kind = 0; kind < 1200; ++kind)
    lines += "{\"event\":\"e" + std::to_string(kind) + "\"}\n";
  write(root_ / "b3_31/wo.jsonl", lines + "{\"event\":\"e7\"}\n{}\n");
  write(root_ / "b3_31/logs.tar.zst", "packed");
  const Answer dry = greta({"import", "--dry-run", (root_ / "b3_31").string()});
  for (const char* part : {"1202 lines: e7 2, e0 1,", "… and 1193 more",
                           "(wo_verify is guessed from the file's name: --kind)",
                           "output, packed: kept as it is, its lines are not read"})
    EXPECT_NE(dry.out.find(part), std::string::npos) << part << "\n" << dry.out.substr(0, 2000);
  EXPECT_LT(dry.out.size(), 2000U);
  EXPECT_NE(greta({"import", "-v", "--dry-run", (root_ / "b3_31").string()}).out.find("e999 1"),
            std::string::npos);
}

TEST_F(StoreCommands, QueryInEveryFormat) {
  const std::string sql =
      "SELECT prompt, layer, attn_out_mae FROM attn_decode_verify WHERE layer = 31"
      " AND variant = 'default' ORDER BY 1";
  const auto ask = [&](const std::string& format) {
    std::vector<std::string> words = {"query", sql, "--run", "B3.21@recorded"};
    if (!format.empty()) words.push_back(format);
    const Answer answer = greta(words);
    EXPECT_EQ(answer.exit_code, 0) << answer.err;
    return answer.out;
  };
  EXPECT_EQ(ask(""),
            "prompt  layer  attn_out_mae\n──────  ─────  ────────────\n"
            "p4_sys     31     0.0419899\np5_ba      31     0.0438694\n");
  EXPECT_EQ(ask("--csv"), "prompt,layer,attn_out_mae\np4_sys,31,0.0419899\np5_ba,31,0.0438694\n");
  EXPECT_EQ(ask("--md"),
            "| prompt | layer | attn_out_mae |\n| --- | --- | --- |\n| p4_sys | 31 | 0.0419899 |\n"
            "| p5_ba | 31 | 0.0438694 |\n");
  EXPECT_EQ(SortedJson::parse(ask("--json"))[1]["attn_out_mae"], 0.0438694);
  EXPECT_EQ(ask("--jsonl").substr(0, 50),
            "{\"prompt\": \"p4_sys\", \"layer\": 31, \"attn_out_mae\": ");
}

TEST_F(StoreCommands, MistakesAreNamed) {
  executed_run();
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{"query", "SELECT * FROM readuot"}, "did you mean `readout`?"},
      {{"query", "DROP TABLE run"}, "a query can only read"},
      {{"query", "SELECT 1", "--run", "B3.12"}, "did you mean `B3.21`?"},
      {{"show", "B4"}, "no run or milestone `B4`"},
      {{"accept", "nothing"}, "no run or milestone `nothing`"},
      {{"import", "/nowhere"}, "there is no such file or folder"},
      {{"import", "runner/src/past"},
       "says its milestone (b3_21, B3.21): import it with --milestone"},
      {{"import", (root_ / "b/out/readout.jsonl").string()}, "readout.jsonl: neither a folder nor"},
      {{"import", "runner/src/past", "--milestone", "../x"}, "--milestone `../x`: letters"},
      {{"import", "experiments/B3.21.yaml"}, "a spec is run: greta run"},
  };
  for (const auto& [words, part] : cases) {
    const Answer answer = greta(words);
    EXPECT_EQ(answer.exit_code, 2) << part;
    EXPECT_NE(answer.err.find(part), std::string::npos) << answer.err;
    EXPECT_EQ(answer.out, "") << part;
  }
}

// Two runs that differ in the list of their image's packages.
TEST_F(StoreCommands, ADiffNamesThePackagesThatDiffer) {
  const std::string lists[] = {"hipcc 5.7 amd64\nlibc6 2.41 amd64\n",
                               "hipcc 6.4 amd64\nlibc6 2.41 amd64\n"};
  for (const std::string& list : lists) {
    write(root_ / "b/manifest.json",
          SortedJson({{"manifest", 1},
                      {"provenance", "executed"},
                      {"status", "ok"},
                      {"milestone", "M" + std::to_string(list == lists[1])},
                      {"environment",
                       {{"image.packages_sha256", store::sha256_hex(list)},
                        {"gpu.amd.sclk_mhz_now", list}}},
                      {"files", SortedJson::array()}})
              .dump());
    auto opened = store::Store::open(root_ / "store.sqlite", store::Access::read_write);
    ASSERT_TRUE(opened->import_bundle(root_ / "b"));
  }
  const Answer unknown = greta({"diff", "M0", "M1"});
  EXPECT_NE(unknown.out.find("image.packages_sha256"), std::string::npos) << unknown.out;
  EXPECT_EQ(unknown.out.find("sclk_mhz_now"), std::string::npos) << "a clock of the moment";
  for (const std::string& list : lists)
    write(root_ / "store.sqlite.files/packages" / (store::sha256_hex(list) + ".txt"), list);
  const Answer known = greta({"diff", "M0", "M1"});
  EXPECT_NE(known.out.find("hipcc 5.7"), std::string::npos) << known.out;
  EXPECT_NE(known.out.find("hipcc 6.4"), std::string::npos) << known.out;
  EXPECT_EQ(known.out.find("libc6"), std::string::npos) << known.out;
  EXPECT_EQ(known.out.find("packages_sha256"), std::string::npos) << known.out;
}

TEST_F(StoreCommands, ADiffForCiHasACaseForEveryFigure) {
  const std::string line = "{\"phase\":\"decode0\",\"top1_id\":7,\"gap\":";
  const std::string a = run_with("M0", "2026-02-03T10:00:00.000Z", line + "1.5}\n");
  const std::string b = run_with("M1", "2026-02-04T10:00:00.000Z", line + "1.25}\n");
  const std::string twin = run_with("M2", "2026-02-05T10:00:00.000Z", line + "1.5}\n");
  const Answer same = greta({"diff", a, twin, "--junit"});
  EXPECT_EQ(same.exit_code, 0);
  EXPECT_NE(same.out.find("tests=\"2\" failures=\"0\" errors=\"0\""), std::string::npos)
      << same.out;
  const Answer other = greta({"diff", a, b, "--junit"});
  EXPECT_EQ(other.exit_code, 1);
  for (const char* part : {"tests=\"2\" failures=\"1\" errors=\"0\"",
                           "<testcase classname=\"readout\" name=\"top1_id\"/>",
                           "<failure type=\"diverged\" message=\"1 of 1 differ beyond the floor"})
    EXPECT_NE(other.out.find(part), std::string::npos) << part << other.out;
}

TEST_F(StoreCommands, ADiffOfSets) {
  const auto gap = [](const char* value) {
    return std::string("{\"phase\":\"decode0\",\"gap\":") + value + "}\n";
  };
  run_with("M0", "2026-02-03T10:00:00.000Z", gap("1.5"));
  run_with("M1", "2026-02-04T10:00:00.000Z", gap("1.25"));
  run_with("N", "2026-02-05T10:00:00.000Z", gap("1.375"));
  const struct {
    const char* a;
    const char* b;
    int exit_code;
    const char* part;
  } cases[] = {
      {"M0,M1", "N", 0, "2 runs; records of one key are repeats"},
      {"M*", "N", 0, "2 runs"},
      {"M0", "N", 1, "first at readout.gap"},
      {"M0", "M0@*", 2, "compared with itself"},
      {"M9*", "N", 2, "no complete run matches `M9*`"},
      {"commit:c0ffee", "N", 2, "compared with itself"},
  };
  for (const auto& c : cases) {
    const Answer answer = greta({"diff", c.a, c.b});
    EXPECT_EQ(answer.exit_code, c.exit_code) << c.a << "\n" << answer.out << answer.err;
    EXPECT_NE((answer.out + answer.err).find(c.part), std::string::npos)
        << answer.out << answer.err;
  }
  EXPECT_EQ(greta({"diff", "M*", "N", "--timings"}).exit_code, 3) << "no timing has samples enough";
  EXPECT_NE(greta({"diff", "M0", "N", "--show-sql"}).out.find("Their queries"), std::string::npos);
  EXPECT_EQ(SortedJson::parse(greta({"diff", "M*", "N", "--json"}).out)["a"]["runs"].size(), 2u);
}

TEST_F(StoreCommands, TheLatestStandsInUntilOneIsAccepted) {
  const std::string run = executed_run();
  const Answer before = greta({"query", "SELECT top1_id FROM readout", "--run", "B3.21", "--csv"});
  EXPECT_EQ(before.out, "top1_id\n7\n");
  EXPECT_NE(before.err.find("no accepted run"), std::string::npos) << before.err;
  EXPECT_EQ(greta({"accept", "B3.21"}).exit_code, 0);
  EXPECT_EQ(greta({"query", "SELECT 1", "--run", "B3.21"}).err, "");
  EXPECT_EQ(SortedJson::parse(greta({"list", "--json"}).out)[0]["accepted"], true);
  EXPECT_NE(run, "");
}

}  // namespace
}  // namespace greta::runner
