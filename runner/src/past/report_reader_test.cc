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
      "| 0,1 | 1,234 | 1.5 | \xff 9 | 7 |\n");
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

// What was printed of a report, a line each.
std::string said(const PastReport& report) {
  std::string out;
  for (const PastHead& head : report.heads) out += head.head + " is " + head.field + "\n";
  for (const PastLine& text : report.texts) out += "text " + text.text + "\n";
  for (const PastLine& line : report.not_taken)
    out += std::to_string(line.line) + ": " + line.text + "\n";
  return out;
}

struct TableCase {
  const char *text, *figures, *said;
};

void expect_tables(const std::vector<TableCase>& cases) {
  for (const TableCase& one : cases) {
    const PastReport report = read(one.text);
    EXPECT_EQ(figures(report), one.figures) << one.text;
    EXPECT_EQ(said(report), one.said) << one.text;
  }
}

TEST(ReportReader, PointsThatGroupThousands) {
  expect_tables({
      {"| Contexto | Latencia (ms) | Pico (MiB) |\n|---|---|---|\n"
       "| 1.024 | 1.234,5 | 10.000 |\n| 16.384 | 2.345,6 | 12.288 |\n",
       "figure.latencia 1234.5 @3 {\"context\":1024,\"unit\":\"ms\"}\n"
       "figure.pico 10000 @3 {\"context\":1024,\"unit\":\"MiB\"}\n"
       "figure.latencia 2345.6 @4 {\"context\":16384,\"unit\":\"ms\"}\n"
       "figure.pico 12288 @4 {\"context\":16384,\"unit\":\"MiB\"}\n",
       ""},
      {"| Contexto | Pico (MiB) |\n|---|---|\n| 1.024 | 10.000 |\n",
       "figure.pico \"10.000\" @3 {\"context\":\"1.024\",\"unit\":\"MiB\"}\n",
       "text 1.024\ntext 10.000\n"},
      {"| Layer | a | b |\n|---|---|---|\n| 0 | 1.340 | 0.958 |\n| 1 | 12.345 ms | 2.5 |\n",
       "figure.a 1.340 @3 {\"layer\":0}\nfigure.b 0.958 @3 {\"layer\":0}\n"
       "figure.a 12.345 @4 {\"layer\":1,\"unit\":\"ms\"}\nfigure.b 2.5 @4 {\"layer\":1}\n",
       ""},
      // Another table of the document proves it; one of the other language does not.
      {"| gap |\n|---|\n| 1.340 |\n\n| mae |\n|---|\n| 0.5 |\n",
       "figure.gap 1.340 @3 {}\nfigure.mae 0.5 @7 {}\n", ""},
      {"## Resultados (ES)\n\n| gap |\n|---|\n| 1.340 |\n\n## Results (EN)\n\n| mae |\n|---|\n"
       "| 0.5 |\n",
       "figure.gap \"1.340\" @5 {}\nfigure.mae 0.5 @11 {}\n", "text 1.340\n"},
      {"**p4_sys (seq_len=206, ctx=1.024)**\n| gap |\n|---|\n| 7 |\n",
       "figure.gap 7 @4 {\"prompt\":\"p4_sys\"}\nfigure.seq_len 206 @1 {\"prompt\":\"p4_sys\"}\n",
       "text ctx=1.024\n"},
  });
}

TEST(ReportReader, OneNumberInTwoLanguagesIsNoContradiction) {
  const auto both = [](const std::string& es, const std::string& en) {
    return read("## Resultados (ES)\n\n| mem |\n|---|\n| " + es +
                " |\n\n## Results (EN)\n\n| mem |\n|---|\n| " + en + " |\n");
  };
  EXPECT_TRUE(both("1.024", "1,024").contradictions.empty());
  EXPECT_EQ(both("1.024", "1,024").figures, 2U);
  EXPECT_TRUE(both("1.024", "1024").contradictions.empty());
  EXPECT_EQ(both("1.024", "1,025").contradictions.size(), 1U);
  EXPECT_EQ(both("1.024", "1.0241").contradictions.size(), 1U);
}

