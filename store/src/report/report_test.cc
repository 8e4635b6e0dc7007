#include "store/report.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <regex>
#include <sstream>

#include "gates/compare_fixture.h"
#include "report/report_labels.h"
#include "store/gates.h"
#include "text/markdown.h"

namespace greta::store {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

std::string read(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The SQL of `<sub>`greta query --run NAME "SQL"`</sub>`, as the shell would see it; "" elsewhere.
std::string query_of(const std::string& line) {
  static const std::regex kQuery("<sub>`+ ?greta query --run (\\S+) \"(.*)\" ?`+</sub>");
  std::smatch match;
  if (!std::regex_search(line, match, kQuery)) return "";
  std::string sql;
  const std::string quoted = match[2];
  for (size_t i = 0; i < quoted.size(); ++i) {
    if (quoted[i] == '\\' && i + 1 < quoted.size()) ++i;
    sql += quoted[i];
  }
  return sql;
}

class Reports : public RunFixture {
 protected:
  std::string write(int64_t run, Language language) {
    auto text = markdown_report(store(), run, language);
    EXPECT_TRUE(text) << text.error().str();
    return text ? *text : "";
  }
  // Two arms, gates, a failed cell, prose, awkward text.
  int64_t add_milestone() {
    TestRun base = clean_run();
    base.milestone = "T0";
    add(base);
    TestRun run;
    run.milestone = "T1";
    run.baseline = {"T0", "T9@recorded"};
    run.prompts = {{"p1", "a|b\n<b>"}, {"p2", "Two"}};
    run.prose = {{"question", {{"en", "Is it the kernel?"}, {"es", "¿Es el núcleo?"}}},
                 {"changes", {{"en", {"one", "two"}}, {"es", {"uno", "dos"}}}},
                 {"conclusion", {{"en", "It is not."}, {"es", "No lo es."}}}};
    run.attempts = {clean_attempt({{kKernelAxis, "manual"}}),
                    clean_attempt({{kKernelAxis, "fused"}}),
                    clean_attempt({{kKernelAxis, "broken"}})};
    for (TestAttempt& attempt : run.attempts) {
      attempt.flags = {
          {{"name", "GRETA_A"}, {"value", "1"}, {"source", "env"}, {"read", true}},
          {{"name", "GRETA_B"}, {"value", "0"}, {"source", "default"}, {"read", true}}};
      attempt.kernels = {{{"id", "attn.cpu"},
                          {"op", "attn"},
                          {"variant", "avx2"},
                          {"code_hash", "00000000000000cc"},
                          {"launches", 4}}};
    }
    for (Json& record : run.attempts[1].records["attn_decode_verify"]) {
      record["kernel_hash"] = "00000000000000bb";
      record["kernel_path"] = "fused";
    }
    run.attempts[2].status = "failed";
    run.attempts[2].reason = "exit 4: no such route | \"mfma\"";
    run.attempts[2].records.clear();
    const int64_t id = add(run);
    Gate gate;
    gate.id = "bounded";
    gate.kind = "attn_decode_verify";
    gate.field = "rel_l2";
    gate.bounds = {Bound{"le", 0, "bound"}};
    Gate sql;
    sql.id = "no_nan";
    sql.form = Gate::Form::sql;
    sql.sql = "SELECT nan = 0 AS \"ok\"\nFROM readout -- all";
    EXPECT_TRUE(evaluate_gates(store(), name_, {gate, sql}));
    return id;
  }
  // Every table is what its query answers, cell by cell.
  void check_tables(const std::string& report, int64_t run, size_t least) {
    const auto lines = lines_of(report);
    size_t checked = 0;
    for (size_t i = 0; i < lines.size(); ++i) {
      const std::string sql = query_of(lines[i]);
      if (sql.empty()) continue;
      const auto result = store().query(sql, run);
      ASSERT_TRUE(result) << sql << ": " << result.error().str();
      if (i < 2 || !lines[i - 2].starts_with("|")) continue;
      size_t first = i - 2;
      while (first > 0 && lines[first - 1].starts_with("|")) --first;
      std::vector<std::string> shown(lines.begin() + static_cast<std::ptrdiff_t>(first) + 2,
                                     lines.begin() + static_cast<std::ptrdiff_t>(i) - 1);
      std::vector<std::string> expected;
      for (const auto& row : result->rows) {
        std::string line = "|";
        for (const Value& value : row) line += " " + escape_markdown(value_text(value)) + " |";
        expected.push_back(line);
      }
      EXPECT_EQ(shown, expected) << sql;
      ++checked;
    }
    EXPECT_GE(checked, least);
  }
};

// What changes from run to run, made constant for the golden files.
std::string stable(std::string text) {
  for (const auto& [pattern, name] :
       {std::pair{"T[01]-[0-9]{8}T[0-9]{6}Z-[0-9a-f]{4}", "RUN"},
        std::pair{"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z", "TIME"}}) {
    text = std::regex_replace(text, std::regex(pattern), name);
  }
  return text;
}

TEST_F(Reports, LookLikeTheGoldenFiles) {
  const int64_t run = add_milestone();
  for (const auto& [language, file] :
       {std::pair{Language::en, "report_en.md"}, std::pair{Language::es, "report_es.md"},
        std::pair{Language::both, "report_both.md"}}) {
    const std::filesystem::path golden = std::filesystem::path(STORE_DIR) / "testdata" / file;
    const std::string text = stable(write(run, language));
    if (const char* update = std::getenv("GRETA_UPDATE_GOLDENS"); update && *update != '\0') {
      std::filesystem::create_directories(golden.parent_path());
      std::ofstream(golden, std::ios::binary) << text;
    }
    const auto lines = lines_of(text), kept = lines_of(read(golden));
    const auto [line, other] = std::mismatch(lines.begin(), lines.end(), kept.begin(), kept.end());
    EXPECT_TRUE(line == lines.end() && other == kept.end())
        << golden << ":" << line - lines.begin() + 1 << ": "
        << (line == lines.end() ? "(missing)" : *line) << "\n(GRETA_UPDATE_GOLDENS=1 rewrites it)";
  }
}

TEST_F(Reports, EveryTableIsItsQuery) {
  const int64_t run = add_milestone();
  check_tables(write(run, Language::en), run, 12);
  check_tables(write(run, Language::both), run, 18);
  check_tables(write(run, Language::es), run, 12);
}

TEST_F(Reports, InSpanishSayWordsInSpanish) {
  TestRun base = clean_run(), run = clean_run();
  base.milestone = "T0";
  base.environment["injected"] = "";
  run.environment["injected"] = "kv_layer_base";
  run.provenance = "reenacted";
  run.baseline = {"T0"};
  run.attempts = {clean_attempt({{kKernelAxis, "manual"}}),
                  clean_attempt({{kKernelAxis, "fused"}})};
  for (Json& record : run.attempts[1].records["attn_decode_verify"])
    record["kernel_hash"] = "00000000000000bb";
  run.attempts[0].flags = {{{"name", "GRETA_E"}, {"value", ""}, {"source", "env"}, {"read", true}}};
  add(base);
  const int64_t id = add(run);
  Gate arms, within, wrong;
  arms.id = "arms";
  arms.form = within.form = Gate::Form::distinct;
  arms.kind = "attn_decode_verify";
  arms.field = "kernel_hash";
  arms.across = {kKernelAxis};
  within.id = "within";
  within.fields = {"attn_decode_verify.kernel_hash", "attn_decode_verify.attn_out_hash"};
  wrong.id = "wrong";
  wrong.kind = "readout";
  wrong.field = "gap";
  wrong.bounds = {Bound{"le", 0, ""}};
  ASSERT_TRUE(evaluate_gates(store(), name_, {arms, within, wrong}));
  const std::string text = write(id, Language::es);
  check_tables(text, id, 10);
  for (const std::string words :
       {"| completa | recreada |", "| arms | se cumple | disjunto | distinto entre GRETA_FORCE",
        "| within | se cumple |", "| distinto |", "| wrong | no se cumple |",
        "| provenance | ejecutada | recreada |", "| injected | ninguno | kv_layer_base |",
        "(vacío)"}) {
    EXPECT_NE(text.find(words), std::string::npos) << words << "\n" << text;
  }
}

TEST_F(Reports, InSpanishSayThatNothingIsSuspicious) {
  const int64_t id = add(clean_run());
  EXPECT_NE(
      write(id, Language::es).find("Ninguna comprobación de resultados sospechosos encontró nada."),
      std::string::npos);
}

TEST_F(Reports, DataCannotBreakATable) {
  const int64_t run = add_milestone();
  for (const std::string& line : lines_of(write(run, Language::both))) {
    if (!line.starts_with("|")) continue;
    EXPECT_TRUE(line.ends_with("|")) << line;
    EXPECT_EQ(line.find("<b>"), std::string::npos) << line;
  }
}

TEST_F(Reports, EqualRepeatsAreOneRow) {
  TestRun run = clean_run();
  run.attempts.push_back(clean_attempt({}, 1));
  run.attempts[1].records["readout"][0]["gap"] = 0.5625;  // 0.5 in repeat 0
  const int64_t id = add(run);
  const std::string text = write(id, Language::en);
  EXPECT_NE(text.find("| 0.5 | 0.625 | 3 | 3.125 | 0 |"), std::string::npos) << text;
  EXPECT_NE(text.find("| 0.5625 | 0.625 | 3 | 3.125 | 1 |"), std::string::npos) << text;
  EXPECT_NE(text.find("| 0.75 | 0.875 | 3.25 | 3.375 | 0,1 |"), std::string::npos) << text;
  check_tables(text, id, 8);
}

TEST_F(Reports, ProseComesOnlyFromTheSpec) {
  const int64_t run = add(clean_run());
  const std::string text = write(run, Language::en);
  for (const std::string heading :
       {"Conclusion", "Impact", "Next Step", "Initial State", "Implemented Changes"}) {
    EXPECT_EQ(text.find(heading), std::string::npos) << heading;
  }
  EXPECT_NE(text.find("declares no gate; 2 cells, 0 failed"), std::string::npos) << text;
}

TEST_F(Reports, TextInOneLanguageIsShownWithItsName) {
  TestRun run = clean_run();
  run.prose = {{"conclusion", {{"en", "Done."}}}, {"impact", "Both."}};
  const int64_t id = add(run);
  const std::string text = write(id, Language::es);
  EXPECT_NE(text.find("## Conclusión\n\n*(en)* Done."), std::string::npos) << text;
  EXPECT_NE(text.find("## Impacto\n\nBoth."), std::string::npos) << text;
}

// A text that names no language stands once; one of one language has its name in the other.
TEST_F(Reports, ATextIsNotItsOwnTranslation) {
  TestRun run = clean_run();
  run.prose = {{"conclusion", {{"es", "Hecho."}}}, {"impact", "Both."}, {"changes", {"x", "y"}}};
  const std::string text = write(add(run), Language::both);
  for (const char* part :
       {"## Conclusión (ES)\n\nHecho.\n\n## Conclusion (EN)\n\n*(es)* Hecho.",
        "## Impacto / Impact\n\nBoth.\n\n## ", "Implemented Changes\n\n- x\n- y\n\n## "})
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  EXPECT_EQ(text.find("Both."), text.rfind("Both."));
}

// Records of past files, which need not fit the fields' types, nor be one a head.
class LooseReport : public Reports {
 protected:
  int64_t add_loose(const std::string& kind, const std::vector<Json>& records) {
    TestRun run = clean_run();
    run.provenance = "recorded";
    run.attempts[0].records = {{kind, records}};
    for (Json& record : run.attempts[0].records[kind]) record["request"] = "p1";
    return add(run);
  }
};

TEST_F(LooseReport, EveryRecordOfALayerIsShown) {
  std::vector<Json> records;
  for (const auto& [layer, error] : std::vector<std::pair<Json, Json>>{{0, "NaN"},
                                                                       {0, 1},
                                                                       {"5", 7},
                                                                       {5.0, 8},
                                                                       {5.5, 9},
                                                                       {31, 0.0419898},
                                                                       {31, 0.0419899},
                                                                       {Json(), 3}})
    records.push_back({{"phase", "decode0"}, {"layer", layer}, {"attn_out_mae", error}});
  records.push_back({{"phase", "decode0"}, {"layer", 6}, {"attn_out_mae", "large"}});
  const int64_t run = add_loose("attn_decode_verify", records);
  const std::string text = write(run, Language::en);
  for (const std::string row :
       {"| 0 | NaN |", "| 0 | 1 |", "| 5 | 7 |", "| 5 | 8 |", "| 5.5 | 9 |", "| 31 | 4.19898e-02 |",
        "| 31 | 4.19899e-02 |", "| – | 3 |", "| 6 | large |"})
    EXPECT_NE(text.find(row), std::string::npos) << row << "\n" << text;
  check_tables(text, run, 3);
}

TEST_F(LooseReport, HashesOfATraceAreCompared) {
  const int64_t run = add_loose(
      "mfma_vs_valu",
      {{{"phase", "decode0"}, {"layer", 0}, {"mfma_hash", "00aa"}, {"valu_hash", "00aa"}},
       {{"phase", "decode0"}, {"layer", "x"}, {"mfma_hash", "00aa"}, {"valu_hash", "00bb"}}});
  const std::string text = write(run, Language::en);
  for (const std::string row :
       {"| Layer | mfma_hash == valu_hash |", "| 0 | true |", "| x | false |"})
    EXPECT_NE(text.find(row), std::string::npos) << row << "\n" << text;
  check_tables(text, run, 3);
}

TEST_F(LooseReport, LongCellsAreShortened) {
  std::string long_text(5'000'000, 'x');
  long_text.replace(998, 4, "ñé");  // the cut would fall into a letter
  const int64_t run =
      add_loose("notes", {{{"note", long_text}, {"short", std::string(1000, 'y')}}});
  const std::string text = write(run, Language::both);
  EXPECT_LT(text.size(), 20'000U);
  EXPECT_NE(text.find(std::string(998, 'x') + "ñ… (5000000 bytes)"), std::string::npos);
  EXPECT_NE(text.find("| " + std::string(1000, 'y') + " |"), std::string::npos);
}

TEST_F(Reports, ForCiHaveTheLints) {
  const auto clean = junit_report(store(), add(clean_run()));
  ASSERT_TRUE(clean) << clean.error().str();
  EXPECT_NE(clean->find(R"(<testcase classname="lints" name="nothing suspicious"/>)"),
            std::string::npos)
      << *clean;
  TestRun run = clean_run();
  run.attempts[0].records["readout"][3]["gap"] = 0.625;
  const auto xml = junit_report(store(), add(run));
  ASSERT_TRUE(xml) << xml.error().str();
  for (const char* part :
       {R"(tests="3" failures="0" errors="0" skipped="1")",
        R"(<testcase classname="lints" name="constant_across_prompts">)",
        R"(<skipped message="gap of decode0 is 0.625 for different prompts (p1,p2))",
        "greta query --run T1-"})
    EXPECT_NE(xml->find(part), std::string::npos) << part << "\n" << *xml;
}

TEST(ReportLabels, HaveBothLanguages) {
  for (const LabelText& one : label_table()) {
    EXPECT_FALSE(one.en.empty()) << one.id;
    EXPECT_FALSE(one.es.empty()) << one.id;
    for (const char digit : {'0', '1', '2', '3', '4'}) {
      const std::string hole = std::string("{") + digit + "}";
      EXPECT_EQ(one.en.find(hole) == std::string_view::npos,
                one.es.find(hole) == std::string_view::npos)
          << one.id;
    }
  }
}

// The label as a pattern of whole words, its holes open.
std::regex pattern_of(std::string_view text) {
  std::string pattern;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '{') {
      pattern += ".*";
      i += 2;
    } else if (std::string_view("().*+?[]|^$\\").find(text[i]) != std::string_view::npos) {
      pattern += std::string("\\") + text[i];
    } else {
      pattern += text[i];
    }
  }
  return std::regex("(^|[^A-Za-z_])" + pattern + "($|[^A-Za-z_])");
}

