#include "past/past_names.h"

#include <gtest/gtest.h>

namespace greta::runner {
namespace {

TEST(PastNames, MilestonesAndDates) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {"B3.21 — Attention", "B3.21", ""},
      {"b3_21_attn_verify.jsonl", "B3.21", ""},
      {"2026_02_03_B3_21_attention_decode.md", "B3.21", "2026-02-03"},
      {"2026_02_05_B3_57_1_normout.md", "B3.57.1", "2026-02-05"},
      {"B3.57.1 audit", "B3.57.1", ""},
      {"artifacts_remote/2026-02-03/b3_6_rerun", "B3.6", "2026-02-03"},
      {"B3.5", "B3.5", ""},
      {"(B3.22)", "B3.22", ""},
      {"MI300X, Q4_K, bB3", "", ""},
      {"ab3_21", "", ""},
      {"b3", "", ""},
      {"12026-02-03 2026-02-3 2026-13-01 2026-02-033", "", ""},
      {"", "", ""},
  };
  for (const auto& [text, milestone, date] : cases) {
    EXPECT_EQ(milestone_in(text), milestone) << text;
    EXPECT_EQ(date_in(text), date) << text;
  }
}

TEST(PastNames, PromptsAndCommits) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {"p4_sys (seq_len=206)", "p4_sys", ""},
      {"Prompt `p6_len_16`:", "p6_len_16", ""},
      {"ap4_sys p4 p4_ top_4", "", ""},
      {"Commit: 13d491f7e7916c1ef5595dbfd73b94841dfa63e2", "",
       "13d491f7e7916c1ef5595dbfd73b94841dfa63e2"},
      {"commit ead8681, dirty", "", "ead8681"},
      {"1234567 abcdefa 12ab", "", ""},
  };
  for (const auto& [text, prompt, commit] : cases) {
    EXPECT_EQ(prompt_in(text), prompt) << text;
    EXPECT_EQ(commit_in(text), commit) << text;
  }
}

TEST(PastNames, FilesSayWhatTheirLinesAre) {
  const std::tuple<const char*, const char*, const char*, const char*> cases[] = {
      {"b3_21_attn_verify.jsonl", "attn_decode_verify", "", ""},
      {"b3_21_attn_mfma_vs_valu.jsonl", "mfma_vs_valu", "", ""},
      {"b3_21_p4_prefill_decode.jsonl", "readout", "p4_sys", ""},
      {"b3_21_p5_ba_prefill_decode.jsonl", "readout", "p5_ba", ""},
      {"b3_14_p0_prefill_decode_delta.jsonl", "delta", "p0", ""},
      {"b3_42_p6_len_16_rmsnorm.jsonl", "rmsnorm_trace", "p6_len_16", ""},
      {"b3_20_p4_fused_mfma_attn_verify.jsonl", "attn_decode_verify", "p4_sys", "fused_mfma"},
      {"B3.6_landscape.jsonl", "landscape", "", ""},
      {"2026_02_04_b3_38_stage.jsonl.gz", "stage_trace", "", ""},
      {"readout.jsonl", "readout", "", ""},
      {"b3_23_softmax_trace.jsonl", "attn_softmax_trace", "", ""},
      {"b3_99_something_new.jsonl", "something_new", "", ""},
      {"b3_99.jsonl", "", "", ""},
  };
  for (const auto& [name, kind, prompt, variant] : cases) {
    const FileNameParts parts = file_name_parts(name);
    EXPECT_EQ(parts.kind, kind) << name;
    EXPECT_EQ(parts.prompt, prompt) << name;
    EXPECT_EQ(parts.variant, variant) << name;
  }
}

TEST(PastNames, NumbersThatStandAlone) {
  for (const char* text : {"MAE 0.0420", "decode0→96965", "6.00923e-11", "layer 31", "x=1"})
    EXPECT_TRUE(has_number(text)) << text;
  for (const char* text : {"B3.21 on MI300X", "decode0", "p4_sys", "Q4_K_M", "", "fp32, B3.57.1"})
    EXPECT_FALSE(has_number(text)) << text;
}

}  // namespace
}  // namespace greta::runner
