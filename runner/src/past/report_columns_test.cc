#include "past/report_columns.h"

#include <gtest/gtest.h>

namespace greta::runner {
namespace {

using Use = ReportColumn::Use;

TEST(ReportColumns, HeadsInBothLanguages) {
  const std::tuple<const char*, Use, const char*, const char*, const char*> cases[] = {
      {"Layer", Use::key, "layer", "{}", ""},
      {"Capa", Use::key, "layer", "{}", ""},
      {"Prompt", Use::key, "prompt", "{}", ""},
      {"Configuración", Use::key, "variant", "{}", ""},
      {"attn_out_mae", Use::field, "attn_out_mae", "{}", ""},
      {"mfma_hash == valu_hash", Use::field, "hash_equal", "{}", "mfma_vs_valu"},
      {"prefill_last_top1", Use::field, "top1_id", R"({"phase":"prefill_last"})", "readout"},
      {"decode0_top1", Use::field, "top1_id", R"({"phase":"decode0"})", "readout"},
      {"gap prefill", Use::field, "gap", R"({"phase":"prefill_last"})", "readout"},
      {"gap decode", Use::field, "gap", R"({"phase":"decode0"})", "readout"},
      {"decode3 top1", Use::field, "top1_id", R"({"phase":"decode3"})", "readout"},
      {"Prefill time (s)", Use::field, "prefill_time", "{}", ""},
      {"decode tok/s", Use::field, "decode_tok_s", "{}", ""},
      {"p5_ba", Use::values, "", R"({"prompt":"p5_ba"})", ""},
      {"decode0", Use::values, "", R"({"phase":"decode0"})", ""},
      {"Métrica", Use::label, "metrica", "{}", ""},
      {"Valor", Use::values, "valor", "{}", ""},
      {"", Use::label, "", "{}", ""},
  };
  for (const auto& [head, use, name, keys, kind] : cases) {
    const ReportColumn column = report_column(head, {"p4_sys", "p5_ba"});
    EXPECT_EQ(column.use, use) << head;
    EXPECT_EQ(column.name, name) << head;
    EXPECT_EQ(column.keys.dump(), keys) << head;
    EXPECT_EQ(column.kind, kind) << head;
  }
  EXPECT_EQ(report_column("Prefill time (s)", {}).unit, "s");
}

TEST(ReportColumns, ALabelNeedsColumnsOfValues) {
  const auto with = report_columns({"Metric", "p4_sys", "p5_ba"}, {"p4_sys", "p5_ba"});
  EXPECT_EQ(with[0].use, Use::label);
  EXPECT_EQ(with[1].use, Use::values);
  const auto without = report_columns({"Metric", "gap"}, {});
  EXPECT_EQ(without[0].use, Use::field);
  const auto alone = report_columns({"Layer", "decode0"}, {});
  EXPECT_EQ(alone[1].use, Use::field);
  EXPECT_EQ(alone[1].name, "value");
}

TEST(ReportColumns, Cells) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {"6.00923e-11", "6.00923e-11", "6.00923e-11"},
      {" 6.57923e-04 ", "0.000657923", "6.57923e-04"},
      {"0", "0", "0"},
      {"127158", "127158", "127158"},
      {"14695981039346656037", "14695981039346656037", "14695981039346656037"},
      {"true", "true", ""},
      {"FALSE", "false", ""},
      {"", "null", ""},
      {"—", "null", ""},
      {"-", "null", ""},
      {"n/a", "null", ""},
      {"nan", "\"NaN\"", ""},
      {"-inf", "\"-Infinity\"", ""},
      {"OK", "\"OK\"", ""},
      {"1,234", "\"1,234\"", ""},
      {"007", "\"007\"", ""},
      {"2026-02-03", "\"2026-02-03\"", ""},
      {"12 of 20", "\"12 of 20\"", ""},
  };
  for (const auto& [text, value, printed] : cases) {
    const ReportCell cell = report_cell(text);
    EXPECT_EQ(cell.value.dump(), value) << text;
    EXPECT_EQ(cell.printed, printed) << text;
  }
  const ReportCell time = report_cell("> 180.5 s");
  EXPECT_EQ(time.value, 180.5);
  EXPECT_EQ(time.unit, "s");
  EXPECT_EQ(time.bound, "more_than");
  EXPECT_TRUE(report_cell("~20 tok/s").approx);
  EXPECT_EQ(report_cell("95 %").unit, "percent");
}

TEST(ReportColumns, KindsByFieldsThenByHeadings) {
  const std::tuple<std::vector<std::string>, std::vector<std::string>, std::vector<std::string>,
                   const char*>
      cases[] = {
          {{"attn_out_mae", "kv_invariant_ok"}, {}, {}, "attn_decode_verify"},
          {{"attn_out_mae", "attn_out_max_diff", "hash_equal"},
           {"mfma_vs_valu"},
           {},
           "mfma_vs_valu"},
          {{"attn_out_mae"}, {}, {"mfma vs valu (shadow)"}, "mfma_vs_valu"},
          {{"attn_out_mae"}, {}, {"attn_out vs ref"}, "attn_decode_verify"},
          {{"attn_out_mae"}, {}, {"results"}, ""},
          {{"top1_id", "gap"}, {"readout", "readout"}, {}, "readout"},
          {{"attn_ref_mae", "attn_accum_mae"}, {}, {}, "attn_precision_ref"},
          {{"min", "max", "mean", "status"}, {}, {}, ""},
          {{"pv_mae"}, {}, {}, "attn_vacc_trace"},
          {{}, {}, {}, ""},
      };
  for (const auto& [fields, hints, headings, kind] : cases)
    EXPECT_EQ(report_kind(fields, hints, headings), kind) << (fields.empty() ? "" : fields[0]);
}

}  // namespace
}  // namespace greta::runner
