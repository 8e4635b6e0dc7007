// Earlier runs once more: a repository with a history of its own, real builds on this host, and
// what is left when things are gone.

#include "replay/replay.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "replay/bisect.h"
#include "run/lock.h"
#include "run/run_fixture.h"
#include "system/test_cancel.h"

namespace greta::runner {
namespace {

namespace fs = std::filesystem;
class History : public Experiment {
 protected:
  void SetUp() override {
    Experiment::SetUp();
    engine_ = *read_file(engines() + "contract.sh");
    folder_.script("repo/make", "mkdir -p out\ncp engine.in out/engine\nchmod +x out/engine\n");
    git({"init", "-q", "-b", "main"});
  }
  fs::path repo() const { return folder_ / "repo"; }

  std::string git(std::vector<std::string> words) const {
    std::vector<std::string> argv = {"git",         "-C", repo().string(),           "-c",
                                     "user.name=t", "-c", "user.email=t@example.org"};
    argv.insert(argv.end(), words.begin(), words.end());
    const auto done = output_of(argv, kNever);
    EXPECT_TRUE(done) << done.error().str();
    return done ? done->substr(0, done->find('\n')) : "";
  }
  // The engine answers gaps that end in `digit`; returns the commit.
  std::string commit(const std::string& subject, char digit, const std::string& more = "") {
    std::string text = engine_;
    const size_t at = text.find("$scale.5");
    EXPECT_NE(at, std::string::npos);
    text[at + 7] = digit;
    folder_.write("repo/engine.in", text + more);
    folder_.write("repo/notes", subject + "\n");
    git({"add", "-A"});
    git({"commit", "-q", "-m", subject});
    return git({"rev-parse", "HEAD"});
  }
  fs::path at(const std::string& commit, const std::string& more = "",
              const std::string& name = "T1") const {
    return spec("engine: {repo: '" + repo().string() + "', commit: '" + commit +
                    "', build: [./make], artifact: out/engine}\n" + more,
                name);
  }
  std::string run_at(const std::string& commit, const std::string& more = "",
                     const std::string& name = "T1") {
    const auto code = run(at(commit, more, name));
    EXPECT_TRUE(code) << code.error().str();
    return query("SELECT run FROM runs ORDER BY started_at DESC, run_id DESC LIMIT 1")
        .substr(0, 1000);
  }
  std::string last_run(const std::string& commit, const std::string& more = "") {
    std::string name = run_at(commit, more);
    name.pop_back();
    return name;
  }

  Result<Replayed> replayed(const std::string& selector, bool rebuild = false) const {
    Progress progress({.terminal = false, .json = false, .verbosity = 0});
    return replay(context_, {.selector = selector, .rebuild = rebuild}, progress, kNever);
  }
  Result<Bisected> bisected(const std::string& good, const std::string& bad) const {
    Progress progress({.terminal = false, .json = false, .verbosity = 0});
    return bisect(context_, {.good = good, .bad = bad}, progress, kNever);
  }

