// Void results of past runs, by figures like theirs: each finding has a case, and a case beside it
// that is not one.

#include <gtest/gtest.h>

#include "ingest/bundle_fixture.h"
#include "store/diff.h"

namespace greta::store {
namespace {

class PastLints : public StoreFixture {
 protected:
  std::vector<std::string> ids(const std::string& parts) {
    const auto run =
        store().import_recorded("[{\"milestone\": \"B1\", " + parts + "}]", "test.yaml");
    EXPECT_TRUE(run) << run.error().str();
    if (!run) return {};
    const int64_t id = *store().resolve(run->front());
    const auto found = lints(store(), id);
    EXPECT_TRUE(found) << found.error().str();
    std::vector<std::string> out;
    for (const Lint& lint : found.value_or(std::vector<Lint>())) {
      EXPECT_NE(lint.message, lint.message_es);
      const auto rows = store().query(lint.query, id);
      EXPECT_TRUE(rows && !rows->rows.empty()) << lint.query;
      out.push_back(lint.id);
    }
    return out;
  }
};

std::string figure(const std::string& metric, const std::string& value, const std::string& parts) {
  return R"({"metric": ")" + metric + R"(", "value": )" + value + ", " + parts + "}";
}

std::string arms(const std::string& second) {
  const std::string of = R"("record": "attn_l0_pipe", "layer": 0, "prompt": "p4_sys", "variant": )";
  return R"("flags": {"GRETA_TRACE_STAGE_DEBUG_INPUT": 1},
            "variants": {"E1": {"GRETA_QKV_FORCE_ROUTE": "valu"},
                         "E2": {"GRETA_QKV_FORCE_ROUTE": "mfma"}}, "metrics": [)" +
         figure("q_mae", "0.5375", of + "\"E1\"") + "," + figure("k_mae", "0.199", of + "\"E1\"") +
         "," + figure("q_mae", "0.5375", of + "\"E2\"") + "," +
         figure("k_mae", second, of + "\"E2\"") + "]";
}

std::string probe(const std::string& row, const std::string& column) {
  return "\"metrics\": [" + figure("row_window", row, R"("record": "lmhead_w_verify")") + "," +
         figure("col_window", column, R"("record": "lmhead_w_verify")") + "]";
}

std::string positions(const std::string& flags, const std::string& nearest) {
  const std::string of =
      R"("record": "post_wo_trace", "phase": "prefill_last_vs_decode0", "layer": 0, "prompt": )";
  return "\"flags\": {" + flags + "}, \"metrics\": [" +
         figure("ffn_norm_mae", "0.1675", of + "\"p4_sys\"") + "," +
         figure("mlp_out_mae", nearest, of + "\"p5_ba\"") + "]";
}

std::string hashes(const std::string& equal) {
  const std::string of = R"("record": "stage_trace", "phase": "decode0")";
  return "\"metrics\": [" + figure("sample_n", "256", of) + "," + figure("hash_match", equal, of) +
         "]";
}

std::string samples(const std::string& stride) {
  const std::string of = R"("record": "stage_trace", "phase": "decode0", "prompt": "p4_sys")";
  return "\"metrics\": [" + figure("sample_n", "256", of) + "," +
         figure("stride_elems", stride, of) + "," + figure("hash", "\"7648363339390251139\"", of) +
         "]";
}

std::string counts(const std::string& more) {
  return "\"metrics\": [" + figure("ok", "3", R"("record": "summary")") + "," +
         figure("fail", "0", R"("record": "summary")") + more + "]";
}

TEST_F(PastLints, VoidResultsAreNamedAndOthersAreNot) {
  const std::tuple<std::string, const char*> cases[] = {
      {arms("0.199"), "arms_equal_errors"},
      {arms("0.198"), ""},
      {probe("0", "0"), "probe_cannot_tell"},
      {probe("0.25", "0"), ""},
      {positions("", "0.3590"), "unlike_positions"},
      {positions("", "2.5e-9"), ""},
      {positions(R"("GRETA_TRACE_STAGE_DEBUG_INPUT": 1)", "0.3590"), ""},
      {hashes("true"), "hash_of_a_part"},
      {hashes("false"), ""},
      {samples("4096"), "hash_of_a_part"},
      {samples("256"), ""},
      {counts(""), "counts_alone"},
      {counts("," + figure("wo_out_mae", "1e-9", R"("record": "stage_trace")")), ""},
  };
  for (const auto& [entry, expected] : cases) {
    const auto found = ids(entry);
    const std::vector<std::string> wanted =
        *expected == '\0' ? std::vector<std::string>() : std::vector<std::string>{expected};
    EXPECT_EQ(found, wanted) << entry;
  }
}

// A report may name its arms and give their routes in one flag.
TEST_F(PastLints, RoutesOfOneFlagAreForcedToo) {
  std::string entry = arms("0.199");
  const size_t begin = entry.find("\"variants\""), end = entry.find("\"metrics\"");
  entry.erase(begin, end - begin);
  EXPECT_TRUE(ids(entry).empty());
  entry.insert(entry.find('{') + 1, R"("GRETA_QKV_FORCE_ROUTE": "mfma|valu|auto", )");
  EXPECT_EQ(ids(entry), std::vector<std::string>{"arms_equal_errors"});
}

TEST_F(PastLints, AnArmThatForcesNothingIsNoComparison) {
  std::string entry = arms("0.199");
  for (size_t at; (at = entry.find("FORCE_")) != std::string::npos;) entry.erase(at, 6);
  EXPECT_TRUE(ids(entry).empty());
}

TEST_F(PastLints, AVerdictWithoutItsRowsIsSaidAsOne) {
  const auto run = store().import_recorded(
      R"([{"milestone": "B1", "metrics": [{"metric": "readout_mismatch", "record": "readout",
          "prompt": "p4_sys", "value": true}]}])",
      "test.yaml");
  ASSERT_TRUE(run) << run.error().str();
  const auto found = lints(store(), *store().resolve(run->front()));
  ASSERT_TRUE(found && found->size() == 1U);
  EXPECT_EQ(
      found->front().message,
      "readout_mismatch is true (variant=default, prompt=p4_sys), without the two rows in this "
      "record");
}

// Lines of one file that hold two prompts: only the length tells them apart.
TEST_F(PastLints, ThePromptsOfOneFileAreNotMixed) {
  std::string metrics;
  for (const auto& [length, layer, mae] : {std::tuple{206, 0, "6e-11"}, std::tuple{206, 1, "7e-11"},
                                           std::tuple{46, 0, "1e-3"}, std::tuple{46, 1, "2e-3"}}) {
    const std::string of = R"("record": "attn_decode_verify", "phase": "decode0", "layer": )" +
                           std::to_string(layer) + R"(, "run": ")" + std::to_string(length) + '"';
    metrics += (metrics.empty() ? "" : ",") + figure("attn_out_mae", mae, of) + "," +
               figure("seq_len_used", std::to_string(length), of);
  }
  EXPECT_TRUE(ids("\"metrics\": [" + metrics + "]").empty());
}

}  // namespace
}  // namespace greta::store
