#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "gates/compare_fixture.h"
#include "store/diff.h"

namespace greta::store {
namespace {

class DiffSets : public RunFixture {
 protected:
  int64_t with_gap(double gap, const std::string& commit = "c0ffee") {
    TestRun run = clean_run();
    run.environment["commit"] = commit;
    run.attempts[0].records["readout"][0]["gap"] = gap;
    return add(run);
  }
  Diff compare(const Side& a, const Side& b) {
    auto found = diff(store(), a, b);
    EXPECT_TRUE(found) << found.error().str();
    return found ? *found : Diff{};
  }
  // A run that has the cells of another from the cache.
  int64_t cached(int64_t of) {
    RunStart start;
    start.milestone = "T1";
    start.title_json = start.prose_json = start.resolved_json = "{}";
    const auto name = store().begin_run(start);
    EXPECT_TRUE(name) << name.error().str();
    const auto cells = store().query(
        "SELECT identity, variant, variant_json, prompt, repeat, bundle, request FROM cells", of);
    EXPECT_TRUE(cells) << cells.error().str();
    for (const auto& row : cells->rows) {
      const CellRow cell{.identity = row[0].text,
                         .variant = row[1].text,
                         .variant_json = row[2].text,
                         .prompt = row[3].text,
                         .repeat = row[4].integer,
                         .status = "ok",
                         .reason = "",
                         .bundle = row[5].text,
                         .request = row[6].text,
                         .cached = true};
      EXPECT_TRUE(store().add_cell(*name, cell));
    }
    EXPECT_TRUE(store().finish_run(*name, RunStatus::complete, ""));
    return *store().resolve(*name);
  }
};

TEST_F(DiffSets, RunsOfOneSideAreRepeats) {
  const int64_t low = with_gap(0.5), high = with_gap(0.75), middle = with_gap(0.625);
  EXPECT_EQ(compare({{low}, {}}, {{middle}, {}}).verdict, Verdict::diverged);
  const Diff found = compare({{low, high, low}, {}}, {{middle}, {}});
  EXPECT_EQ(found.verdict, Verdict::within_floor) << found.reason;
  EXPECT_TRUE(found.mixed_a.empty());
  const auto json = Json::parse(to_json(found));
  EXPECT_EQ(json["a"]["runs"].size(), 2u) << "each run once";
  EXPECT_EQ(json["b"]["runs"].size(), 1u);
  EXPECT_NE(to_markdown(found, 20).find("2 runs"), std::string::npos);
  EXPECT_NE(to_junit(found).find(json["a"]["runs"][1]["run"].get<std::string>()),
            std::string::npos);
}

TEST_F(DiffSets, WhatASideMixesIsNoNoise) {
  const int64_t low = with_gap(0.5), high = with_gap(0.75, "beef"), near = with_gap(0.625);
  const Diff found = compare({{low, high}, {}}, {{near}, {}});
  ASSERT_EQ(found.mixed_a.size(), 1u);
  EXPECT_EQ(found.mixed_a[0].what, "commit");
  EXPECT_EQ(found.mixed_a[0].values, (std::vector<std::string>{"c0ffee", "beef"}));
  EXPECT_EQ(found.verdict, Verdict::diverged);
  const std::string text = to_markdown(found, 20);
  EXPECT_LT(text.find("**A mixes** commit c0ffee \\| beef"), text.find("**diverged**")) << text;
  EXPECT_EQ(Json::parse(to_json(found))["a"]["mixed"][0]["what"], "commit");
  // Of the values of a side, those two are judged that are farthest apart.
  const Diff far = compare({{low, high}, {}}, {{with_gap(0.5), with_gap(0.25, "beef")}, {}});
  ASSERT_FALSE(far.metrics.empty());
  EXPECT_EQ(far.metrics[0].a, "0.75");
  EXPECT_EQ(far.metrics[0].b, "0.25");
  EXPECT_EQ(far.mixed_b.size(), 1u);
}

TEST_F(DiffSets, OneSideOfSeveralModelsIsNotComparable) {
  TestRun other_model = clean_run(), other_shape = clean_run(), same = clean_run();
  other_model.environment["model.sha256"] = "bb22";
  for (Json& record : other_shape.attempts[0].records["attn_decode_verify"])
    record["head_dim"] = 128;
  const int64_t clean = add(clean_run()), partner = add(same);
  const struct {
    int64_t run;
    const char* reason;
  } cases[] = {{add(other_model), "one side mixes models: another model"},
               {add(other_shape), "one side mixes shapes: head_dim "}};
  for (const auto& c : cases) {
    for (const bool first : {true, false}) {
      const Side mixed{{clean, c.run}, {}}, single{{partner}, {}};
      const Diff found = first ? compare(mixed, single) : compare(single, mixed);
      EXPECT_EQ(found.verdict, Verdict::not_comparable);
      EXPECT_EQ(exit_code(found), 5);
      EXPECT_NE(found.reason.find(c.reason), std::string::npos) << found.reason;
      EXPECT_EQ(Json::parse(to_json(found))["exit_code"], 5);
    }
  }
}

TEST_F(DiffSets, PromptsOfOneSideWithOtherBytesAreNotComparable) {
  TestRun other = clean_run();
  other.prompts["p1"] = "Other";
  const int64_t a = add(clean_run()), b = add(other), c = add(clean_run());
  const Diff found = compare({{a, b}, {}}, {{c}, {}});
  EXPECT_EQ(found.verdict, Verdict::not_comparable) << found.reason;
  EXPECT_EQ(found.reason, "prompt p1 has other bytes");
  EXPECT_GT(found.identical, 0) << "p2 is compared all the same";
}

TEST_F(DiffSets, ARunIsNotComparedWithItself) {
  const int64_t a = add(clean_run()), b = add(clean_run());
  for (const auto& sides :
       {std::pair{Side{{a}, {}}, Side{{a}, {}}}, std::pair{Side{{a, b}, {}}, Side{{b}, {}}}}) {
    const auto found = diff(store(), sides.first, sides.second);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().exit_code, 2);
    EXPECT_NE(found.error().str().find("compared with itself"), std::string::npos);
  }
}

TEST_F(DiffSets, RecordsFromTheCacheAreSaid) {
  const int64_t a = add(clean_run()), b = add(clean_run());
  const Diff found = compare({{a}, {}}, {{cached(a)}, {}});
  EXPECT_EQ(found.shared, 12);
  EXPECT_EQ(found.records, 12);
  EXPECT_NE(to_markdown(found, 20).find("12 of 12 matched records are the same"),
            std::string::npos);
  EXPECT_EQ(compare({{a}, {}}, {{b}, {}}).shared, 0);
}

TEST_F(DiffSets, TheSameTextAsOtherTokensDivergesThere) {
  const auto tokens = [](int64_t second) {
    TestRun run = clean_run();
    for (const char* prompt : {"p1", "p2"}) {
      for (int64_t index = 0; index < 2; ++index) {
        run.attempts[0].records["tokens"].push_back(
            {{"request", prompt},
             {"index", index},
             {"source", "prompt"},
             {"token_id", index == 1 && std::string(prompt) == "p1" ? second : 7}});
      }
    }
    return run;
  };
  TestRun other = tokens(9);
  other.attempts[0].records["readout"][0]["gap"] = 9.0;
  const int64_t a = add(tokens(8)), b = add(other), c = add(tokens(8));
  const Diff found = compare({{a}, {}}, {{b}, {}});
  EXPECT_EQ(found.verdict, Verdict::diverged);
  EXPECT_EQ(exit_code(found), 1);
  EXPECT_EQ(found.reason, "first at tokens.token_id (prompt=p1, index=1): 8 / 9");
  EXPECT_EQ(found.other_prompts,
            std::vector<std::string>{"prompt p1 has the same bytes, but became other tokens"});
  EXPECT_EQ(found.diverged, 1) << "what was fed other tokens is not judged";
  EXPECT_GT(found.not_comparable, 0);
  EXPECT_EQ(compare({{a}, {}}, {{c}, {}}).verdict, Verdict::identical);
}

TEST_F(DiffSets, AFieldOfAnotherTypeIsSaid) {
  TestRun numbers = clean_run(), texts = clean_run();
  for (Json& record : numbers.attempts[0].records["readout"]) record["extra_figure"] = 0.5;
  for (Json& record : texts.attempts[0].records["readout"]) record["extra_figure"] = "half";
  const int64_t a = add(numbers), b = add(texts);
  const Diff found = compare({{a}, {}}, {{b}, {}});
  std::vector<std::string> said;
  for (const OneSided& one : found.one_sided) said.push_back(one.what);
  EXPECT_EQ(said, (std::vector<std::string>{
                      "extra_figure as number (in B it is text), so it is not compared",
                      "extra_figure as text (in A it is number), so it is not compared"}));
  EXPECT_TRUE(compare({{a}, {}}, {{add(numbers)}, {}}).one_sided.empty());
}

// Where the largest of errors lies that are all within their bound is a matter of chance.
TEST_F(DiffSets, ThePlaceOfNoiseIsNotJudged) {
  const auto worst_at = [](int64_t dim, double rel_l2) {
    TestRun run = clean_run();
    Json& record = run.attempts[0].records["attn_decode_verify"][0];
    record["worst_dim"] = dim;
    record["rel_l2"] = rel_l2;
    return run;
  };
  const int64_t noise = add(worst_at(3, 0x1p-18)), other = add(worst_at(9, 0x1p-18)),
                wrong = add(worst_at(9, 0.5));
  EXPECT_EQ(compare({{noise}, {}}, {{other}, {}}).verdict, Verdict::within_floor);
  const Diff found = compare({{noise}, {}}, {{wrong}, {}});
  EXPECT_EQ(found.diverged, 2);
  EXPECT_NE(found.reason.find("attn_decode_verify.rel_l2"), std::string::npos) << found.reason;
}

// A hash without statistics of its own, and a sample of elements: the record's figures explain
// them.
TEST_F(DiffSets, AHashIsExplainedByWhatMoved) {
  const auto changed = [](double min_by, const char* hash) {
    TestRun run = clean_run();
    Json& record = run.attempts[0].records["attn_decode_verify"][0];
    record["other_hash"] = hash;
    record["attn_out_min"] = record["attn_out_min"].get<double>() + min_by;
    record["attn_out_hash"] = hash;
    return run;
  };
  const int64_t a = add(changed(0, "00000000000000aa"));
  const struct {
    double min_by;
    Verdict verdict;
  } cases[] = {{0x1p-20, Verdict::within_floor}, {0, Verdict::diverged}, {0.5, Verdict::diverged}};
  for (const auto& c : cases) {
    const Diff found = compare({{a}, {}}, {{add(changed(c.min_by, "00000000000000bb"))}, {}});
    for (const MetricDiff& metric : found.metrics) {
      if (!metric.metric.ends_with("_hash") || metric.a == metric.b) continue;
      EXPECT_EQ(metric.verdict, c.verdict) << metric.metric << " " << c.min_by;
    }
    EXPECT_EQ(found.verdict, c.verdict) << c.min_by;
  }
}

TEST_F(DiffSets, AFigureOfAllHeadsIsOneRow) {
  TestRun other = clean_run();
  for (Json& record : other.attempts[0].records["attn_decode_verify"])
    if (record["layer"] == 1) record["attn_out_max"] = 0.5;
  const Diff found = compare({{add(clean_run())}, {}}, {{add(other)}, {}});
  EXPECT_EQ(found.diverged, 4) << "two heads of two prompts";
  const std::string text = to_markdown(found, 20);
  EXPECT_NE(text.find("layer=1, head=0 and 1 more heads"), std::string::npos) << text;
  EXPECT_EQ(text.find("layer=1, head=1"), std::string::npos) << text;
}

TEST_F(DiffSets, EveryFigureHasItsQuery) {
  const int64_t a = with_gap(0.5), b = with_gap(9.0);
  const Diff found = compare({{a}, {}}, {{b}, {}});
  const auto json = Json::parse(to_json(found));
  const auto rows = store().query(json["metrics"][0]["query"].get<std::string>(), -1);
  ASSERT_TRUE(rows) << rows.error().str();
  ASSERT_EQ(rows->rows.size(), 2u);
  EXPECT_EQ(rows->columns.back(), "gap");
  EXPECT_EQ((std::set{rows->rows[0].back().real, rows->rows[1].back().real}), (std::set{0.5, 9.0}));
  EXPECT_EQ(json["first"]["query"], json["metrics"][0]["query"]);
  const std::string text = to_markdown(found, 20);
  EXPECT_NE(text.find("Its records: `greta query \"SELECT"), std::string::npos) << text;
  EXPECT_EQ(text.find("Their queries"), std::string::npos);
  EXPECT_NE(to_markdown(found, 20, true).find("Their queries"), std::string::npos);
}

}  // namespace
}  // namespace greta::store