  std::string engine_;
};

TEST_F(History, TheFirstBadCommitIsNamedAndTheFirstMilestoneReplays) {
  const std::string good = commit("good", '5');
  const std::string first = last_run(good);
  commit("a note", '5', "# no change of what it does\n");
  const std::string bad = commit("bad", '7');
  commit("another note", '7', "# none either\n");
  const std::string worse = commit("worse", '9');
  const std::string last = last_run(worse);

  const auto found = bisected(first, last);
  ASSERT_TRUE(found) << found.error().str();
  EXPECT_EQ(found->found, Bisected::Found::commit);
  EXPECT_EQ(found->commit, bad) << "good " << good << ", worse " << worse;
  EXPECT_EQ(found->subject, "bad");
  EXPECT_LE(found->probes.size(), 3u);
  const std::string bundles = query("SELECT count(*) FROM bundles");
  const auto again = bisected(first, last);
  ASSERT_TRUE(again) << again.error().str();
  EXPECT_EQ(again->commit, bad);
  EXPECT_EQ(query("SELECT count(*) FROM bundles"), bundles) << "a known probe ran again";

  const auto same = replayed(first);
  ASSERT_TRUE(same) << same.error().str();
  EXPECT_TRUE(same->complete && same->same_program);
  EXPECT_EQ(same->diff.verdict, store::Verdict::identical) << same->diff.reason;
  EXPECT_GT(same->diff.matched, 0);
  EXPECT_NE(query("SELECT count(*) FROM bundles"), bundles) << "nothing was executed";
  EXPECT_EQ(query("SELECT purpose, replay_of FROM runs WHERE run = '" + same->run + "'"),
            "replay|" + first + "\n");
  // The files themselves, not only the figures that a diff compares.
  auto store = context_.open_store(store::Access::read_only);
  std::set<std::string> files;
  for (const std::string& run : {first, same->run}) {
    std::string bundle = query("SELECT DISTINCT bundle FROM cells WHERE run = '" + run + "'");
    bundle.pop_back();
    files.insert(store->file_bytes(bundle, "out/readout.jsonl").value());
  }
  EXPECT_EQ(files.size(), 1u);
}

TEST_F(History, ProbesAndReplaysDoNotStandForTheirMilestone) {
  const std::string first = last_run(commit("good", '5'));
  ASSERT_TRUE(replayed("T1"));
  auto store = context_.open_store(store::Access::read_only);
  ASSERT_TRUE(store);
  EXPECT_EQ(store->select("T1")->name, first);
}

TEST_F(History, CommitsThatDoNotBuildAreGoneAround) {
  const std::string first = last_run(commit("good", '5'));
  const std::string script = *read_file(repo() / "make");
  folder_.write("repo/make", "#!/bin/sh\nexit 1\n");
  commit("broken", '5');
  folder_.write("repo/make", script);
  const std::string bad = commit("bad", '7');
  commit("worse", '9');
  const std::string last = last_run(commit("a note", '9', "# a note\n"));
  const auto found = bisected(first, last);
  ASSERT_TRUE(found) << found.error().str();
  // Whether "broken" or "bad" is the first cannot be known.
  EXPECT_EQ(found->found, Bisected::Found::undecided);
  ASSERT_EQ(found->left.size(), 2u);
  EXPECT_NE(std::find(found->left.begin(), found->left.end(), bad), found->left.end());
}

TEST_F(History, AGateDecidesWhereOneTellsThemApart) {
  const std::string gate = "expect: [{id: gap, metric: readout.gap, agg: max, le: 1.8}]\n";
  const std::string good = last_run(commit("good", '5'), gate);
  commit("other figures", '7');
  const std::string bad = commit("over the limit", '9');
  const std::string last = last_run(bad, gate);
  const auto found = bisected(good, last);
  ASSERT_TRUE(found) << found.error().str();
  EXPECT_EQ(found->how, "by the gate gap");
  EXPECT_EQ(found->commit, bad);
}

TEST_F(History, TheSettingsThatMakeItBadAreFound) {
  commit("one", '5');
  const std::string run = last_run(
      "main",
      "matrix: {GRETA_SCALE: ['1', '2'], GRETA_BEHAVE: [well, slow], decode.threads: [1, 2]}\n");
  const auto found = bisected(run + "#GRETA_SCALE=1,GRETA_BEHAVE=well,decode.threads=1",
                              run + "#GRETA_SCALE=2,GRETA_BEHAVE=slow,decode.threads=2");
  ASSERT_TRUE(found) << found.error().str();
  EXPECT_EQ(found->found, Bisected::Found::settings);
  ASSERT_EQ(found->settings.size(), 1u);
  EXPECT_EQ(found->settings[0].name, "GRETA_SCALE");
  EXPECT_EQ(found->settings[0].good + found->settings[0].bad, "12");
  EXPECT_EQ(query("SELECT count(*) FROM cells WHERE NOT cached"), "16\n")
      << "a probe is a variant of the run and known already";

  const auto whole = bisected(run, run);
  ASSERT_FALSE(whole);
  EXPECT_NE(whole.error().message.find("nothing to find"), std::string::npos);
}

TEST_F(History, WhatIsGoneIsTakenFromWhatWasKept) {
  folder_.write("repo/engine.in", engine_);
  commit("one", '5');
  folder_.write("repo/engine.in", engine_ + "# a change that was never committed\n");
  folder_.write("repo/new file", "new\n");
  const std::string run = last_run("worktree");
  EXPECT_EQ(query("SELECT value FROM environment WHERE key = 'dirty' LIMIT 1"), "true\n");
  auto store = context_.open_store(store::Access::read_only);
  std::string bundle = query("SELECT bundle FROM bundles");
  bundle.pop_back();
  const auto diff = store->file_bytes(bundle, "worktree.diff");
  ASSERT_TRUE(diff) << diff.error().str();
  EXPECT_NE(diff->find("+# a change that was never committed"), std::string::npos) << *diff;
  EXPECT_NE(diff->find("b/new file"), std::string::npos) << *diff;
  EXPECT_EQ(git({"status", "--porcelain"}).substr(0, 2), " M") << "asking changed the repository";

  fs::remove_all(repo());
  for (const bool rebuild : {false, true}) {
    const auto same = replayed(run, rebuild);
    ASSERT_TRUE(same) << same.error().str();
    EXPECT_EQ(same->diff.verdict, store::Verdict::identical) << same->diff.reason;
    EXPECT_TRUE(same->same_program);
    for (const auto& confounder : same->diff.confounders) {
      ADD_FAILURE() << confounder.what << ": " << confounder.a << " / " << confounder.b;
    }
  }
  for (const auto& engine : fs::directory_iterator(folder_ / ".greta/engines")) {
    fs::remove_all(engine.path());
  }
  fs::remove_all(folder_ / "cache");
  const auto none = replayed(run);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().exit_code, 5);
  EXPECT_NE(none.error().message.find("nor kept by the build"), std::string::npos)
      << none.error().message;
}

TEST_F(History, AReadyProgramIsKept) {
  const fs::path program = folder_.script("engine.sh", engine_.substr(engine_.find('\n') + 1));
  ASSERT_EQ(run(spec("engine: {binary: " + program.string() + "}\n")).value_or(-1), 0);
  fs::remove(program);
  const auto same = replayed("T1");
  ASSERT_TRUE(same) << same.error().str();
  EXPECT_EQ(same->diff.verdict, store::Verdict::identical);

  folder_.write("model.gguf", "another model");
  const auto other = replayed("T1");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().exit_code, 5);
  EXPECT_NE(other.error().message.find("not replayable: T1-"), std::string::npos);
  EXPECT_NE(other.error().message.find("model.gguf has the SHA-256"), std::string::npos);
}

