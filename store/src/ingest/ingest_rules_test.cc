// Every rule of SCHEMA.md about how a line becomes a row, each by an example.

#include <gtest/gtest.h>

#include "ingest/bundle_fixture.h"
#include "tables/typed_tables.h"

namespace greta::store {
namespace {

struct Rule {
  const char* name;
  const char* file;  // name of the records file
  const char* lines;
  const char* sql;
  const char* answer;
};

class IngestRules : public StoreFixture, public testing::WithParamInterface<Rule> {};

TEST_P(IngestRules, Holds) {
  const Rule& rule = GetParam();
  TestBundle bundle;
  bundle.files[std::string("out/") + rule.file] = {.bytes = rule.lines};
  import(bundle);
  EXPECT_EQ(ask(rule.sql), rule.answer);
}

constexpr Rule kRules[] = {
    {"KindIsTheEvent", "x.jsonl", "{\"event\":\"alpha\",\"v\":1}\n", "SELECT v FROM alpha", "1"},
    {"ElseTheFilesStem", "beta.jsonl", "{\"v\":2}\n{\"event\":\"\",\"v\":3}\n",
     "SELECT v FROM beta", "2\n3"},
    {"AnEventThatIsNoTextIsAField", "x.jsonl", "{\"event\":7}\n", "SELECT event FROM x", "7"},
    {"KnownKindsHaveTheirTypes", "readout.jsonl",
     "{\"top1_id\":5,\"gap\":1,\"readout_mismatch\":true,\"logits_hash\":\"00ff\"}\n",
     "SELECT top1_id, typeof(top1_id), gap, typeof(gap), readout_mismatch, logits_hash FROM "
     "readout",
     "5|integer|1.0|real|1|00ff"},
    {"AValueThatDoesNotFitGetsAColumn", "readout.jsonl",
     "{\"top1_id\":\"ERROR\"}\n{\"top1_id\":1.5}\n{\"top1_id\":true}\n{\"top1_id\":[1]}\n",
     "SELECT top1_id, top1_id__text, top1_id__real, top1_id__boolean, top1_id__json FROM readout",
     "∅|ERROR|∅|∅|∅\n∅|∅|1.5|∅|∅\n∅|∅|∅|1|∅\n∅|∅|∅|∅|[1]"},
    {"NewFieldsOfAKnownKind", "readout.jsonl", "{\"phase\":\"decode0\",\"extra_field\":\"x\"}\n",
     "SELECT phase, extra_field FROM readout", "decode0|x"},
    {"WholeAndRealNumbersShareAColumn", "k.jsonl", "{\"x\":0}\n{\"x\":0.5}\n",
     "SELECT x, typeof(x) FROM k", "0|integer\n0.5|real"},
    {"TextThatLooksLikeANumberStaysText", "k.jsonl", "{\"x\":\"007\"}\n",
     "SELECT x, typeof(x) FROM k", "007|text"},
    {"ATypeIsNeverCoerced", "k.jsonl", "{\"x\":1}\n{\"x\":\"1\"}\n{\"x\":false}\n",
     "SELECT x, x__text, x__boolean FROM k", "1|∅|∅\n∅|1|∅\n∅|∅|0"},
    {"NotFiniteIsNaNOrInfinity", "readout.jsonl",
     "{\"gap\":\"NaN\"}\n{\"gap\":\"Infinity\"}\n{\"gap\":-Infinity}\n{\"gap\":nan}\n",
     "SELECT gap, typeof(gap), gap > 1e308, gap < -1e308 FROM readout WHERE typeof(gap) = 'text'"
     " UNION ALL SELECT gap = 9e999, typeof(gap), gap > 1e308, gap < -1e308 FROM readout"
     " WHERE typeof(gap) <> 'text'",
     "NaN|text|1|0\nNaN|text|1|0\n1|real|1|0\n0|real|0|1"},
    {"NaNIsLargerThanAnyLimit", "readout.jsonl", "{\"gap\":0.1}\n{\"gap\":\"NaN\"}\n",
     "SELECT max(gap), sum(gap <= 1) FROM readout", "NaN|1"},
    {"ABareNaNMakesTheLineNonstandard", "k.jsonl", "{\"x\":nan}\n",
     "SELECT state, x FROM records"
     " JOIN k USING (record)",
     "nonstandard|NaN"},
    {"IntegersBeyond64BitsAreText", "k.jsonl",
     "{\"x\":18446744073709551615}\n{\"x\":123456789012345678901234567890}\n{\"x\":7}\n",
     "SELECT x, x__text FROM k", "∅|18446744073709551615\n∅|123456789012345678901234567890\n7|∅"},
    {"RealsBeyondADoubleAreText", "k.jsonl", "{\"x\":1e999}\n{\"x\":2}\n",
     "SELECT x, x__text FROM k", "∅|1e999\n2|∅"},
    {"HashesAreTextWhateverTheirSize", "k.jsonl",
     "{\"q_hash\":14305319198029099000}\n{\"q_hash\":42}\n{\"q_hash\":\"00ff\"}\n",
     "SELECT q_hash, typeof(q_hash) FROM k", "14305319198029099000|text\n42|text\n00ff|text"},
    {"DescribedHashesToo", "readout.jsonl", "{\"logits_hash\":10258821295820573148}\n",
     "SELECT logits_hash FROM readout", "10258821295820573148"},
    {"WholeNumbersADoubleCannotHold", "readout.jsonl", "{\"gap\":9007199254740993}\n",
     "SELECT gap, gap__integer FROM readout", "∅|9007199254740993"},
    {"NestedValuesAreJsonAsWritten", "k.jsonl", "{\"o\":{\"b\": [1,  2.50]},\"l\":[1]}\n",
     "SELECT o, l, json_extract(o, '$.b[1]') FROM k", "{\"b\": [1,  2.50]}|[1]|2.5"},
    {"TheLastOfEqualKeysWins", "k.jsonl", "{\"a\":1,\"b\":2,\"a\":3}\n",
     "SELECT a, b, state FROM k JOIN records USING (record)", "3|2|duplicate_keys"},
    {"EvenWhenItIsNull", "k.jsonl", "{\"b\":1,\"a\":1,\"a\":null}\n{\"a\":1}\n",
     "SELECT b, a FROM k", "1|∅\n∅|1"},
    {"EvenWhenTheTypeChanges", "k.jsonl", "{\"a\":1}\n{\"a\":\"x\",\"a\":2}\n{\"a\":\"y\"}\n",
     "SELECT a, a__text FROM k ORDER BY record", "1|∅\n2|∅\n∅|y"},
    {"EqualEventsToo", "k.jsonl", "{\"event\":\"a\",\"event\":\"b\",\"v\":1}\n", "SELECT v FROM b",
     "1"},
    {"ATornLastLineIsKeptAndNotTyped", "k.jsonl", "{\"a\":1}\n{\"a\":2",
     "SELECT group_concat(state), (SELECT count(*) FROM k) FROM records", "ok,torn|1"},
    {"AWholeObjectNeedsNoNewlineAtTheEnd", "k.jsonl", "{\"a\":1}\n{\"a\":2}",
     "SELECT group_concat(state), (SELECT sum(a) FROM k) FROM records", "ok,ok|3"},
    {"BlanksWithoutANewlineAreTorn", "k.jsonl", "{\"a\":1}\n  ",
     "SELECT group_concat(state), (SELECT sum(a) FROM k) FROM records", "ok,torn|1"},
    {"InvalidLinesAreKept", "k.jsonl", "{\"a\":1}\nnot json\n[1]\n{\"a\":\"\xff\"}\n{\"a\":2}\n",
     "SELECT group_concat(state), (SELECT sum(a) FROM k) FROM records",
     "ok,invalid,invalid,invalid,ok|3"},
    {"BlankLinesAreKept", "k.jsonl", "{\"a\":1}\n\n \r\n",
     "SELECT group_concat(state) FROM records", "ok,blank,blank"},
    {"NamesThatDifferInCaseAreTwoColumns", "k.jsonl", "{\"Step\":1,\"step\":2,\"STEP\":3}\n",
     "SELECT k.Step, step__2, step__3, f.field FROM k, fields f WHERE f.\"column\" = 'step__3'",
     "1|2|3|STEP"},
    {"NamesOfTheViewsOwnColumnsAreMarked", "k.jsonl",
     "{\"run\":\"a\",\"Prompt\":\"b\",\"commit\":\"c\",\"record\":1}\n",
     "SELECT run__field, Prompt__field, commit__field, record__field FROM k", "a|b|c|1"},
    {"TruthValuesAreNoNames", "k.jsonl", "{\"true\":5,\"a\":1}\n{\"a\":2,\"FALSE\":3}\n",
     "SELECT true__field, a, FALSE__field FROM k ORDER BY record", "5|1|∅\n∅|2|3"},
    {"NamesThatNeedQuotes", "k.jsonl", "{\"a b\":1,\"\":2,\"x\\ny\":3,\"é\\\"\":4,\"select\":5}\n",
     "SELECT \"a b\", _, x_y, \"é\"\"\", \"select\" FROM k", "1|2|3|4|5"},
    {"KindsOnlyATableNameApart", "k.jsonl",
     "{\"event\":\"a-b\",\"v\":1}\n{\"event\":\"a_b\",\"v\":2}\n"
     "{\"event\":\"A_B\",\"v\":3}\n",
     "SELECT k.view, k.\"table\" FROM kinds k WHERE kind IN ('a-b', 'a_b', 'A_B')"
     " ORDER BY kind = 'A_B', kind = 'a_b'",
     "a_b|rec_a_b\na_b_2|rec_a_b_2\nA_B_3|rec_A_B_3"},
    {"KindsNamedLikeAViewOrAWord", "k.jsonl",
     "{\"event\":\"runs\",\"v\":1}\n{\"event\":\"Select\",\"v\":2}\n{\"event\":\"run\",\"v\":3}\n",
     "SELECT (SELECT v FROM runs_records), (SELECT v FROM Select_records), v FROM run_records",
     "1|2|3"},
    {"RequestsThatNoCellHas", "k.jsonl", "{\"request\":\"other\",\"v\":1}\n",
     "SELECT prompt, request, v FROM k", "∅|other|1"},
    {"ANumberCanNameARequest", "k.jsonl", "{\"request\":5,\"v\":1}\n", "SELECT request, v FROM k",
     "5|1"},
    {"ARequestThatIsNoNameIsAField", "k.jsonl", "{\"request\":[1],\"v\":1}\n",
     "SELECT request, request__field, v FROM k", "p1|[1]|1"},
    {"OneCellTakesLinesWithoutARequest", "k.jsonl", "{\"v\":1}\n", "SELECT prompt, request FROM k",
     "p1|p1"},
    {"AByteOrderMark", "k.jsonl", "\xef\xbb\xbf{\"a\":1}\n", "SELECT a FROM k", "1"},
    {"CarriageReturns", "k.jsonl", "{\"a\":\"x\"}\r\n",
     "SELECT a, length FROM k JOIN records USING"
     " (record)",
     "x|10"},
    {"RolesFromNames", "k.jsonl", "{\"layer\":1,\"x_hash\":\"a\",\"buf_ptr\":\"0x1\",\"v\":2}\n",
     "SELECT group_concat(field || '=' || role) FROM fields WHERE kind = 'k'",
     "layer=key,x_hash=hash,buf_ptr=address,v=value"},
};

INSTANTIATE_TEST_SUITE_P(All, IngestRules, testing::ValuesIn(kRules),
                         [](const auto& rule) { return std::string(rule.param.name); });

using IngestLimits = StoreFixture;

TEST_F(IngestLimits, WideKindsKeepTheRestInExtra) {
  nlohmann::ordered_json line;
  for (int i = 0; i < 450; ++i) line["f" + std::to_string(i)] = i;
  line["last"] = "te\"xt";
  TestBundle bundle;
  bundle.files["out/wide.jsonl"] = {.bytes = line.dump() + "\n{\"f0\":1,\"g\":NaN,\"f449\":[2]}\n"};
  import(bundle);
  EXPECT_EQ(ask("SELECT f0, f399, json_extract(extra, '$.f400'), json_extract(extra, '$.f449'),"
                " json_extract(extra, '$.last') FROM wide"),
            "0|399|400|449|te\"xt\n1|∅|∅|[2]|∅");
  EXPECT_EQ(ask("SELECT json_extract(extra, '$.g') FROM wide WHERE f0 = 1"), "NaN");
  EXPECT_EQ(ask("SELECT count(*) FROM fields WHERE kind = 'wide'"),
            std::to_string(kMaxColumns + 1));
  // Who asks for one by its name is told where it is; a name that nothing has is still unknown.
  EXPECT_NE(ask("SELECT f449 FROM wide")
                .find("keeps this one in `extra`: json_extract(extra, '$.\"f449\"')"),
            std::string::npos)
      << ask("SELECT f449 FROM wide");
  EXPECT_EQ(ask("SELECT json_extract(extra, '$.\"f449\"') FROM wide WHERE f0 = 0"), "449");
  EXPECT_EQ(ask("SELECT f4499 FROM wide").find("extra"), std::string::npos);
}

TEST_F(IngestLimits, ADescriptionMayBeWiderThanATable) {
  nlohmann::ordered_json fields = nlohmann::ordered_json::array(), line;
  for (int i = 0; i < 2500; ++i) {
    fields.push_back({{"name", "f" + std::to_string(i)}, {"type", "integer"}});
    line["f" + std::to_string(i)] = i;
  }
  const nlohmann::ordered_json description = {
      {"records", {{"version", 1}, {"kinds", {{"wide", {{"doc", ""}, {"fields", fields}}}}}}}};
  TestBundle bundle;
  bundle.files["describe.json"] = {.bytes = description.dump(), .role = "describe"};
  bundle.files["out/wide.jsonl"] = {.bytes = line.dump() + "\n"};
  import(bundle);
  EXPECT_EQ(ask("SELECT f0, f1499, json_extract(extra, '$.f1500'), json_extract(extra, '$.f2499')"
                " FROM wide"),
            "0|1499|1500|2499");
}

TEST_F(IngestLimits, KindsOfAnyNameGetAViewThatSqliteAllows) {
  struct Case {
    std::string event, view;  // view: "" where only its being there counts
  };
  const std::vector<Case> cases = {
      {"sqlite_x", "kind_sqlite_x"},
      {"sqlite_", "kind_sqlite_"},
      {"SQLITE_master", "kind_SQLITE_master"},
      {"sqlite_sequence", "kind_sqlite_sequence"},
      {"kind_sqlite_x", "kind_sqlite_x_2"},
      {"rec_x", "kind_rec_x"},
      {"x_records", "x_records"},
      {"main", "main_records"},
      {"Temp", "Temp_records"},
      {"1", "1"},
      {"", "file_stem"},
      {std::string(10'000, 'k'), std::string(60, 'k')},
      {std::string(10'000, 'k') + "2", std::string(60, 'k') + "_2"},
      {"a\"b'c]d`e;--", "a_b_c_d_e___"},
      {std::string("n\0l", 3), "n_l"},
      {"x", "x"},
      {"x_by_request", "x_by_request"},
      {"json_each", "json_each_records"},
      {"pragma_table_info", "kind_pragma_table_info"},
      {"\u00f1and\u00fa", ""},
  };
  std::string lines;
  for (size_t i = 0; i < cases.size(); ++i)
    lines += nlohmann::json{{"event", cases[i].event}, {"v", i}}.dump() + "\n";
  TestBundle bundle;
  bundle.files["out/file_stem.jsonl"] = {.bytes = lines};
  ASSERT_NE(import(bundle), "");
  const int64_t run = store().resolve(ask("SELECT run FROM runs")).value();
  for (size_t i = 0; i < cases.size(); ++i) {
    const std::string number = std::to_string(i);
    std::string view = cases[i].view;
    if (view.empty())
      view =
          ask("SELECT k.view_name FROM kind k JOIN records x ON x.kind = k.name WHERE x.line = " +
              std::to_string(i + 1));
    for (const int64_t scope : {int64_t{-1}, run})
      EXPECT_EQ(ask("SELECT v FROM " + quoted_name(view), scope), number) << view;
  }
}

TEST_F(IngestLimits, TooManyKindsShareOne) {
  std::string lines;
  for (int i = 0; i < kMaxUndescribedKinds + 20; ++i)
    lines += "{\"event\":\"kind" + std::to_string(i) + "\",\"v\":" + std::to_string(i) + "}\n";
  TestBundle bundle;
  bundle.files["out/many.jsonl"] = {.bytes = lines};
  import(bundle);
  EXPECT_EQ(ask("SELECT event, v FROM other_kinds ORDER BY v DESC LIMIT 1"),
            "kind" + std::to_string(kMaxUndescribedKinds + 19) + "|" +
                std::to_string(kMaxUndescribedKinds + 19));
  EXPECT_EQ(ask("SELECT count(*) FROM records"), std::to_string(kMaxUndescribedKinds + 20));
}

TEST_F(IngestLimits, DescriptionsThatDisagreeAreBothKept) {
  const auto described = [](const char* type) {
    return std::string(R"({"records":{"version":1,"kinds":{"probe":{"doc":"A probe.","fields":[)"
                       R"({"name":"layer","type":"integer","role":"key"},)"
                       R"({"name":"x","type":")") +
           type + R"(","unit":"s","doc":"the x"}]}}}})";
  };
  TestBundle bundle;
  bundle.files["describe.json"] = {.bytes = described("integer"), .role = "describe"};
  bundle.files["out/probe.jsonl"] = {.bytes = "{\"layer\":0,\"x\":1}\n"};
  import(bundle, "a");
  bundle.files["describe.json"].bytes = described("real");
  bundle.files["out/probe.jsonl"] = {.bytes = "{\"layer\":1,\"x\":1}\n{\"layer\":2,\"x\":0.5}\n"};
  import(bundle, "b");
  EXPECT_EQ(ask("SELECT layer, x, x__v2 FROM probe ORDER BY layer"), "0|1|∅\n1|∅|1.0\n2|∅|0.5");
  bundle.files["describe.json"].bytes = described("integer");
  bundle.salt = 1;  // the first engine once more: its own column
  bundle.files["out/probe.jsonl"] = {.bytes = "{\"layer\":3,\"x\":3}\n"};
  import(bundle, "c");
  EXPECT_EQ(ask("SELECT x, x__v2 FROM probe WHERE layer = 3"), "3|∅");
  EXPECT_EQ(
      ask("SELECT \"column\", type, role, version, unit, doc FROM fields WHERE kind = 'probe'"),
      "layer|integer|key|1||\nx|integer|value|1|s|the x\nx__v2|real|value|2|s|the x");
}

