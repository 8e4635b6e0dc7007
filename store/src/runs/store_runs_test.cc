#include "runs/store_runs.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <thread>

#include "db/process_mark.h"
#include "ingest/bundle_fixture.h"

namespace greta::store {
namespace {

class Runs : public StoreFixture {
 protected:
  std::string begin(const std::string& milestone, const std::string& provenance = "executed") {
    RunStart start;
    start.milestone = milestone;
    start.provenance = provenance;
    start.resolved_json = R"({"commit":"abc123"})";
    return store().begin_run(start).value();
  }
  std::string complete(const std::string& milestone, const std::string& provenance = "executed") {
    const std::string run = begin(milestone, provenance);
    EXPECT_TRUE(store().finish_run(run, RunStatus::complete, ""));
    return run;
  }
  std::string chosen(const std::string& selector) {
    const auto selection = store().select(selector);
    return selection ? selection->name : "error: " + selection.error().str();
  }
  std::string ingest(TestBundle bundle) {
    const auto hash = store().ingest_bundle(write_bundle(bundle, std::to_string(bundle.salt)));
    EXPECT_TRUE(hash) << hash.error().str();
    return *hash;
  }
};

TEST_F(Runs, BeginAddFinish) {
  TestBundle bundle;
  bundle.prompts = {"p1", "p2"};
  bundle.files["out/k.jsonl"] = {.bytes =
                                     "{\"request\":\"p1\",\"v\":1}\n{\"request\":\"p2\",\"v\":2}\n"
                                     "{\"v\":3}\n"};
  const std::string hash = ingest(bundle);
  const std::string run = begin("B1");
  EXPECT_TRUE(run.starts_with("B1-2")) << run;
  CellRow cell{.identity = "aa",
               .variant = "X=1",
               .variant_json = R"({"X":1})",
               .prompt = "p1",
               .repeat = 0,
               .status = "ok",
               .reason = "",
               .bundle = hash,
               .request = "p1"};
  ASSERT_TRUE(store().add_cell(run, cell));
  EXPECT_EQ(ask("SELECT status, cells, cells_ok, \"commit\" FROM runs"), "running|1|1|abc123");
  ASSERT_TRUE(store().finish_run(run, RunStatus::failed, "why"));
  EXPECT_EQ(ask("SELECT status, note, ended_at > started_at FROM runs"), "failed|why|1");
  EXPECT_EQ(ask("SELECT axis, value FROM axes"), "X|1");
  // p2 was no cell of this run; the line without a request belongs to the run as a whole.
  EXPECT_EQ(ask("SELECT variant, prompt, v FROM k ORDER BY v"), "X=1|p1|1\nX=1|∅|3");
}

TEST_F(Runs, ACachedBundleIsInBothRunsOnce) {
  TestBundle bundle;
  bundle.files["out/k.jsonl"] = {.bytes = "{\"v\":1}\n"};
  const std::string hash = ingest(bundle);
  for (const bool cached : {false, true}) {
    ASSERT_TRUE(store().add_cell(begin("B1"), {.identity = "aa",
                                               .variant = "default",
                                               .variant_json = "{}",
                                               .prompt = "p1",
                                               .repeat = 0,
                                               .status = "ok",
                                               .reason = "",
                                               .bundle = hash,
                                               .request = "p1",
                                               .cached = cached}));
  }
  EXPECT_EQ(ask("SELECT count(*), count(DISTINCT run), count(DISTINCT record) FROM k"), "2|2|1");
  EXPECT_EQ(ask("SELECT count(*) FROM records"), "1");
  EXPECT_EQ(ask("SELECT count(*) FROM k", 1), "1");
  EXPECT_EQ(store().find_cell("aa")->value().bundle, hash);
}

TEST_F(Runs, ARetriedCellTakesThePlaceOfTheFirst) {
  TestBundle bundle;
  bundle.files["out/k.jsonl"] = {.bytes =
                                     "{\"request\":\"p1\",\"v\":1}\n{\"request\":\"q\",\"v\":2}\n"};
  const std::string first = ingest(bundle);
  bundle.salt = 1;
  bundle.files["out/k.jsonl"].bytes = "{\"v\":3}\n";
  const std::string second = ingest(bundle);
  const std::string run = begin("B1");
  CellRow cell{.identity = "aa",
               .variant = "default",
               .variant_json = "{}",
               .prompt = "p1",
               .repeat = 0,
               .status = "failed",
               .reason = "",
               .bundle = first,
               .request = "p1"};
  ASSERT_TRUE(store().add_cell(run, cell));
  EXPECT_EQ(ask("SELECT v FROM k"), "");  // no result of a cell that failed …
  EXPECT_EQ(ask("SELECT count(*), sum(is_result) FROM records"), "3|0");
  cell.status = "ok";
  ASSERT_TRUE(store().add_cell(run, cell));  // … as the same cell once it is ok
  EXPECT_EQ(ask("SELECT v FROM k"), "1\n2");
  cell.bundle = second;
  ASSERT_TRUE(store().add_cell(run, cell));
  EXPECT_EQ(ask("SELECT v FROM k"), "3");
  EXPECT_EQ(ask("SELECT count(*) FROM records"), "3");  // nothing that ran is lost
}

// A bundle of two cells, with lines of either and of no cell: the views see what ended ok.
TEST_F(Runs, OnlyRecordsOfOkCellsAreResults) {
  TestBundle bundle;
  bundle.prompts = {"p1", "p2"};
  bundle.files["out/k.jsonl"] = {.bytes =
                                     "{\"event\":\"k\",\"request\":\"p1\",\"v\":1}\n"
                                     "{\"event\":\"k\",\"request\":\"p2\",\"v\":2}\n"
                                     "{\"event\":\"k\",\"v\":3}\n"
                                     "{\"event\":\"k\",\"request\":\"stray\",\"v\":4}\n\n"};
  const std::string hash = ingest(bundle);
  struct Case {
    std::string p1, p2, seen;
  };
  int64_t number = 0;
  for (const Case& one : {Case{"ok", "ok", "1\n2\n3\n4"}, Case{"ok", "failed", "1\n3\n4"},
                          Case{"timeout", "ok", "2\n3\n4"}, Case{"killed", "failed", ""}}) {
    const std::string run = begin("B" + std::to_string(++number));
    for (const auto& [prompt, status] : {std::pair{"p1", one.p1}, std::pair{"p2", one.p2}}) {
      ASSERT_TRUE(store().add_cell(run, {.identity = "",
                                         .variant = "default",
                                         .variant_json = "{}",
                                         .prompt = prompt,
                                         .repeat = 0,
                                         .status = status,
                                         .reason = "",
                                         .bundle = hash,
                                         .request = prompt}));
    }
    const int64_t id = store().resolve(run).value();
    const std::string name = one.p1 + " " + one.p2;
    EXPECT_EQ(ask("SELECT v FROM k ORDER BY v", id), one.seen) << name;
    EXPECT_EQ(ask("SELECT v FROM k WHERE run = '" + run + "' ORDER BY v"), one.seen) << name;
    EXPECT_EQ(ask("SELECT v FROM k JOIN records USING (record) WHERE is_result ORDER BY v", id),
              one.seen)
        << name;
    EXPECT_EQ(ask("SELECT v FROM rec_k JOIN records USING (record) WHERE is_result ORDER BY v", id),
              one.seen)
        << name;
    // What ran stays visible, whatever became of it.
    EXPECT_EQ(ask("SELECT count(*), sum(state = 'blank' AND is_result) FROM records", id), "5|0");
    EXPECT_EQ(ask("SELECT count(*) FROM cells", id), "2");
    EXPECT_EQ(ask("SELECT count(*) FROM environment", id), "1");
    EXPECT_EQ(ask("SELECT count(*) FROM flags", id), "1");
  }
  EXPECT_EQ(ask("SELECT sum(is_result) FROM records"), "4");  // each of them, for some run
}

TEST_F(Runs, OnlyOkSatisfiesTheCache) {
  TestBundle bundle;
  bundle.status = "failed";
  const std::string hash = ingest(bundle);
  const std::string run = begin("B1");
  CellRow cell{.identity = "aa",
               .variant = "default",
               .variant_json = "{}",
               .prompt = "p1",
               .repeat = 0,
               .status = "ok",
               .reason = "",
               .bundle = hash,
               .request = "p1"};
  ASSERT_TRUE(store().add_cell(run, cell));
  EXPECT_FALSE(store().find_cell("aa")->has_value());  // its bundle failed
  EXPECT_FALSE(store().find_cell("bb")->has_value());
  EXPECT_FALSE(store().find_cell("")->has_value());
  cell.bundle = std::string(64, '0');
  const auto missing = store().add_cell(run, cell);
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().str().find("not in the store"), std::string::npos);
  cell.bundle.clear();
  cell.status = "killed";
  EXPECT_TRUE(store().add_cell(run, cell));
  EXPECT_EQ(ask("SELECT status, bundle FROM cells"), "killed|∅");
}

TEST_F(Runs, SelectorsChooseAndSayWhy) {
  const std::string recorded = complete("B3.21", "recorded");
  EXPECT_EQ(chosen("B3.21"),
            "error: milestone `B3.21` has no complete executed run; it has 1 recorded"
            " (B3.21@recorded)");
  const std::string reenacted = complete("B3.21", "reenacted");
  EXPECT_EQ(chosen("B3.21"), reenacted);  // until one ran without a fault
  EXPECT_EQ(chosen("B3.21@recorded"), recorded);
  const std::string first = complete("B3.21");
  std::this_thread::sleep_for(std::chrono::milliseconds(5));  // started_at has milliseconds
  const std::string second = complete("B3.21");
  begin("B3.21");  // still running
  EXPECT_EQ(chosen("B3.21"), second);
  EXPECT_EQ(store().select("B3.21")->why, Selection::Why::latest);
  ASSERT_TRUE(store().accept(first));
  EXPECT_EQ(chosen("B3.21"), first);
  EXPECT_EQ(store().select("B3.21")->why, Selection::Why::accepted);
  ASSERT_TRUE(store().accept(second));  // only one at a time
  EXPECT_EQ(chosen("B3.21"), second);
  EXPECT_EQ(chosen("B3.21@" + first), first);
  EXPECT_EQ(chosen(first), first);
  EXPECT_EQ(chosen(first.substr(0, first.size() - 1)), first);
  EXPECT_NE(chosen("B3.21-").find("may be"), std::string::npos);
  EXPECT_EQ(chosen("B3.12"), "error: no run or milestone `B3.12` (did you mean `B3.21`?)");
  EXPECT_NE(chosen("B3.2@recorded").find("no recorded figures of milestone `B3.2`"),
            std::string::npos);
  EXPECT_NE(chosen("").find("error"), std::string::npos);
  EXPECT_FALSE(store().accept(recorded));
  EXPECT_FALSE(store().accept(reenacted));
  EXPECT_FALSE(store().accept(begin("B4")));
}

TEST_F(Runs, ListIsNewestFirst) {
  complete("B1");
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  complete("B2");
  const auto all = store().list().value();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].milestone, "B2");
  EXPECT_EQ(all[0].commit, "abc123");
  EXPECT_EQ(store().list({.milestone = "B1*"})->size(), 1U);
  EXPECT_TRUE(store().list({.milestone = "C*"})->empty());
  EXPECT_EQ(store().list({}, 1)->at(0).milestone, "B2");
  const std::pair<RunFilter, int64_t> cases[] = {
      {{}, 2},
      {{.milestone = "B?"}, 2},
      {{.milestone = "B?", .status = "complete"}, 2},
      {{.status = "failed"}, 0},
      {{.provenance = "executed", .commit = "abc"}, 2},
      {{.provenance = "recorded"}, 0},
      {{.commit = "bc"}, 0},
  };
  for (size_t i = 0; i < std::size(cases); ++i) {
    EXPECT_EQ(store().count(cases[i].first).value(), cases[i].second) << "case " << i;
    EXPECT_EQ(static_cast<int64_t>(store().list(cases[i].first)->size()), cases[i].second) << i;
  }
}