TEST(ReportReader, LlamaBenchsTable) {
  expect_tables({{"| model | size | params | ngl | test | t/s |\n|---|---|---|---|---|---|\n"
                  "| llama | 4.58 GiB | 8.03 B | 99 | pp512 | 1234.56 ± 7.89 |\n",
                  "figure.model \"llama\" @3 {}\nfigure.size 4.58 @3 {\"unit\":\"GiB\"}\n"
                  "figure.params 8.03 @3 {\"unit\":\"billion\"}\nfigure.ngl 99 @3 {}\n"
                  "figure.test \"pp512\" @3 {}\nfigure.t_s 1234.56 @3 {\"unit\":\"tok/s\"}\n"
                  "figure.t_s__spread 7.89 @3 {\"unit\":\"tok/s\"}\n",
                  "t/s is t_s\ntext pp512\n"},
                 {"| x |\n|---|\n| 8 B |\n", "figure.x \"8 B\" @3 {}\n", "text 8 B\n"}});
}

TEST(ReportReader, NoFigureIsDroppedWithoutAWord) {
  expect_tables({
      {"| Layer | gap |\n|---|---|\n| 0 | 1 | 77 |\n| 1 | 2 | |\n",
       "figure.gap 1 @3 {\"layer\":0}\nfigure.gap 2 @4 {\"layer\":1}\n",
       "3: `77` stands under no head\n"},
      {"> | test | gap |\n> |---|---|\n> | `a|b` | 1 |\n",
       "figure.test \"a|b\" @3 {}\n"
       "figure.gap 1 @3 {}\n",
       "3: a | in code taken as a letter, so that the row fits: `a|b | 1`\n"},
      {"| test | gap | x |\n|---|---|---|\n| `a|b` | 1 |\n",
       "figure.test \"`a\" @3 {}\nfigure.gap \"b`\" @3 {}\nfigure.x 1 @3 {}\n",
       "3: a | in code ends a cell (\\| would not): read as ``a | b` | 1`\n"},
      {"| test | gap |\n|---|---|\n| `a\\|b` | 1 |\n| ``c`\\|d`` | 2 |\n",
       "figure.test \"a|b\" @3 {}\nfigure.gap 1 @3 {}\n"
       "figure.test \"c`|d\" @4 {}\nfigure.gap 2 @4 {}\n",
       ""},
      {"| Layer | Layer | gap | gap |\n|---|---|---|---|\n| 1 | 2 | 3 | 4 |\n",
       "figure.layer_2 2 @3 {\"layer\":1}\nfigure.gap 3 @3 {\"layer\":1}\n"
       "figure.gap_2 4 @3 {\"layer\":1}\n",
       "Layer is layer_2\ngap is gap_2\n"},
      {"| Metric | p4_sys | p4_sys |\n|---|---|---|\n| gap | 3 | 4 |\n| | 5 | |\n",
       "figure.gap 3 @3 {\"prompt\":\"p4_sys\"}\nfigure.gap_2 4 @3 {\"prompt\":\"p4_sys\"}\n",
       "p4_sys is gap_2\n4: its Metric is blank, and nothing says which it is: ` | 5 | `\n"
       "4: `5` has no name in its row or head\n"},
  });
}

