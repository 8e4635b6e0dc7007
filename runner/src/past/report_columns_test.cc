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
      {"Métrica", Use::label, "métrica", "{}", ""},
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

// What one head says, another must not take.
TEST(ReportColumns, EveryHeadKeepsItsName) {
  const std::tuple<std::vector<std::string>, std::vector<std::string>> cases[] = {
      {{"Δgap", "gap", "σ", "μ", "λ₁", "Größe"}, {"Δgap", "gap", "σ", "μ", "λ₁", "größe"}},
      {{"ошибка", "зазор", "误差", "año", "ano"}, {"ошибка", "зазор", "误差", "año", "ano"}},
      {{"Top-1", "top1 (%)", "gap", "gap (%)", "gap [ms]"},
       {"top1_id", "top1", "gap", "gap_percent", "gap_ms"}},
      {{"top1", "top1_id"}, {"top1", "top1_id"}},
      {{"log p", "-log p", "−log p/token", "- x"}, {"log_p", "neg_log_p", "neg_log_p_token", "x"}},
      {{"", "✅", "→"}, {"row", "column_2", "column_3"}},
      {{"gap", "gap", "GAP", "gap_2"}, {"gap", "gap_2", "gap_3", "gap_2_2"}},
      {{"Layer", "Capa", "Layer", "Layer"}, {"layer", "capa", "layer_2", "layer_2_2"}},
      {{"Config", "Exp"}, {"variant", "exp"}},
      {{"Step", "Step (ms)", "Context (tokens)"}, {"step", "step", "context"}},
  };
  for (const auto& [heads, names] : cases) {
    std::vector<std::string> found;
    for (const ReportColumn& column : report_columns(heads, {})) found.push_back(column.name);
    EXPECT_EQ(found, names) << heads[0];
  }
}

TEST(ReportColumns, UnitsOfHeads) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {"gap (%)", "gap", "percent"},
      {"Δ %", "Δ", "percent"},
      {"acc %", "acc", "percent"},
      {"%", "percent", "percent"},
      {"Power, W", "power", "W"},
      {"tok/s", "tok_s", "tok/s"},
      {"t/s", "t_s", "tok/s"},
      {"decode tok/s", "decode_tok_s", "tok/s"},
      {"latency ms", "latency_ms", "ms"},
      {"Size (B)", "size", "bytes"},
      {"params (B)", "params", "billion"},
      {"x (B)", "x_b", ""},
      {"min", "min", ""},
      {"MAE, x", "mae_x", ""},
      {"Block s", "block_s", ""},
  };
  for (const auto& [head, name, unit] : cases) {
    const ReportColumn column = report_column(head, {});
    EXPECT_EQ(column.name, name) << head;
    EXPECT_EQ(column.unit, unit) << head;
    EXPECT_EQ(column.written, head);
  }
}

TEST(ReportColumns, PhasesInTheContractsWords) {
  const std::tuple<const char*, const char*> cases[] = {{"decode 1", "decode1"},
                                                        {"Decode step 12", "decode12"},
                                                        {"decode0", "decode0"},
                                                        {"Decode", "decode"},
                                                        {"Prefill last", "prefill_last"},
                                                        {"prefill", "prefill"},
                                                        {"último prefill", "prefill_last"},
                                                        {"decode0_shadow", ""},
                                                        {"decode 01", ""},
                                                        {"warmup", ""},
                                                        {"", ""}};
  for (const auto& [text, phase] : cases) EXPECT_EQ(phase_name(text), phase) << text;
  EXPECT_EQ(report_column("decode 1 top1", {}).keys.dump(), R"({"phase":"decode1"})");
}

TEST(ReportColumns, LabelsOfRowsAreReadAsHeads) {
  const ReportColumn gap = report_label("gap decode");
  EXPECT_EQ(gap.name, "gap");
  EXPECT_EQ(gap.keys.dump(), R"({"phase":"decode0"})");
  EXPECT_EQ(gap.kind, "readout");
  EXPECT_EQ(report_label("Speed (tok/s)").name, "speed");
  EXPECT_EQ(report_label("Speed (tok/s)").unit, "tok/s");
  EXPECT_EQ(report_label("Layer").name, "layer");
  EXPECT_EQ(report_label("decode0").name, "decode0");
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