// A manifest of past files says whose the lines are that name no request.
TEST_F(IngestLimits, TheRequestIsTheLinesElseThatOfItsPromptElseTheFiles) {
  const std::string lines =
      "{\"v\":1}\n{\"v\":2,\"prompt_id\":\"p4_sys\"}\n{\"v\":3,\"prompt_id\":\"other\"}\n"
      "{\"v\":4,\"prompt_id\":\"p4_sys\",\"request\":\"r\"}\n";
  write(root_ / "past/x.jsonl", lines);
  const auto cell = [](const char* variant, const char* prompt, const char* request) {
    return nlohmann::json({{"variant", variant},
                           {"variant_axes", {{"variant", variant}}},
                           {"prompt", prompt},
                           {"request", request},
                           {"status", "ok"}});
  };
  const nlohmann::json manifest = {{"manifest", 1},
                                   {"provenance", "recorded"},
                                   {"status", "ok"},
                                   {"milestone", "B3.20"},
                                   {"cells", {cell("E1", "p4_sys", "a"), cell("E2", "p5_ba", "b")}},
                                   {"files",
                                    {{{"name", "x.jsonl"},
                                      {"bytes", lines.size()},
                                      {"sha256", sha256_hex(lines)},
                                      {"role", "records"},
                                      {"request", "b"},
                                      {"request_of_prompt", {{"p4_sys", "a"}}}}}}};
  const auto run = store().import_files(root_ / "past", manifest.dump());
  ASSERT_TRUE(run) << run.error().str();
  EXPECT_EQ(ask("SELECT v, variant, prompt, request FROM x WHERE v < 4 ORDER BY v"),
            "1|E2|p5_ba|b\n2|E1|p4_sys|a\n3|E2|p5_ba|b");
  EXPECT_EQ(ask("SELECT prompt, request FROM x WHERE v = 4"), "∅|r");
  EXPECT_EQ(ask("SELECT variant, axis, value FROM axes ORDER BY 1"),
            "E1|variant|E1\nE2|variant|E2");
}

TEST_F(IngestLimits, DescribedKindsAreEmptyViews) {
  TestBundle bundle;
  bundle.files["describe.json"] = {
      .bytes = R"({"records":{"version":1,"kinds":{"never":{"doc":"","fields":[)"
               R"({"name":"x","type":"real"}]}}}})",
      .role = "describe"};
  import(bundle);
  EXPECT_EQ(ask("SELECT count(x) FROM never"), "0");
  EXPECT_EQ(ask("SELECT count(rel_l2) FROM attn_decode_verify"),
            "0");  // of the contract, never written
}

}  // namespace
}  // namespace greta::store