TEST(ReportReader, ListsAndRangesOfLayers) {
  expect_tables({
      {"| Capas | x |\n|---|---|\n| 0, 1 | 7 |\n| 4..5 | 8 |\n| 6-7 | 9 |\n",
       "figure.x 7 @3 {\"layer\":0}\nfigure.x 7 @3 {\"layer\":1}\n"
       "figure.x 8 @4 {\"layer\":4}\nfigure.x 8 @4 {\"layer\":5}\n"
       "figure.x 9 @5 {\"layer\":6}\nfigure.x 9 @5 {\"layer\":7}\n",
       ""},
      {"| Layer | x |\n|---|---|\n| 12/31 | 7 |\n| 31* | ∞ |\n| L30 | ½ |\n| 3-0 | 1_000 |\n"
       "| 0-999999999 | 0x1F |\n",
       "figure.x 7 @3 {\"layer\":\"12/31\"}\nfigure.x \"∞\" @4 {\"layer\":\"31*\"}\n"
       "figure.x \"½\" @5 {\"layer\":\"L30\"}\nfigure.x \"1_000\" @6 {\"layer\":\"3-0\"}\n"
       "figure.x \"0x1F\" @7 {\"layer\":\"0-999999999\"}\n",
       "text 12/31\ntext 31*\ntext ∞\ntext ½\ntext 3-0\ntext 1_000\ntext 0-999999999\n"
       "text 0x1F\ntext L30\n"},
      {"| Context | Batch | x |\n|---|---|---|\n| 4k | 4,8 | 7 |\n",
       "figure.x 7 @3 {\"context\":\"4k\",\"batch\":\"4,8\"}\n", "text 4k\ntext 4,8\n"},
  });
  // A short text does not become figures without number.
  std::string ranges = "| Layer | x |\n|---|---|\n";
  for (int i = 0; i < 1000; ++i) ranges += "| 0-255 | 7 |\n";
  const PastReport report = read(ranges);
  EXPECT_LE(report.figures, 101000U);
  EXPECT_GE(report.texts.size(), 600U);
}

TEST(ReportReader, RowsThatSpeakOfOthers) {
  expect_tables({
      {"| Layer | x |\n|---|---|\n| 3 | 7 |\n| ″ | 8 |\n| idem | ^ |\n",
       "figure.x 7 @3 {\"layer\":3}\nfigure.x 8 @4 {\"layer\":3}\n"
       "figure.x 8 @5 {\"layer\":3}\n",
       "″ is the cell above\nidem is the cell above\n^ is the cell above\n"},
      {"| Layer | x |\n|---|---|\n| 0 | 1 |\n| | 2 |\n| 1 | 3 |\n| | 4 |\n| Total | 10 |\n",
       "figure.x 1 @3 {\"layer\":0}\nfigure.x 2 @4 {\"layer\":0}\n"
       "figure.x 3 @5 {\"layer\":1}\nfigure.x 4 @6 {\"layer\":1}\n"
       "figure.x 10 @7 {\"row\":\"total\"}\n",
       "Total is row total\nblank Layer is the cell above\n"},
      {"| Layer | x |\n|---|---|\n| \" | 7 |\n| | |\n| 1 | 8 |\n| Total | 15 |\n| \" | 9 |\n",
       "figure.x 7 @3 {\"layer\":\"\\\"\"}\nfigure.x 8 @5 {\"layer\":1}\n"
       "figure.x 15 @6 {\"row\":\"total\"}\nfigure.x 9 @7 {\"layer\":\"\\\"\"}\n",
       "Total is row total\n3: `\"` has no cell above\n7: `\"` has no cell above\n"},
      {"| Layer | x |\n|---|---|\n| 0 | 1 |\n| | 2 |\n| 2 | 3 |\n",
       "figure.x 1 @3 {\"layer\":0}\nfigure.x 2 @4 {}\nfigure.x 3 @5 {\"layer\":2}\n",
       "4: its Layer is blank, and nothing says which it is: ` | 2`\n"},
      {"| Layer | x |\n|---|---|\n| — | 1 |\n| 2 | 3 |\n| avg (all) | 2 |\n",
       "figure.x 1 @3 {}\nfigure.x 3 @4 {\"layer\":2}\n"
       "figure.x 2 @5 {\"row\":\"avg_all\"}\n",
       "avg (all) is row avg_all\n"},
      {"| Test | x |\n|---|---|\n| a | 1 |\n| **media** | 2 |\n| all | 3 |\n",
       "figure.test \"a\" @3 {}\nfigure.x 1 @3 {}\nfigure.x 2 @4 {\"row\":\"media\"}\n"
       "figure.test \"all\" @5 {}\nfigure.x 3 @5 {}\n",
       "media is row media\n"},
      {"| Layer | Time | Mem |\n|---|---|---|\n| | (ms) | (MiB) |\n| 0 | 1 | 2 |\n| 1 | 3 | 4 |\n",
       "figure.time 1 @4 {\"layer\":0}\nfigure.mem 2 @4 {\"layer\":0}\n"
       "figure.time 3 @5 {\"layer\":1}\nfigure.mem 4 @5 {\"layer\":1}\n",
       "3: a second row of heads, not understood: ` | (ms) | (MiB)`\n"},
      {"| Prompt | x |\n|---|---|\n| p4_sys | lost |\n| p5_ba | 1 |\n| p0_hi | 2 |\n",
       "figure.x \"lost\" @3 {\"prompt\":\"p4_sys\"}\nfigure.x 1 @4 {\"prompt\":\"p5_ba\"}\n"
       "figure.x 2 @5 {\"prompt\":\"p0_hi\"}\n",
       ""},
  });
}

