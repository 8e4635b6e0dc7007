#include <gtest/gtest.h>

#include "ingest/bundle_fixture.h"

namespace greta::store {
namespace {

constexpr const char* kEntry = R"([{
  "milestone": "B3.20", "date": "2026-02-03", "title": {"en": "A title", "es": "Un título"},
  "commit": "1448f28e195f1dcfe27da2ab1c7e653dcd115de9", "model": "m.gguf",
  "flags": {"GRETA_TRACE": 1, "GRETA_LAYERS": "0,1"},
  "variants": {"fused_mfma": {"GRETA_KERNEL": "fused", "GRETA_MATMUL": "mfma"}},
  "prompts": ["p4_sys"], "outcome": {"en": "It failed."}, "next": "B3.21",
  "metrics": [
    {"metric": "attn_out_mae", "record": "attn_decode_verify", "prompt": "p4_sys",
     "phase": "decode0", "layer": 0, "variant": "fused_mfma", "value": 6.00923e-11},
    {"metric": "kv_invariant_ok", "record": "attn_decode_verify", "prompt": "p4_sys",
     "phase": "decode0", "layer": 0, "variant": "fused_mfma", "value": true},
    {"metric": "attn_out_mae", "record": "attn_decode_verify", "prompt": "p4_sys",
     "phase": "decode0", "layer": 31, "variant": "fused_mfma", "value": 0},
    {"metric": "top1_id", "record": "readout", "prompt": "p4_sys", "phase": "decode0",
     "variant": "fused_mfma", "value": "ERROR"},
    {"metric": "time", "context": 4096, "run": "first", "batch": 2, "value": 180, "unit": "s",
     "bound": "more_than", "approx": true},
    {"metric": "time", "context": 4096, "run": "first", "batch": 2, "value": 181, "unit": "s"},
    {"metric": "context", "context": 8, "value": 9}]}])";

class Recorded : public StoreFixture {
 protected:
  std::vector<std::string> import_json(const std::string& json) {
    const auto runs = store().import_recorded(json, "h.yaml");
    EXPECT_TRUE(runs) << runs.error().str();
    return runs.value_or(std::vector<std::string>());
  }
};

TEST_F(Recorded, FiguresStandInTheTablesOfTheirRecords) {
  import_json(kEntry);
  EXPECT_EQ(ask("SELECT milestone, provenance, \"commit\", variant, prompt, phase, layer,"
                " attn_out_mae, kv_invariant_ok FROM attn_decode_verify ORDER BY layer"),
            "B3.20|recorded|1448f28e195f1dcfe27da2ab1c7e653dcd115de9|fused_mfma|p4_sys|decode0|0|"
            "6.00923e-11|1\n"
            "B3.20|recorded|1448f28e195f1dcfe27da2ab1c7e653dcd115de9|fused_mfma|p4_sys|decode0|31|"
            "0.0|∅");
  EXPECT_EQ(ask("SELECT phase, top1_id, top1_id__text FROM readout"), "decode0|∅|ERROR");
}

TEST_F(Recorded, QualifiersRepeatsAndOddNamesAreKept) {
  import_json(kEntry);
  EXPECT_EQ(ask("SELECT variant, prompt, context, run__field, batch, time, time__unit, time__bound,"
                " time__approx, context__value FROM figure ORDER BY record"),
            "default|∅|4096|first|2|180|s|more_than|1|∅\ndefault|∅|4096|first|2|181|s|∅|∅|∅\n"
            "default|∅|8|∅|∅|∅|∅|∅|∅|9");
  EXPECT_EQ(ask("SELECT field || ' ' || role FROM fields WHERE kind = 'figure' AND role = 'key'"
                " ORDER BY 1"),
            "batch key\ncontext key\nrun key");
}

TEST_F(Recorded, TheReportAroundTheFiguresIsKept) {
  const auto runs = import_json(kEntry);
  ASSERT_EQ(runs.size(), 1U);
  EXPECT_TRUE(runs[0].starts_with("B3.20-recorded-")) << runs[0];
  EXPECT_EQ(ask("SELECT provenance, status, started_at, json_extract(title, '$.es'),"
                " json_extract(prose, '$.outcome.en'), json_extract(prose, '$.next'),"
                " json_extract(resolved, '$.model') FROM runs"),
            "recorded|complete|2026-02-03T00:00:00.000Z|Un título|It failed.|B3.21|m.gguf");
  EXPECT_EQ(ask("SELECT name, value, source, read FROM flags ORDER BY 1"),
            "GRETA_LAYERS|0,1|given|∅\nGRETA_TRACE|1|given|∅");
  EXPECT_EQ(ask("SELECT axis, value FROM axes ORDER BY 1"),
            "GRETA_KERNEL|fused\nGRETA_MATMUL|mfma");
  EXPECT_EQ(ask("SELECT value FROM environment WHERE key = 'model.file'"), "m.gguf");
  EXPECT_EQ(ask("SELECT id FROM prompts"), "p4_sys");
  const auto entry = store().file_bytes(ask("SELECT bundle FROM bundles"), "entry.json");
  ASSERT_TRUE(entry);
  EXPECT_EQ(nlohmann::json::parse(*entry), nlohmann::json::parse(kEntry)[0]);
}

TEST_F(Recorded, TheSameTwiceIsOneAndAnEditionIsAnother) {
  const auto first = import_json(kEntry);
  EXPECT_EQ(import_json(kEntry), first);
  EXPECT_EQ(ask("SELECT count(*) FROM runs"), "1");
  auto edited = nlohmann::json::parse(kEntry);
  edited[0]["metrics"][0]["value"] = 7e-11;
  const auto second = import_json(edited.dump());
  EXPECT_NE(second, first);
  EXPECT_EQ(store().select("B3.20@recorded")->name, second[0]);
}

TEST_F(Recorded, ARecordedCellSatisfiesNoCache) {
  import_json(kEntry);
  EXPECT_EQ(ask("SELECT count(*) FROM cells WHERE identity IS NOT NULL"), "0");
}

TEST_F(Recorded, BrokenEntriesLeaveNothing) {
  const std::pair<const char*, const char*> cases[] = {
      {"{}", "not a list"},
      {"[{}]", "no `milestone`"},
      {R"([{"milestone":"B1"}])", "recorded milestone B1: `metrics` must be a list"},
      {R"([{"milestone":"B1","metrics":[]},{"milestone":"B2","metrics":[{"metric":"x"}]}])",
       "recorded milestone B2: a figure needs `metric` and `value`"},
  };
  for (const auto& [json, part] : cases) {
    const auto runs = store().import_recorded(json, "h.yaml");
    ASSERT_FALSE(runs) << json;
    EXPECT_NE(runs.error().str().find(part), std::string::npos) << runs.error().str();
  }
  EXPECT_EQ(ask("SELECT count(*) FROM runs"), "0");
}

}  // namespace
}  // namespace greta::store
