// A metric by its name: which records it finds, in what order, and what it says when there are
// none.

#include <gtest/gtest.h>
#include <sqlite3.h>

#include "history/history_fixture.h"
#include "store/metric.h"

namespace greta::store {
namespace {

class MetricQueryTest : public HistoryFixture {
 protected:
  // Two milestones, two prompts, two layers; a fault in one; another kind with the same field.
  void SetUp() override {
    StoreFixture::SetUp();
    const auto line = [](const std::string& prompt, int layer, double rel_l2) {
      return nlohmann::json({{"request", prompt},
                             {"phase", "decode0"},
                             {"step", 1},
                             {"layer", layer},
                             {"head", 0},
                             {"rel_l2", rel_l2},
                             {"kv_invariant_ok", rel_l2 < 0.5}})
                 .dump() +
             "\n";
    };
    first_ = add({.milestone = "B1",
                  .date = "2026-02-03",
                  .lines = line("p1", 0, 0.1) + line("p1", 1, 0.2) + line("p2", 0, 0.3),
                  .commit = "aaaa1111",
                  .variant = "GRETA_X=1,GRETA_Y=a",
                  .axes = {{"GRETA_X", "1"}, {"GRETA_Y", "a"}},
                  .prompts = {"p1", "p2"},
                  .kind = "attn_decode_verify"});
    second_ = add({.milestone = "B2",
                   .date = "2026-02-01",  // ingested later, ran earlier
                   .lines = line("p1", 0, 0.9) + line("p1", 1, 0.4),
                   .commit = "bbbb2222",
                   .variant = "GRETA_X=2,GRETA_Y=a",
                   .axes = {{"GRETA_X", "2"}, {"GRETA_Y", "a"}},
                   .kind = "attn_decode_verify"});
    add({.milestone = "B2",
         .date = "2026-02-05",
         .lines = "{\"request\":\"p1\",\"phase\":\"decode0\",\"step\":1,\"layer\":0,\"head\":0,"
                  "\"rel_l2\":\"NaN\"}\n",
         .commit = "cccc3333",
         .kind = "mfma_vs_valu"});
  }