TEST_F(Reports, HoldNoLabelOfTheOtherLanguage) {
  const int64_t run = add_milestone();
  const auto lines_es = lines_of(write(run, Language::es));
  const auto lines_en = lines_of(write(run, Language::en));
  for (const LabelText& one : label_table()) {
    if (one.en == one.es) continue;
    const std::regex en = pattern_of(one.en), es = pattern_of(one.es);
    for (const auto& [lines, pattern] : {std::pair{&lines_es, &en}, std::pair{&lines_en, &es}}) {
      for (std::string line : *lines) {
        // Queries and code are the same in every language.
        line = std::regex_replace(line, std::regex("`[^`]*`|@recorded"), "");
        EXPECT_FALSE(std::regex_search(line, *pattern)) << one.id << ": " << line;
      }
    }
  }
}

// ── the recorded B3.21: the seed's own figures
// ────────────────────────────────────────────────────

class RecordedReport : public Reports {
 protected:
  int64_t import_seed() {
    Json entry = {{"milestone", "B3.21"},
                  {"date", "2026-02-03"},
                  {"title", {{"en", "Fused decode"}, {"es", "Decode fused"}}},
                  {"commit", "13d491f7e7916c1ef5595dbfd73b94841dfa63e2"},
                  {"model", nullptr},
                  {"flags", {{kKernelAxis, "fused"}}},
                  {"prompts", {"p4_sys", "p5_ba"}},
                  {"metrics", Json::array()},
                  {"outcome", {{"en", "The error stays."}, {"es", "El error sigue."}}}};
    const auto add_figure = [&](const char* metric, const char* record, const char* prompt,
                                const char* phase, Json layer, Json value) {
      Json figure = {{"metric", metric},
                     {"record", record},
                     {"prompt", prompt},
                     {"phase", phase},
                     {"value", value}};
      if (!layer.is_null()) figure["layer"] = layer;
      entry["metrics"].push_back(figure);
    };
    const std::vector<int> layers = {0, 1, 2, 31};
    const std::map<const char*, std::vector<double>> errors = {
        {"p4_sys", {6.00923e-11, 6.57923e-04, 9.48245e-04, 4.19899e-02}},
        {"p5_ba", {5.34566e-11, 8.78943e-04, 1.18028e-03, 4.38694e-02}}};
    for (const auto& [prompt, mae] : errors) {
      for (size_t i = 0; i < layers.size(); ++i) {
        add_figure("attn_out_mae", "mfma_vs_valu", prompt, "decode0", layers[i], 0);
        add_figure("attn_out_max_diff", "mfma_vs_valu", prompt, "decode0", layers[i], 0);
        add_figure("hash_equal", "mfma_vs_valu", prompt, "decode0", layers[i], true);
        add_figure("attn_out_mae", "attn_decode_verify", prompt, "decode0", layers[i], mae[i]);
        add_figure("kv_invariant_ok", "attn_decode_verify", prompt, "decode0", layers[i], true);
      }
      const bool first = std::string(prompt) == "p4_sys";
      add_figure("top1_id", "readout", prompt, "prefill_last", nullptr, 127158);
      add_figure("top1_id", "readout", prompt, "decode0", nullptr, 96965);
      add_figure("gap", "readout", prompt, "prefill_last", nullptr, first ? 0.95866 : 0.95619);
      add_figure("gap", "readout", prompt, "decode0", nullptr, 1.34019);
    }
    const auto names = store().import_recorded(Json::array({entry}).dump(), "milestones.yaml");
    EXPECT_TRUE(names) << names.error().str();
    const auto id = store().resolve("B3.21@recorded");
    EXPECT_TRUE(id) << id.error().str();
    return id ? *id : -1;
  }
};

