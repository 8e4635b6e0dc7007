// One metric over time.

#include "store/metric_history.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cmath>
#include <random>

#include "history/history_fixture.h"

namespace greta::store {
namespace {

class MetricHistory : public HistoryFixture {
 protected:
  History history(const HistoryQuestion& question) {
    auto found = metric_history(store(), question, {});
    EXPECT_TRUE(found) << found.error().str();
    return found ? std::move(*found) : History{};
  }
  static HistoryQuestion gap(const std::string& point = "run") {
    return {.metric = {.metric = "gap", .by = {"prompt", "variant"}}, .point = point};
  }
  static std::string day(int number) {
    return "2026-03-" + std::string(number < 10 ? "0" : "") + std::to_string(number);
  }
  // A run whose process took so long, for each repeat one.
  std::string timed(int number, const std::vector<double>& decode_s, const char* kind = "timing") {
    std::string lines;
    for (const double seconds : decode_s)
      lines += nlohmann::json({{"request", "p1"}, {"decode_s", seconds}}).dump() + "\n";
    return add({.date = day(number), .lines = lines, .kind = kind});
  }
};

TEST_F(MetricHistory, PointsInOrderOfTimeWithTheirChange) {
  add({.milestone = "B2", .date = day(2), .lines = readout(3)});
  add({.milestone = "B1", .date = day(1), .lines = readout(1) + readout(2)});
  add({.milestone = "B3", .date = day(3), .lines = readout(2.5)});
  const History found = history(gap());
  ASSERT_EQ(found.points.size(), 3U);
  EXPECT_EQ(found.metric, "readout.gap");
  EXPECT_EQ(found.agg, "max");
  EXPECT_EQ(found.series, std::vector<std::string>{""});
  EXPECT_EQ(found.constant, (std::vector<std::string>{"prompt p1", "variant default"}));
  EXPECT_EQ(found.points[0].milestone, "B1");
  EXPECT_EQ(found.points[0].number, 2) << "the largest of its records";
  EXPECT_EQ(found.points[0].records, 2);
  EXPECT_FALSE(found.points[0].change);
  EXPECT_EQ(found.points[1].change, 1);
  EXPECT_EQ(found.points[2].change, -0.5);
  EXPECT_EQ(found.points[2].place, 2U);
  // The query gives the same figures.
  EXPECT_EQ(ask("SELECT group_concat(\"max(gap)\", ' ') FROM (" + found.sql + ")"), "2.0 3.0 2.5");
}

TEST_F(MetricHistory, ByCommitMilestoneAndDay) {
  add({.milestone = "B1", .date = day(1), .lines = readout(1), .commit = "aa"});
  add({.milestone = "B2", .date = day(1), .lines = readout(5), .commit = "aa"});
  add({.milestone = "B2", .date = day(4), .lines = readout(3), .commit = "bb"});
  const History commits = history(gap("commit"));
  ASSERT_EQ(commits.points.size(), 2U);
  EXPECT_EQ(commits.points[0].commit, "aa");
  EXPECT_EQ(commits.points[0].runs, 2);
  EXPECT_EQ(commits.points[0].number, 5);
  EXPECT_EQ(commits.points[1].change, -2);
  EXPECT_EQ(commits.points[0].milestone, "B1,B2");
  const History milestones = history(gap("milestone"));
  ASSERT_EQ(milestones.points.size(), 2U);
  EXPECT_EQ(milestones.points[1].commit, "") << "of two";
  EXPECT_EQ(milestones.points[1].milestone, "B2");
  EXPECT_EQ(milestones.points[1].number, 5);
  EXPECT_EQ(history(gap("day")).points.size(), 2U);
  const auto wrong = metric_history(store(), gap("comit"), {});
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().message.find("did you mean `commit`?"), std::string::npos);
}

TEST_F(MetricHistory, SeriesAreToldApart) {
  const std::vector<std::string> prompts = {"p1", "p2"};
  for (const int i : {1, 2})
    add({.date = day(i), .lines = readout(i, "p1") + readout(10 * i, "p2"), .prompts = prompts});
  const History found = history(gap());
  EXPECT_EQ(found.series, (std::vector<std::string>{"p1", "p2"}));
  EXPECT_EQ(found.constant, std::vector<std::string>{"variant default"});
  ASSERT_EQ(found.points.size(), 4U);
  EXPECT_EQ(found.points[0].place, found.points[1].place) << "one run, one place";
  EXPECT_EQ(found.points[3].change, 10) << "against its own series";
  HistoryQuestion newest = gap();
  newest.metric.limit = 1;
  EXPECT_TRUE(history(newest).older);
  ASSERT_EQ(history(newest).points.size(), 2U);
  EXPECT_EQ(history(newest).points[0].number, 2);
  newest.metric.limit = 2;
  EXPECT_FALSE(history(newest).older);
}

// The newest runs are those that have the metric, and the query that is shown gives the points.
TEST_F(MetricHistory, ALimitCountsRunsWithPoints) {
  for (const int i : {1, 2, 3}) add({.date = day(1), .lines = readout(i)});  // at one time
  add({.milestone = "B2", .date = day(2), .lines = "{\"request\":\"p1\",\"phase\":\"x\"}\n"});
  add({.milestone = "B2", .date = day(2), .lines = readout(90), .provenance = "reenacted"});
  struct Case {
    int64_t limit;
    const char* values;
    bool older;
  };
  for (const Case& test : {Case{1, "3.0", true}, Case{2, "2.0 3.0", true},
                           Case{3, "1.0 2.0 3.0", false}, Case{0, "1.0 2.0 3.0", false}}) {
    HistoryQuestion question = gap();
    question.metric.limit = test.limit;
    const History found = history(question);
    EXPECT_EQ(found.older, test.older) << test.limit;
    EXPECT_EQ(ask("SELECT group_concat(\"max(gap)\", ' ') FROM (" + found.sql + ")"), test.values);
    EXPECT_EQ(std::to_string(found.points.size()), ask("SELECT count(*) FROM (" + found.sql + ")"));
    const auto sql = history_sql(store(), question, {});
    ASSERT_TRUE(sql);
    EXPECT_EQ(*sql, found.sql);
  }
}

TEST_F(MetricHistory, NotesAreOfTheRunsThatAreShown) {
  for (const int i : {1, 2}) add({.date = day(i), .lines = readout(i), .provenance = "recorded"});
  add({.date = day(3), .lines = "{\"request\":\"p1\",\"gap\":\"x\"}\n" + readout(3)});
  HistoryQuestion question = gap("milestone");
  const auto notes = history(question).notes;
  ASSERT_EQ(notes.size(), 2U);
  EXPECT_EQ(notes[0], "1 record of readout holds gap otherwise: gap__text");
  EXPECT_TRUE(notes[1].starts_with("more than one recorded run of B1 (2)")) << notes[1];
  question.metric.limit = 1;
  EXPECT_EQ(history(question).notes.size(), 1U);
}

// SQLite takes 500 terms of a UNION at once.
TEST_F(MetricHistory, AMetricOfVeryManyKinds) {
  TestBundle bundle;
  for (int i = 0; i < 520; ++i)
    bundle.files["out/k" + std::to_string(i) + ".jsonl"] = {.bytes = "{\"v\":1}\n"};
  import(bundle);
  const MetricQuestion asked{.metric = "v", .agg = "max"};
  const auto query = metric_query(store(), asked);
  ASSERT_TRUE(query) << query.error().str();
  EXPECT_EQ(ask("SELECT count(*) FROM (" + query->sql + ")"), "520");
  HistoryQuestion question{.metric = {.metric = "v", .limit = 5}};
  EXPECT_EQ(history(question).points.size(), 520U);
  const auto why = why_nothing(store(), {.metric = "v", .filters = {{"milestone", {"T2"}}}}, {});
  ASSERT_TRUE(why) << why.error().str();
  EXPECT_NE(why->find("and 512 more kinds with milestone T2; no milestone T2: there is milestone "
                      "T1"),
            std::string::npos)
      << *why;
}

// What was typed in from a report is no neighbour of what ran, and faults injected on purpose are
// no part of a history.
TEST_F(MetricHistory, ProvenanceIsNotMixed) {
  add({.date = day(1), .lines = readout(1)});
  add({.date = day(2), .lines = readout(50), .provenance = "recorded"});
  add({.date = day(3), .lines = readout(900), .provenance = "reenacted"});
  add({.date = day(4), .lines = readout(2)});
  const History found = history(gap());
  ASSERT_EQ(found.points.size(), 3U);
  EXPECT_EQ(found.points[1].provenance, "recorded");
  EXPECT_FALSE(found.points[1].change);
  EXPECT_EQ(found.points[2].change, 1) << "against the one that ran";
  EXPECT_EQ(history(gap("milestone")).points.size(), 2U) << "of one milestone, told apart";
  HistoryQuestion faults = gap();
  faults.metric.filters = {{"provenance", {"reenacted"}}};
  EXPECT_EQ(history(faults).points.size(), 1U);
}

TEST_F(MetricHistory, FaultsAloneAreNoHistory) {
  add({.date = day(1), .lines = readout(900), .provenance = "reenacted"});
  EXPECT_TRUE(history(gap()).points.empty());
  const auto why = why_nothing(store(), gap().metric, {});
  ASSERT_TRUE(why);
  EXPECT_NE(why->find("a fault injected on purpose"), std::string::npos) << *why;
}

TEST_F(MetricHistory, NaNAndInfinityAreKept) {
  add({.date = day(1), .lines = "{\"request\":\"p1\",\"gap\":\"NaN\"}\n" + readout(1)});
  add({.date = day(2), .lines = "{\"request\":\"p1\",\"gap\":\"Infinity\"}\n"});
  const History found = history(gap());
  ASSERT_EQ(found.points.size(), 2U);
  EXPECT_TRUE(std::isnan(found.points[0].number));
  EXPECT_TRUE(std::isinf(found.points[1].number));
}

TEST_F(MetricHistory, TextsHaveAHistoryWithoutNumbers) {
  for (const int i : {1, 2})
    add({.date = day(i),
         .lines = "{\"request\":\"p1\",\"logits_hash\":\"" + std::to_string(i) + "\"}\n"});
  HistoryQuestion question = gap();
  question.metric.metric = "logits_hash";
  const History found = history(question);
  ASSERT_EQ(found.points.size(), 2U);
  EXPECT_FALSE(found.numeric);
  EXPECT_EQ(found.points[1].value.text, "2");
  EXPECT_FALSE(found.points[1].change);
}

TEST_F(MetricHistory, TimingsHaveIntervalsFromFiveSamplesOn) {
  timed(1, {1.00, 1.01, 0.99, 1.02, 0.98, 1.00});
  timed(2, {1.30, 1.31, 1.29, 1.32, 1.28, 1.30});
  timed(3, {1.31});
  HistoryQuestion question = gap();
  question.metric.metric = "decode_s";
  const History found = history(question);
  ASSERT_EQ(found.points.size(), 3U);
  EXPECT_TRUE(found.timing);
  EXPECT_EQ(found.agg, "median");
  EXPECT_EQ(found.unit, "s");
  EXPECT_EQ(found.points[0].number, 1);
  ASSERT_TRUE(found.points[0].interval);
  EXPECT_GE(found.points[0].interval->low, 0.98);
  EXPECT_LE(found.points[0].interval->high, 1.02);
  ASSERT_TRUE(found.points[1].comparison);
  EXPECT_TRUE(found.points[1].comparison->differs());
  EXPECT_FALSE(found.points[2].interval);
  EXPECT_FALSE(found.points[2].comparison) << "one sample says nothing of its noise";
  EXPECT_NEAR(*found.points[2].change, 0.01, 1e-9);
}

TEST_F(MetricHistory, ANewLevelIsFound) {
  std::mt19937_64 engine(7);
  std::normal_distribution<double> noise(0, 0.01);
  std::string after;
  for (int i = 1; i <= 24; ++i) {
    const std::string run = timed(i, {(i <= 12 ? 1.0 : 1.1) + noise(engine)});
    if (i == 13) after = run;
  }
  HistoryQuestion question = gap();
  question.metric.metric = "timing.decode_s";
  const History found = history(question);
  ASSERT_EQ(found.changes.size(), 1U);
  EXPECT_EQ(found.points[found.changes[0].point].run, after);
  EXPECT_NEAR(found.changes[0].change.after, 1.1, 0.02);
  EXPECT_TRUE(found.changes[0].levels.differs());
}

// A cached record is a sample of the run that ran it.
TEST_F(MetricHistory, ACachedTimingIsNoNewSample) {
  const std::string first = timed(1, {1.0});
  const std::string bundle = ask("SELECT bundle FROM cells WHERE run = '" + first + "'");
  RunStart start;
  start.milestone = "B1";
  const auto run = store().begin_run(start);
  ASSERT_TRUE(run);
  CellRow cell;
  cell.identity = "x";
  cell.variant = "default";
  cell.prompt = cell.request = "p1";
  cell.status = "ok";
  cell.bundle = bundle;
  cell.cached = true;
  ASSERT_TRUE(store().add_cell(*run, cell));
  EXPECT_EQ(ask("SELECT count(*) FROM timing"), "2");
  HistoryQuestion question = gap();
  question.metric.metric = "timing.decode_s";
  EXPECT_EQ(history(question).points.size(), 1U);
  question.metric.metric = "cells.wall_s";
  EXPECT_EQ(history(question).points.size(), 1U);
}

TEST_F(MetricHistory, ALongQueryEndsWhenAsked) {
  const auto slow = store().query(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n", -1,
      {.columns = [](const auto&) { return true; },
       .row = [](const auto&) { return true; },
       .cancelled = [count = 0]() mutable { return ++count > 3; }});
  ASSERT_FALSE(slow);
  EXPECT_EQ(slow.error().exit_code, static_cast<int>(Exit::interrupted));
  EXPECT_EQ(ask("SELECT 1"), "1") << "the next one runs";
}

}  // namespace
}  // namespace greta::store