  static MetricQuestion question(std::vector<MetricFilter> filters = {}) {
    return {.metric = "attn_decode_verify.rel_l2", .filters = std::move(filters)};
  }
  // The values alone, of a query that must be accepted as SQL.
  std::string values(const MetricQuestion& asked) {
    const auto query = metric_query(store(), asked);
    if (!query) return query.error().str();
    return ask("SELECT group_concat(v, ' ') FROM (SELECT \"" + query->value + "\" AS v FROM (" +
               query->sql + "))");
  }
  std::string why(const MetricQuestion& asked) {
    const auto said = why_nothing(store(), asked, {});
    return said ? *said : said.error().str();
  }
  std::string first_, second_;
};

TEST_F(MetricQueryTest, FiltersChooseRecords) {
  struct Case {
    std::vector<MetricFilter> filters;
    const char* values;
  };
  const Case cases[] = {
      {{}, "0.9 0.4 0.1 0.2 0.3"},
      {{{"milestone", {"B1"}}}, "0.1 0.2 0.3"},
      {{{"milestone", {"B*"}}}, "0.9 0.4 0.1 0.2 0.3"},
      {{{"milestone", {"B[12]"}}, {"prompt", {"p2"}}}, "0.3"},
      {{{"milestone", {"B1@recorded"}}}, "∅"},
      {{{"prompt", {"p2", "p1"}}}, "0.9 0.4 0.1 0.2 0.3"},
      {{{"layer", {"1"}}}, "0.4 0.2"},
      {{{"layer", {"0-1"}}}, "0.9 0.4 0.1 0.2 0.3"},
      {{{"layer", {"1", "7-9"}}}, "0.4 0.2"},
      {{{"commit", {"aaaa"}}}, "0.1 0.2 0.3"},
      {{{"commit", {"AAAA"}}}, "∅"},
      {{{"provenance", {"executed"}}, {"repeat", {"0"}}, {"layer", {"1"}}}, "0.4 0.2"},
      {{{"variant", {"GRETA_X=2,*"}}}, "0.9 0.4"},
      {{{"phase", {"decode*"}}, {"layer", {"1"}}}, "0.4 0.2"},
      {{{"kv_invariant_ok", {"false"}}}, "0.9"},
  };
  for (const Case& test : cases) {
    std::string shown;
    for (const auto& filter : test.filters) shown += filter.column + " " + filter.accepted[0] + " ";
    EXPECT_EQ(values(question(test.filters)), test.values) << shown;
  }
  MetricQuestion axis = question();
  axis.axes = {{"GRETA_X", "2"}, {"GRETA_Y", "a"}};
  EXPECT_EQ(values(axis), "0.9 0.4");
  MetricQuestion where = question({{"layer", {"0"}}});
  where.where = "rel_l2 < 0.5 OR head = 7 -- it may end in a comment";
  EXPECT_EQ(values(where), "0.1 0.3");
  where.where = "milestone = 'B2'";
  EXPECT_EQ(values(where), "0.9");
}

TEST_F(MetricQueryTest, ABareNameMeansEveryKindThatHasIt) {
  MetricQuestion asked{.metric = "rel_l2"};
  const auto query = metric_query(store(), asked);
  ASSERT_TRUE(query) << query.error().str();
  EXPECT_EQ(query->sources.size(), 2U) << "kinds without records are no part of it";
  EXPECT_EQ(ask("SELECT kind, count(*) FROM (" + query->sql + ") GROUP BY 1"),
            "attn_decode_verify|5\nmfma_vs_valu|1");
  asked.filters = {{"commit", {"cccc"}}};
  EXPECT_EQ(values(asked), "NaN");
  asked.filters = {{"kv_invariant_ok", {"true"}}};  // a field of one of them
  EXPECT_EQ(values(asked), "0.4 0.1 0.2 0.3");
}

TEST_F(MetricQueryTest, Orders) {
  using Order = MetricQuestion::Order;
  MetricQuestion asked{.metric = "rel_l2"};
  asked.order = Order::worst;
  EXPECT_EQ(values(asked), "NaN 0.9 0.4 0.3 0.2 0.1");
  asked.limit = 2;
  EXPECT_EQ(values(asked), "NaN 0.9");
  asked.limit = 0;
  asked.order = Order::best;
  EXPECT_EQ(values(asked), "0.1 0.2 0.3 0.4 0.9 NaN");
  MetricQuestion truth{.metric = "kv_invariant_ok"};
  truth.order = Order::worst;
  EXPECT_EQ(values(truth), "0 1 1 1 1");
}

TEST_F(MetricQueryTest, Aggregates) {
  const auto agg = [&](const std::string& name, std::vector<std::string> by,
                       const std::string& metric = "attn_decode_verify.rel_l2") {
    MetricQuestion asked{.metric = metric};
    asked.agg = name;
    asked.by = std::move(by);
    const auto query = metric_query(store(), asked);
    return query ? ask(query->sql) : query.error().str();
  };
  EXPECT_EQ(agg("max", {}), "0.9|5");
  EXPECT_EQ(agg("min", {"milestone"}), "B2|0.4|2\nB1|0.1|3");
  EXPECT_EQ(agg("mean", {"milestone"}), "B2|0.65|2\nB1|0.20000000000000004|3");
  EXPECT_EQ(agg("median", {"milestone"}), "B2|0.65|2\nB1|0.2|3");
  EXPECT_EQ(agg("median", {}), "0.3|5");
  EXPECT_EQ(agg("count", {"layer"}), "0|3|3\n1|2|2");
  EXPECT_EQ(agg("last", {}), "0.3|5") << "the last line of the newest run, not of the last ingest";
  EXPECT_EQ(agg("last", {"prompt"}), "p1|0.2|4\np2|0.3|1");
  EXPECT_EQ(agg("", {"prompt"}), "p1|0.9|4\np2|0.3|1") << "by itself: the largest";
  EXPECT_EQ(agg("", {"milestone"}, "kv_invariant_ok"), "B2|0|2\nB1|1|3") << "true in all of them?";
  EXPECT_EQ(agg("max", {"day"}), "2026-02-01|0.9|2\n2026-02-03|0.3|3");
  EXPECT_EQ(agg("max", {"kv_invariant_ok"}), "1|0.4|4\n0|0.9|1")
      << "both begin with B2; B1 came in first";
  add({.milestone = "B7",
       .lines = "{\"request\":\"p1\",\"gap\":\"Infinity\"}\n{\"request\":\"p1\",\"gap\":"
                "\"-Infinity\"}\n"});
  for (const char* name : {"mean", "median"})
    EXPECT_EQ(agg(name, {}, "readout.gap"), "NaN|2") << name << " of two infinities";
  // A NaN is never averaged away.
  for (const char* name : {"max", "min", "mean", "median"})
    EXPECT_EQ(agg(name, {}, "mfma_vs_valu.rel_l2"), "NaN|1") << name;
  EXPECT_EQ(agg("max", {}, "rel_l2"), "attn_decode_verify|0.9|5\nmfma_vs_valu|NaN|1");
}

TEST_F(MetricQueryTest, WallSecondsCountEachProcessOnce) {
  MetricQuestion asked{.metric = "cells.wall_s"};
  EXPECT_EQ(values(asked), "1.0 1.0 1.0");
  asked.filters = {{"milestone", {"B1"}}};
  EXPECT_EQ(values(asked), "1.0") << "two cells of one process";
  asked.filters = {{"prompt", {"p1"}}};
  EXPECT_EQ(values(asked), "1.0 1.0") << "a process of two prompts is of neither";
}

TEST_F(MetricQueryTest, MistakesNameTheNearest) {
  const auto error = [&](const MetricQuestion& asked) {
    const auto query = metric_query(store(), asked);
    return query ? "no error" : query.error().str();
  };
  EXPECT_EQ(error({.metric = "rel_l3"}),
            "no record kind has a field `rel_l3` (did you mean `rel_l2`?)");
  EXPECT_EQ(error({.metric = "readuot.gap"}),
            "no record kind has a field `readuot.gap` (did you mean `readout.gap`?)");
  EXPECT_EQ(error({.metric = "readout"}).substr(0, 57),
            "`readout` is a record kind: name a field of it, such as r");
  EXPECT_EQ(error(question({{"layr", {"1"}}})),
            "the records of attn_decode_verify have no `layr` (did you mean `layer`?)");
  EXPECT_EQ(error(question({{"layer", {"x"}}})),
            "`x` is no layer: a number such as 3, or a range such as 0-3");
  for (const char* number : {"1-", "-", "1-2-3", ".", "1.", "1;DROP TABLE run"})
    EXPECT_NE(error(question({{"layer", {number}}})), "no error") << number;
  MetricQuestion asked = question();
  asked.agg = "maximum";
  EXPECT_NE(error(asked).find("unknown aggregate `maximum`"), std::string::npos);
  asked = {.metric = "attn_decode_verify.phase"};
  asked.agg = "mean";
  EXPECT_EQ(error(asked), "`phase` is text: there is no mean of it, but last and count");
  asked = question();
  asked.by = {"hed"};
  EXPECT_NE(error(asked).find("did you mean `head`?"), std::string::npos) << error(asked);
  asked = question();
  asked.where = "hed = 1";
  EXPECT_EQ(error(asked), "--where:1:1: no such column: hed (did you mean `head`?)");
  // One condition, which closes no bracket of the query and is followed by nothing.
  asked.where = "1=1) OR (1=1";
  EXPECT_EQ(error(asked), "--where:1:4: near \")\": syntax error");
  asked.where = "1 LIMIT 1";
  EXPECT_EQ(error(asked), "--where `1 LIMIT 1`: one condition, and nothing after it");
  for (const char* more : {"1 /*", "1 ORDER BY 1", "1; SELECT 1", "1 UNION SELECT 1", "1 --\n)"}) {
    asked.where = more;
    EXPECT_NE(error(asked), "no error") << more;
  }
  for (const char* one : {"(1=1) OR (1=1)", "layer IN (SELECT 1) -- all", "phase = ')'"}) {
    asked.where = one;
    EXPECT_EQ(error(asked), "no error") << one;
  }
}

TEST_F(MetricQueryTest, NothingFoundSaysWhatThereIs) {
  const std::string start = "nothing found: attn_decode_verify.rel_l2 with ";
  EXPECT_EQ(why(question({{"layer", {"31"}}})),
            start + "layer 31; no layer 31: there is layer 0–1");
  EXPECT_EQ(
      why(question({{"prompt", {"p3"}}, {"layer", {"1"}}})),
      start + "prompt p3, layer 1; no prompt p3: there is prompt p1, p2 (did you mean `p1`?)");
  EXPECT_EQ(why(question({{"prompt", {"p2"}}, {"layer", {"1"}}})),
            start +
                "prompt p2, layer 1; no prompt p2 with all the rest: there is prompt p1 (did "
                "you mean `p1`?)");
  MetricQuestion axis = question();
  axis.axes = {{"GRETA_X", "3"}};
  EXPECT_NE(why(axis).find("there is GRETA_X 1, 2"), std::string::npos) << why(axis);
  EXPECT_NE(why({.metric = "readout.gap"}).find("no record has it at all"), std::string::npos);
  MetricQuestion where = question({{"layer", {"1"}}});
  where.where = "rel_l2 > 7";
  EXPECT_EQ(why(where), start + "layer 1 where rel_l2 > 7; no record where rel_l2 > 7, of 5");
  EXPECT_EQ(why(question({{"commit", {"zz"}}})),
            start + "commit zz; no commit zz: there is commit aaaa1111, bbbb2222");
  axis.axes = {{"GRETA_XX", "1"}};
  EXPECT_EQ(why(axis), start +
                           "GRETA_XX=1; no GRETA_XX=1: there are the axes GRETA_X, GRETA_Y (did "
                           "you mean `GRETA_X`?)");
  add({.milestone = "B5", .lines = readout(1), .commit = "dd"});
  axis = {.metric = "readout.gap"};
  axis.axes = {{"GRETA_X", "1"}};
  EXPECT_NE(why(axis).find("no GRETA_X=1: the variants have no axes"), std::string::npos)
      << why(axis);
}

// Not of the first kind alone.
TEST_F(MetricQueryTest, NothingFoundSpeaksOfEveryKind) {
  add({.milestone = "B3.7",
       .lines = "{\"request\":\"p1\",\"rel_l2\":1}\n",
       .commit = "dd",
       .kind = "another"});
  EXPECT_EQ(why({.metric = "rel_l2", .filters = {{"milestone", {"b2"}}}}),
            "nothing found: rel_l2 of attn_decode_verify, mfma_vs_valu, another with milestone b2; "
            "no milestone b2: there is milestone B1, B2, B3.7 (did you mean `B2`?)");
  EXPECT_EQ(why({.metric = "rel_l2", .filters = {{"milestone", {"B3.7"}}, {"prompt", {"p2"}}}}),
            "nothing found: rel_l2 of attn_decode_verify, mfma_vs_valu, another with milestone "
            "B3.7, prompt p2; no milestone B3.7 with all the rest: there is milestone B1");
}

// What a field cannot hold is in a column of its own: the question says so.
TEST_F(MetricQueryTest, ValuesInAnotherColumnAreSaid) {
  const auto notes = [&](const MetricQuestion& asked) {
    const auto query = metric_query(store(), asked);
    if (!query) return query.error().str();
    const auto said = metric_notes(store(), asked, query->sources, {});
    if (!said) return said.error().str();
    std::string out;
    for (const std::string& note : *said) out += note + "\n";
    return out;
  };
  const std::string texts =
      "{\"request\":\"p1\",\"phase\":\"decode0\",\"gap\":\"1.5\"}\n"
      "{\"request\":\"p1\",\"phase\":\"decode1\",\"gap\":\"1.5\"}\n";
  add({.milestone = "B8", .lines = texts});
  EXPECT_EQ(why({.metric = "readout.gap"}),
            "nothing found: readout.gap; no record has it at all; 2 records of readout hold gap "
            "otherwise: gap__text");
  add({.milestone = "B8", .lines = readout(2.5)});
  EXPECT_EQ(values({.metric = "gap", .agg = "max"}), "2.5");
  EXPECT_EQ(notes({.metric = "gap", .agg = "max"}),
            "2 records of readout hold gap otherwise: gap__text\n");
  EXPECT_EQ(notes({.metric = "gap", .filters = {{"phase", {"decode1"}}}}),
            "1 record of readout holds gap otherwise: gap__text\n");
  EXPECT_EQ(notes({.metric = "gap__text"}), "") << "asked for by its name";
  EXPECT_EQ(notes(question({{"layer", {"1"}}})), "");
  add({.milestone = "B8",
       .lines = "{\"request\":\"p1\",\"layer\":1.5,\"rel_l2\":3}\n",
       .kind = "attn_decode_verify"});
  const char* const layer = "1 record of attn_decode_verify holds layer otherwise: layer__real\n";
  EXPECT_EQ(notes(question({{"layer", {"1"}}})), layer);
  MetricQuestion by = question();
  by.agg = "max";
  by.by = {"layer"};
  EXPECT_EQ(notes(by), layer);
  EXPECT_EQ(notes(question()), "") << "nobody asked for the layer";
}

// A field whose name SQL keeps for something else is found by its own name.
TEST_F(MetricQueryTest, AFieldIsFoundByItsNameWhateverItsColumn) {
  add({.milestone = "B8", .lines = "{\"request\":\"p1\",\"run\":5}\n", .kind = "probe"});
  for (const char* metric : {"run", "probe.run"}) {
    MetricQuestion asked{.metric = metric, .agg = "max"};
    const auto query = metric_query(store(), asked);
    ASSERT_TRUE(query) << query.error().str();
    EXPECT_EQ(ask(query->sql), "5|1") << metric;
  }
}

// "B3.21@recorded" is one run, as for Store::select; with several the figures may count twice.
TEST_F(MetricQueryTest, RecordedMeansTheLatestRecordedRun) {
  for (const int value : {1, 2})
    add({.milestone = "B9", .lines = readout(value), .provenance = "recorded"});
  add({.milestone = "B9", .lines = readout(7)});
  add({.milestone = "B9.1", .lines = readout(3), .provenance = "recorded"});
  const auto selected = store().select("B9@recorded");
  ASSERT_TRUE(selected);
  EXPECT_EQ(selected->why, Selection::Why::latest_recorded);
  EXPECT_EQ(values({.metric = "gap", .filters = {{"milestone", {"B9@recorded"}}}}),
            values({.metric = "gap", .filters = {{"run", {selected->name}}}}));
  EXPECT_EQ(values({.metric = "gap", .filters = {{"milestone", {"B9@recorded"}}}}), "2.0");
  EXPECT_EQ(values({.metric = "gap", .filters = {{"milestone", {"B9*@recorded"}}}}), "2.0 3.0");
  EXPECT_EQ(store().select("B9.1@recorded")->why, Selection::Why::exact);
  const auto notes = [&](const std::string& milestone) {
    const MetricQuestion asked{.metric = "gap", .filters = {{"milestone", {milestone}}}};
    const auto query = metric_query(store(), asked);
    const auto said = metric_notes(store(), asked, query->sources, {});
    return said ? said->size() : 99;
  };
  EXPECT_EQ(notes("B9"), 1U) << "two runs of recorded figures";
  EXPECT_EQ(notes("B9@recorded"), 0U);
  EXPECT_EQ(notes("B9.1"), 0U);
}

}  // namespace
}  // namespace greta::store