TEST_F(RecordedReport, ShowsTheTablesOfTheSeed) {
  const int64_t run = import_seed();
  const std::string text = write(run, Language::both);
  for (const std::string row :
       {"| Capa | attn_out_mae | attn_out_max_diff | mfma_hash == valu_hash |",
        "| Layer | attn_out_mae | kv_invariant_ok |", "| 31 | 0 | 0 | true |",
        "| 0 | 6.00923e-11 | true |", "| 1 | 6.57923e-04 | true |", "| 2 | 9.48245e-04 | true |",
        "| 31 | 4.19899e-02 | true |", "| 0 | 5.34566e-11 | true |", "| 1 | 8.78943e-04 | true |",
        "| 2 | 1.18028e-03 | true |", "| 31 | 4.38694e-02 | true |",
        "| p4_sys | 127158 | 96965 | 0.95866 | 1.34019 |",
        "| p5_ba | 127158 | 96965 | 0.95619 | 1.34019 |", "## Resultados (ES)", "## Results (EN)",
        "The error stays.", "El error sigue."}) {
    EXPECT_NE(text.find(row), std::string::npos) << row << "\n" << text;
  }
  check_tables(text, run, 10);
}

TEST_F(RecordedReport, SaysWhatIsWrongWithThem) {
  const int64_t run = import_seed();
  const std::string text = write(run, Language::en);
  for (const std::string lint :
       {"**constant_across_prompts**: gap of decode0 is 1.34019 for different prompts",
        "(p4_sys,p5_ba), top1_id 96965 as well: the answer does not depend on the prompt",
        "**difference_exactly_zero**: mfma_vs_valu.attn_out_mae is exactly 0 in all 8 records",
        "**error_jump**: attn_out_mae grows 1.6e+07 times between layers 0 → 1",
        "**invariants_blind**: kv_invariant_ok is true in all 8 records"}) {
    EXPECT_NE(text.find(lint), std::string::npos) << lint << "\n" << text;
  }
}

}  // namespace
}  // namespace greta::store