TEST(ReportReader, PhasesOfRowsAndHeadsAsWritten) {
  expect_tables({
      {"| Phase | TTFT (s) | −log p (nats) |\n|---|---|---|\n| decode 1 | 7 | 1 |\n"
       "| Prefill last | 8 | 2 |\n| Decode | 9 | 3 |\n| prefill | 6 | 4 |\n",
       "figure.ttft 7 @3 {\"phase\":\"decode1\",\"unit\":\"s\"}\n"
       "figure.neg_log_p 1 @3 {\"phase\":\"decode1\",\"unit\":\"nats\"}\n"
       "figure.ttft 8 @4 {\"phase\":\"prefill_last\",\"unit\":\"s\"}\n"
       "figure.neg_log_p 2 @4 {\"phase\":\"prefill_last\",\"unit\":\"nats\"}\n"
       "figure.ttft 9 @5 {\"phase\":\"decode\",\"unit\":\"s\"}\n"
       "figure.neg_log_p 3 @5 {\"phase\":\"decode\",\"unit\":\"nats\"}\n"
       "figure.ttft 6 @6 {\"phase\":\"prefill\",\"unit\":\"s\"}\n"
       "figure.neg_log_p 4 @6 {\"phase\":\"prefill\",\"unit\":\"nats\"}\n",
       "decode 1 is decode1\n−log p (nats) is neg_log_p\n"},
      // The readout of a prefill is that of its last position.
      {"## Readout\n\n| Phase | top1_id | gap |\n|---|---|---|\n| prefill | 7 | 0.5 |\n",
       "readout.top1_id 7 @5 {\"phase\":\"prefill_last\"}\n"
       "readout.gap 0.5 @5 {\"phase\":\"prefill_last\"}\n",
       "prefill is prefill_last\n"},
  });
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

TEST(ReportReader, DatesInWords) {
  const std::tuple<const char*, const char*> cases[] = {
      {"Fecha: 2 de mayo de 2026", "2026-05-02"},
      {"Date: 2 May 2026", "2026-05-02"},
      {"**Date:** May 2nd, 2026", "2026-05-02"},
      {"Date: 29 Feb 2024", "2024-02-29"},
      {"Date: 29 Feb 2026", ""},
      {"Date: 03/02/2026", ""},
      {"Date: 2026-05-02", "2026-05-02"},
      {"Fecha: 12 setos de 2026", ""},
  };
  for (const auto& [line, date] : cases) {
    const PastReport report = read(std::string("# B3.1\n\n") + line + "\n");
    EXPECT_EQ(report.date, date) << line;
    EXPECT_EQ(report.not_taken.size(), report.date.empty() ? 1U : 0U) << line;
  }
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