TEST_F(History, AnEngineThatDoesNotRepeatItselfDivergesAndThePlaceIsNamed) {
  const fs::path program = folder_.script(
      "engine.sh", engine_.substr(engine_.find('\n') + 1) + "sed -i \"s/[.]5/.$(cat '" +
                       (folder_ / "digit").string() + "')/\" \"$out/readout.jsonl\"\n");
  folder_.write("digit", "5");
  ASSERT_EQ(run(spec("engine: {binary: " + program.string() + "}\n")).value_or(-1), 0);
  folder_.write("digit", "6");
  const auto other = replayed("T1");
  ASSERT_TRUE(other) << other.error().str();
  EXPECT_EQ(other->diff.verdict, store::Verdict::diverged);
  EXPECT_NE(other->diff.reason.find("first at readout.gap (prompt=a"), std::string::npos)
      << other->diff.reason;
}

TEST_F(History, RecordedFiguresAreNotReplayable) {
  auto store = context_.open_store(store::Access::read_write);
  ASSERT_TRUE(store);
  ASSERT_TRUE(store->import_recorded(
      R"([{"milestone": "B0.1", "metrics": [{"kind": "readout", "metric": "gap", "value": 1}]}])",
      "h.yaml"));
  for (const char* selector : {"B0.1", "B0.1@recorded"}) {
    const auto none = replayed(selector);
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().exit_code, 5) << none.error().str();
    EXPECT_NE(none.error().message.find("not replayable"), std::string::npos);
    EXPECT_NE(none.error().message.find("recorded figures"), std::string::npos);
  }
}

TEST_F(History, TheLockIsWrittenAndObeyed) {
  const std::string first = commit("one", '5');
  const fs::path file = at("main");
  RunOptions lock;
  lock.lock = true;
  ASSERT_EQ(run(file, lock).value_or(-1), 0);
  ASSERT_TRUE(fs::exists(folder_ / "T1.lock.json"));
  commit("two", '7');
  RunOptions locked;
  locked.locked = true;
  const auto again = run(file, locked);
  ASSERT_TRUE(again) << again.error().str();
  EXPECT_EQ(*again, 0);
  EXPECT_EQ(query("SELECT DISTINCT \"commit\" FROM runs"), first + "\n") << "the branch moved on";
  EXPECT_EQ(query("SELECT sum(NOT cached) FROM cells"), "2\n");

  folder_.write("model.gguf", "another model");
  const auto model = run(file, locked);
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().exit_code, 2);
  EXPECT_NE(model.error().message.find("the model's SHA-256 was"), std::string::npos)
      << model.error().message;

  at("main", "repeat: 2\n");
  const auto changed = run(file, locked);
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().exit_code, 2);
  EXPECT_NE(changed.error().message.find("T1.lock.json was written (repeat)"), std::string::npos)
      << changed.error().message;
}

TEST(SmallestBadSet, NothingOfItCanBeLeftOut) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    const size_t n = 1 + random() % 12;
    std::vector<bool> needed(n);
    for (size_t i = 0; i < n; ++i) needed[i] = random() % 3 == 0;
    if (std::none_of(needed.begin(), needed.end(), [](bool b) { return b; })) needed[0] = true;
    int asked = 0;
    const auto is_bad = [&](const std::vector<size_t>& set) -> Result<bool> {
      ++asked;
      std::vector<bool> in(n);
      for (const size_t i : set) in[i] = true;
      for (size_t i = 0; i < n; ++i) {
        if (needed[i] && !in[i]) return false;
      }
      return true;
    };
    const auto found = smallest_bad_set(n, is_bad);
    ASSERT_TRUE(found);
    std::vector<bool> in(n);
    for (const size_t i : *found) in[i] = true;
    EXPECT_EQ(in, needed) << "round " << round;
    EXPECT_LE(asked, static_cast<int>(n * n + 3 * n));
  }
}

TEST(SmallestBadSet, AnErrorStopsTheSearch) {
  const auto found = smallest_bad_set(
      3, [](const std::vector<size_t>&) -> Result<bool> { return fail(Exit::interrupted, "x"); });
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().exit_code, 130);
}

}  // namespace
}  // namespace greta::runner
