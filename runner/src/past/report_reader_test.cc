#include "past/report_reader.h"

#include <gtest/gtest.h>

namespace greta::runner {
namespace {

PastReport read(const std::string& text, const std::string& name = "report.md") {
  auto report = read_report(text, name);
  EXPECT_TRUE(report) << report.error().str();
  return report.value_or(PastReport());
}

// "kind.metric value @line {keys}" of every figure.
std::string figures(const PastReport& report) {
  std::string out;
  for (Json figure : report.entry["metrics"]) {
    const std::string kind = figure.value("record", "figure"), metric = figure["metric"];
    const std::string value =
        figure.contains("printed") ? figure["printed"].get<std::string>() : figure["value"].dump();
    const int line = figure["source_line"];
    for (const char* part : {"record", "metric", "value", "printed", "source_line", "source_table"})
      figure.erase(part);
    out += kind + "." + metric + " " + value + " @" + std::to_string(line) + " " + figure.dump() +
           "\n";
  }
  return out;
}

TEST(ReportReader, TablesByPromptHeading) {
  const PastReport report = read(
      "# B3.20 — A title\n\n"
      "### attn_out vs ref (MAE)\n\n"
      "**p4_sys (seq_len=206)**\n"
      "| Layer | attn_out_mae | kv_invariant_ok |\n"
      "| --- | ---: | --- |\n"
      "| 0 | 6.00923e-11 | true |\n"
      "| 31 | 4.19899e-02 | — |\n");
  EXPECT_EQ(report.milestone, "B3.20");
  EXPECT_EQ(report.entry["title"]["en"], "A title");
  EXPECT_EQ(
      figures(report),
      R"(attn_decode_verify.attn_out_mae 6.00923e-11 @8 {"prompt":"p4_sys","layer":0,"phase":"decode0"})"
      "\n"
      R"(attn_decode_verify.kv_invariant_ok true @8 {"prompt":"p4_sys","layer":0,"phase":"decode0"})"
      "\n"
      R"(attn_decode_verify.attn_out_mae 4.19899e-02 @9 {"prompt":"p4_sys","layer":31,"phase":"decode0"})"
      "\n"
      R"(figure.seq_len 206 @5 {"prompt":"p4_sys","phase":"decode0"})"
      "\n");
  EXPECT_TRUE(report.not_taken.empty());
}

TEST(ReportReader, APromptColumnAndPhasesInHeads) {
  EXPECT_EQ(figures(read("## Readout\n\n"
                         "| Prompt | prefill_last_top1 | decode0_top1 | gap decode |\n"
                         "|---|---|---|---|\n"
                         "| p4_sys | 127158 | 96965 | 1.34019 |\n")),
            R"(readout.top1_id 127158 @5 {"prompt":"p4_sys","phase":"prefill_last"})"
            "\n"
            R"(readout.top1_id 96965 @5 {"prompt":"p4_sys","phase":"decode0"})"
            "\n"
            R"(readout.gap 1.34019 @5 {"prompt":"p4_sys","phase":"decode0"})"
            "\n");
}

TEST(ReportReader, ATableOfMetricsByPrompt) {
  EXPECT_EQ(figures(read("| Métrica | p4_sys | p5_ba |\n|---|---|---|\n"
                         "| attn_ref_mae | 4.20e-2 | 4.39e-2 |\n| tiempo total | 3 s | ~4 s |\n")),
            R"(attn_precision_ref.attn_ref_mae 4.20e-2 @3 {"prompt":"p4_sys"})"
            "\n"
            R"(attn_precision_ref.attn_ref_mae 4.39e-2 @3 {"prompt":"p5_ba"})"
            "\n"
            R"(attn_precision_ref.tiempo_total 3 @4 {"prompt":"p4_sys","unit":"s"})"
            "\n"
            R"(attn_precision_ref.tiempo_total 4 @4 {"prompt":"p5_ba","unit":"s","approx":true})"
            "\n");
}

TEST(ReportReader, ArmsInColumnsAndCaptions) {
  EXPECT_EQ(
      figures(read("| Config | p4_sys decode0_top1 | Estado |\n|---|---|---|\n"
                   "| fused / mfma | ERROR | lost |\n")),
      R"(readout.top1_id "ERROR" @3 {"variant":"fused_mfma","phase":"decode0","prompt":"p4_sys"})"
      "\n"
      R"(readout.status "lost" @3 {"variant":"fused_mfma"})"
      "\n");
  EXPECT_EQ(figures(read("**p5_ba (auto/auto, manual path)**\n"
                         "| Layer | kv_invariant_ok |\n|---|---|\n| 0,31 | true |\n")),
            R"(attn_decode_verify.kv_invariant_ok true @4 )"
            R"({"prompt":"p5_ba","variant":"auto_auto","layer":0,"phase":"decode0"})"
            "\n"
            R"(attn_decode_verify.kv_invariant_ok true @4 )"
            R"({"prompt":"p5_ba","variant":"auto_auto","layer":31,"phase":"decode0"})"
            "\n");
}

TEST(ReportReader, DifferencesAndReadoutInOneTable) {
  EXPECT_EQ(figures(read("# B3.41 - prefill_last vs decode0\n\n"
                         "| prompt | exp | x_after_mlp_mae | decode0_top1 | note |\n"
                         "|---|---|---:|---:|---|\n| p4_sys | E1 | 3.173e-01 | 96965 | |\n")),
            R"(post_wo_trace.x_after_mlp_mae 3.173e-01 @5 )"
            R"({"prompt":"p4_sys","variant":"E1","phase":"prefill_last_vs_decode0"})"
            "\n"
            R"(readout.top1_id 96965 @5 {"prompt":"p4_sys","variant":"E1","phase":"decode0"})"
            "\n");
}

TEST(ReportReader, ArmsWithTheirFlagsAndTracesInALine) {
  const PastReport report = read(
      "- **E0**: baseline\n- **E1**: forced (`GRETA_FORCE_A=1`, `GRETA_B=row`)\n"
      "- Trazas: `GRETA_TRACE_POST_WO=1` a line\n- Prompts: `p0_short`, `other`\n");
  EXPECT_EQ(report.entry["variants"].dump(), R"({"E1":{"GRETA_FORCE_A":"1","GRETA_B":"row"}})");
  EXPECT_EQ(report.entry["flags"].dump(), R"({"GRETA_TRACE_POST_WO":"1"})");
  EXPECT_EQ(report.entry["prompts"].dump(), R"(["p0_short","other"])");
}

// Rows and columns say the same of a figure, whichever way a table is turned.
TEST(ReportReader, LabelsWithPhasesAreOfTheReadout) {
  const PastReport report = read(
      "| Metric | p4_sys | p5_ba |\n|---|---|---|\n| decode0_top1 | 96965 | 50% |\n"
      "| gap decode | 0.5 | −0.6 |\n");
  EXPECT_EQ(figures(report),
            R"(readout.top1_id 96965 @3 {"prompt":"p4_sys","phase":"decode0"})"
            "\n"
            R"(readout.top1 50 @3 {"prompt":"p5_ba","phase":"decode0","unit":"percent"})"
            "\n"
            R"(readout.gap 0.5 @4 {"prompt":"p4_sys","phase":"decode0"})"
            "\n"
            R"(readout.gap -0.6 @4 {"prompt":"p5_ba","phase":"decode0"})"
            "\n");
}

// What became of a head, a number and a byte is said where it is not plain.
TEST(ReportReader, SaysWhatItReadOtherwise) {
  const PastReport report = read(
      "| Layer | Error medio | −log p | gap decode | top1 |\n|---|---|---|---|---|\n"
      "| 0,1 | 1,234 | 1,5 | \xff 9 | 7 |\n");
  EXPECT_EQ(figures(report).substr(0, 43), "readout.error_medio \"1,234\" @3 {\"layer\":0}\n");
  std::string heads;
  for (const PastHead& head : report.heads)
    heads += head.head + "=" + head.field + head.keys.dump() + " ";
  EXPECT_EQ(heads, "−log p=neg_log_p{} gap decode=gap{\"phase\":\"decode0\"} top1=top1_id{} ");
  ASSERT_EQ(report.texts.size(), 2U);
  EXPECT_EQ(report.texts[0].text, "1,234");
  EXPECT_EQ(report.texts[1].text, "\ufffd 9");
  EXPECT_EQ(report.not_utf8, std::vector<int>{3});
  const PastReport plain =
      read("| Layer | attn_out_mae | Prefill time (s) |\n|---|---|---|\n| 0 | 1 | 2 |\n");
  EXPECT_TRUE(plain.heads.empty() && plain.texts.empty() && plain.not_utf8.empty());
}

TEST(ReportReader, ATextUnderTwoLanguagesIsOfTheOneItIsWrittenIn) {
  const PastReport report = read(
      "## Conclusión / Conclusion\nEl colapso sigue en la capa 31, y no se sabe por qué.\n\n"
      "## Próximo Paso / Next Step\nThe collapse of layer 31 is to be traced.\n\n"
      "## Impacto / Impact\nMFMA == VALU\n");
  EXPECT_TRUE(report.entry["conclusion"].contains("es")) << report.entry["conclusion"];
  EXPECT_TRUE(report.entry["next"].contains("en")) << report.entry["next"];
  EXPECT_EQ(report.entry["impact"], "MFMA == VALU");
}

const char* const kSpanish =
    "## Resultados (ES)\n\n| Layer | kv_invariant_ok | attn_out_mae |\n|---|---|---|\n"
    "| 0 | true | 1e-3 |\n\n";
std::string english(const std::string& mae) {
  return "## Results (EN)\n\n| Layer | kv_invariant_ok | attn_out_mae |\n|---|---|---|\n"
         "| 0 | true | " +
         mae + " |\n";
}

TEST(ReportReader, TwinsOfTwoLanguagesAreKeptOnce) {
  const PastReport equal = read(kSpanish + english("0.001"));
  EXPECT_EQ(equal.figures, 2U);
  EXPECT_EQ(equal.twins, 2U);
  EXPECT_TRUE(equal.contradictions.empty());
}

TEST(ReportReader, TwinsThatContradictAreBothKeptAndSaid) {
  const PastReport report = read(kSpanish + english("2e-3"));
  EXPECT_EQ(report.figures, 3U);
  EXPECT_EQ(report.twins, 1U);
  ASSERT_EQ(report.contradictions.size(), 1U);
  EXPECT_NE(report.contradictions[0].find(
                "line 11 (en) says attn_out_mae = 0.002, line 5 (es) says 0.001"),
            std::string::npos)
      << report.contradictions[0];
  EXPECT_TRUE(report.entry.contains("note"));
}

TEST(ReportReader, TablesOfOneLanguageAreNoTwins) {
  const PastReport report = read(english("1e-3") + "\n" + english("1e-3"));
  EXPECT_EQ(report.figures, 4U);
  EXPECT_EQ(report.twins, 0U);
}

TEST(ReportReader, WhatTheReportSaysOfItself) {
  const PastReport report = read(
      "# Informe B3.57.1: algo\n\n"
      "Commit (run): `ead86816a011552b4ea7c99dbd92eac735bbeddb`\n\n"
      "Modelo: `m.gguf`\n\n"
      "Flags principales:\n- `GRETA_A=1`\n- `GRETA_LAYERS=\"0,1\"`\n\n"
      "With `GRETA_TALK=1` it would say more.\n\n"
      "```sh\nexport GRETA_B=row\n./run --steps 16\n```\n\n"
      "Prompts:\n- `p0_hi` (Hi)\n- `mine` (of ours)\n\n"
      "Artefactos:\n- `artifacts_remote/2026-02-05/b3_57_1/x.jsonl`\n\n"
      "## Conclusión (ES)\nEl colapso sigue.\n\n## Next step\n42 more.\n");
  EXPECT_EQ(report.milestone, "B3.57.1");
  EXPECT_EQ(report.date, "2026-02-05");
  const Json& entry = report.entry;
  EXPECT_EQ(entry["commit"], "ead86816a011552b4ea7c99dbd92eac735bbeddb");
  EXPECT_EQ(entry["model"], "m.gguf");
  EXPECT_EQ(entry["flags"].dump(), R"({"GRETA_A":"1","GRETA_LAYERS":"0,1","GRETA_B":"row"})");
  EXPECT_EQ(entry["prompts"].dump(), R"(["p0_hi","mine"])");
  EXPECT_EQ(entry["artifacts"].dump(), R"(["artifacts_remote/2026-02-05/b3_57_1/x.jsonl"])");
  EXPECT_EQ(entry["conclusion"].dump(), R"({"es":"El colapso sigue."})");
  EXPECT_EQ(entry["next"].dump(), R"({"en":"42 more."})");
  std::string lines;
  for (const PastLine& line : report.not_taken)
    lines += std::to_string(line.line) + ":" + line.text + "\n";
  EXPECT_EQ(lines, "11:With `GRETA_TALK=1` it would say more.\n15:./run --steps 16\n29:42 more.\n");
}

TEST(ReportReader, WithoutAWordEverythingIsUnknown) {
  const PastReport report = read("text\n", "notes.md");
  EXPECT_EQ(report.milestone, "");
  EXPECT_EQ(report.date, "");
  EXPECT_FALSE(report.entry.contains("commit"));
  EXPECT_FALSE(report.entry.contains("model"));
  EXPECT_EQ(read("text\n", "2026_02_04_B3_30_x.md").milestone, "B3.30");
  EXPECT_EQ(read("text\n", "2026_02_04_B3_30_x.md").date, "2026-02-04");
  EXPECT_EQ(read("text\n", "/past/2026-02-05/b3_23/2026_02_04_x.md").date, "2026-02-04");
  EXPECT_EQ(read("text\n", "/past/2026-02-05/b3_23/x.md").date, "2026-02-05");
  EXPECT_EQ(read("text\n", "/past/2026-02-05/b3_23/x.md").entry["date"], "2026-02-05");
}

TEST(ReportReader, LinesEndAsMarkdownsDo) {
  for (const std::string end : {"\n", "\r\n", "\r"}) {
    std::string text = "# B3.1" + end + end + "of 7" + end + end + "| gap |" + end + "|---|" + end +
                       "| 1.5 |" + end;
    const PastReport report = read(text);
    EXPECT_EQ(figures(report), "figure.gap 1.5 @7 {}\n");
    ASSERT_EQ(report.not_taken.size(), 1U);
    EXPECT_EQ(report.not_taken[0].line, 3);
    EXPECT_EQ(report.not_taken[0].text, "of 7");
  }
}

TEST(ReportReader, AnyBytesAreAReport) {
  for (const std::string& text : {std::string("\0\xff|\n|-|\n|\xc3|1", 12), std::string(5000, '|'),
                                  std::string(5000, '>') + "1", std::string("| a |\n|---|\n"),
                                  std::string("| |\n|-|\n| 1 | 2 | 3 |\n"), std::string()})
    read(text);
  EXPECT_FALSE(read_report(std::string((16 << 20) + 1, ' '), "large.md"));
}

}  // namespace
}  // namespace greta::runner