TEST_F(Runs, RunsOfDeadProcessesAreClosed) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    pause();
    _exit(0);
  }
  RunStart start;
  start.milestone = "B1";
  start.process_id = child;
  const std::string lost = store().begin_run(start).value();
  start.process_id = 0;  // this process
  const std::string mine = store().begin_run(start).value();
  EXPECT_EQ(store().close_dead_runs().value(), 0);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_EQ(store().close_dead_runs().value(), 1);
  EXPECT_EQ(ask("SELECT status FROM runs WHERE run = '" + lost + "'"), "interrupted");
  EXPECT_EQ(ask("SELECT status FROM runs WHERE run = '" + mine + "'"), "running");
  EXPECT_EQ(store().close_dead_runs().value(), 0);
}

TEST(ProcessMark, TellsAReusedPidAnotherHostAndAnotherBoot) {
  const ProcessMark me = mark_of(getpid());
  EXPECT_FALSE(is_gone(me));
  ProcessMark other = me;
  other.started_ticks -= 1;  // the pid was somebody else's
  EXPECT_TRUE(is_gone(other));
  other.host = "elsewhere|" + me.host.substr(me.host.find('|') + 1);
  EXPECT_FALSE(is_gone(other));  // cannot be known from here
  other.host = me.host.substr(0, me.host.find('|')) + "|another-boot|pid:[1]";
  EXPECT_TRUE(is_gone(other));
}

}  // namespace
}  // namespace greta::store
