// Runs from one store to another: what arrives, what is refused, what a kill leaves.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "build/kept_engine.h"
#include "run/recover.h"
#include "run/run_fixture.h"
#include "store/diff.h"
#include "store/report.h"
#include "system/json.h"
#include "system/test_cancel.h"
#include "transfer/archive_file.h"
#include "transfer/archive_fixture.h"
#include "transfer/export.h"
#include "transfer/import.h"

namespace greta::runner {
namespace {

namespace fs = std::filesystem;
// Every file below a folder with its bytes.
std::map<std::string, std::string> tree(const fs::path& folder) {
  std::map<std::string, std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file())
      out[entry.path().lexically_relative(folder).string()] = *read_file(entry.path());
  return out;
}

class Transfer : public Experiment {
 protected:
  void SetUp() override {
    Experiment::SetUp();
    const auto file = spec(
        "matrix: {GRETA_SCALE: ['1', '2']}\nrepeat: 2\n"
        "expect: [{id: gap, metric: readout.gap, agg: max, le: 9}, {id: none, sql: 'SELECT "
        "gap < 0 FROM readout'}]\n");
    ASSERT_TRUE(run(file));
    ASSERT_TRUE(run(file));  // of cached cells alone
    store::Store here = *context_.open_store(store::Access::read_write);
    runs_ = {1, 2};
    names_ = {here.list()->at(1).run, here.list()->at(0).run};
    ASSERT_TRUE(here.accept(names_[0]));
  }
  Result<Exported> export_from(const fs::path& store_file, const fs::path& to,
                               ExportOptions options = {}) {
    auto store = store::Store::open(store_file, store::Access::read_only);
    const Layout layout = *make_layout(store_file);
    return export_runs(*store, layout, runs_, options, to, kNever);
  }
  Result<ImportedArchive> import_into(const fs::path& store_file, const fs::path& from) {
    auto store = store::Store::open(store_file, store::Access::read_write);
    const Layout layout = *make_layout(store_file);
    return import_archive(*store, layout, from, kMostArchiveBytes, kNever);
  }
  // Nothing of a refused archive is to be seen.
  void expect_empty(const fs::path& store_file) {
    auto store = store::Store::open(store_file, store::Access::read_write);
    EXPECT_TRUE(store->list()->empty());
    EXPECT_EQ(store->query("SELECT count(*) FROM bundles")->rows[0][0].integer, 0);
    const Layout layout = *make_layout(store_file);
    for (const auto& folder :
         {layout.bundles(), layout.engines(), layout.images(), layout.temporary()})
      EXPECT_TRUE(fs::is_empty(folder)) << folder;
  }

  fs::path here_ = folder_ / ".greta/store.sqlite", there_ = folder_ / "there/.greta/store.sqlite";
  fs::path archive_ = folder_ / "x.greta.tar.zst";
  std::vector<int64_t> runs_;
  std::vector<std::string> names_;
};

TEST_F(Transfer, ThereAndBackAgainIsTheSameFile) {
  const auto out = export_from(here_, archive_);
  ASSERT_TRUE(out) << out.error().str();
  EXPECT_EQ(out->runs.size(), 2U);
  EXPECT_EQ(out->bundles, 4U);
  const auto in = import_into(there_, archive_);
  ASSERT_TRUE(in) << in.error().str();
  EXPECT_EQ(tree(there_.parent_path() / "bundles"), tree(here_.parent_path() / "bundles"));
  EXPECT_TRUE(fs::is_empty(there_.parent_path() / "tmp"));
  ASSERT_TRUE(export_from(there_, folder_ / "again"));
  EXPECT_EQ(*read_file(folder_ / "again"), *read_file(archive_));
  // Once more changes nothing.
  const auto twice = import_into(there_, archive_);
  ASSERT_TRUE(twice) << twice.error().str();
  EXPECT_TRUE(twice->runs[0].known && twice->runs[1].known);
  ASSERT_TRUE(export_from(there_, folder_ / "again"));
  EXPECT_EQ(*read_file(folder_ / "again"), *read_file(archive_));
}

TEST_F(Transfer, DiffReportAndQueryAnswerTheSame) {
  ASSERT_TRUE(export_from(here_, archive_));
  ASSERT_TRUE(import_into(there_, archive_));
  std::vector<std::string> answers[2];
  for (int side = 0; side < 2; ++side) {
    store::Store store = *store::Store::open(side == 0 ? here_ : there_, store::Access::read_only);
    const int64_t a = *store.resolve(names_[0]), b = *store.resolve(names_[1]);
    EXPECT_EQ(store.select("T1")->name, names_[0]);  // the accepted one
    answers[side] = {store::to_json(*store::diff(store, a, b)),
                     *store::markdown_report(store, a, store::Language::both),
                     *store::markdown_report(store, b, store::Language::en)};
    for (const char* sql : {"SELECT run, variant, prompt, repeat, phase, gap, top1_id FROM readout"
                            " ORDER BY 1, 2, 3, 4, 5",
                            "SELECT * FROM cells ORDER BY 1, 3, 4, 5",
                            "SELECT * FROM environment ORDER BY 1, 4, 5, 6"}) {
      std::string text;
      const auto table = store.query(sql);
      for (const auto& row : table->rows)
        for (const auto& value : row)
          text += value.text + "|" + std::to_string(value.integer) + "|" +
                  std::to_string(value.real) + "\n";
      EXPECT_GT(text.size(), 100U);
      answers[side].push_back(text);
    }
  }
  EXPECT_EQ(answers[0], answers[1]);
}

TEST_F(Transfer, TheStoreAloneIsEnough) {
  ASSERT_TRUE(export_from(here_, archive_));
  fs::remove_all(here_.parent_path() / "bundles");
  ASSERT_TRUE(export_from(here_, folder_ / "again"));
  EXPECT_EQ(*read_file(folder_ / "again"), *read_file(archive_));
}

TEST_F(Transfer, ImportedCellsServeTheCache) {
  ASSERT_TRUE(export_from(here_, archive_));
  ASSERT_TRUE(import_into(there_, archive_));
  context_.store_path = there_;
  ASSERT_TRUE(run(folder_ / "T1.yaml"));
  EXPECT_EQ(query("SELECT count(*), sum(cached) FROM cells WHERE run = (SELECT run FROM runs ORDER"
                  " BY run_id DESC LIMIT 1)"),
            "8|8\n");
}

// A change to one member, with the index made good again: what greta finds is in the content.
TEST_F(Transfer, ContentsThatAreRefused) {
  ASSERT_TRUE(export_from(here_, archive_));
  struct Collect : ArchiveVisitor {
    Result<> index(const ArchiveIndex&) override { return {}; }
    Result<> begin(const ArchiveMember& member) override {
      entries.push_back({.name = member.name, .bytes = {}});
      return {};
    }
    Result<> piece(std::string_view bytes) override {
      entries.back().bytes += bytes;
      return {};
    }
    Result<> end() override { return {}; }
    std::vector<TestEntry> entries;
  } good;
  ASSERT_TRUE(read_archive(archive_, kMostArchiveBytes, good, kNever));
  using Entries = std::vector<TestEntry>;
  const auto find = [](Entries& e, const std::string& end) -> TestEntry& {
    for (TestEntry& entry : e)
      if (entry.name.ends_with(end)) return entry;
    ADD_FAILURE() << end;
    return e[0];
  };
  const auto drop = [](Entries& e, const std::string& end) {
    std::erase_if(e, [&](const TestEntry& entry) { return entry.name.ends_with(end); });
  };
  const std::string key(64, 'e');
  const std::string build =
      SortedJson(
          {{"binary", "engine"}, {"build_key", key}, {"sha256", store::sha256_hex("program")}})
          .dump();
  const std::pair<std::function<void(Entries&)>, const char*> cases[] = {
      {[&](Entries& e) { find(e, "manifest.json").bytes += " "; }, "has another hash"},
      {[&](Entries& e) { drop(e, "manifest.json"); }, "has no manifest.json"},
      {[&](Entries& e) { find(e, "out/readout.jsonl").bytes += "{}\n"; },
       "`out/readout.jsonl` is not what its manifest says"},
      {[&](Entries& e) { drop(e, "out/readout.jsonl"); }, "`out/readout.jsonl` is missing"},
      {[&](Entries& e) { e.push_back({.name = e[0].name.substr(0, 73) + "zzz", .bytes = "x"}); },
       "`zzz` is not in its manifest"},
      {[&](Entries& e) {
         const std::string folder = e[0].name.substr(0, 72);
         std::erase_if(e, [&](const TestEntry& x) { return x.name.starts_with(folder); });
       },
       "is not in the archive"},
      {[&](Entries& e) {
         drop(e, names_[0] + ".json");
         drop(e, names_[1] + ".json");
       },
       "belongs to no run"},
      {[&](Entries& e) { find(e, names_[0] + ".json").name = "runs/other.json"; },
       "holds another run"},
      {[&](Entries& e) { find(e, names_[0] + ".json").bytes = "{}"; }, "its `version` is not 1"},
      {[&](Entries& e) { e.push_back({.name = "engines/" + key + "/engine", .bytes = "program"}); },
       "has no build.json"},
      {[&](Entries& e) {
         e.push_back({.name = "engines/" + key + "/build.json", .bytes = build});
         e.push_back({.name = "engines/" + key + "/engine", .bytes = "another"});
       },
       "is not what its build.json says"},
      {[&](Entries& e) { e.push_back({.name = "images/" + key + ".tar", .bytes = "x"}); },
       "is no image archive"},
  };
  for (const auto& [change, part] : cases) {
    Entries entries = good.entries;
    change(entries);
    entries.insert(entries.begin(), index_of(entries));
    write_entries(folder_ / "bad", entries);
    const auto done = import_into(there_, folder_ / "bad");
    ASSERT_FALSE(done) << part;
    EXPECT_EQ(done.error().exit_code, 2) << done.error().str();
    EXPECT_NE(done.error().str().find(part), std::string::npos) << done.error().str();
    EXPECT_TRUE(done.error().str().starts_with((folder_ / "bad").string())) << done.error().str();
    expect_empty(there_);
  }
}

TEST_F(Transfer, AnotherRunOfTheSameNameIsRefused) {
  ASSERT_TRUE(export_from(here_, archive_));
  {
    store::Store here = *context_.open_store(store::Access::read_write);
    ASSERT_TRUE(here.finish_run(names_[1], store::RunStatus::failed, "another end"));
  }
  const auto done = import_into(here_, archive_);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().exit_code, 2);
  EXPECT_NE(done.error().str().find("another run `" + names_[1]), std::string::npos)
      << done.error().str();
}

TEST_F(Transfer, AnEngineThatIsNotKeptIsNamed) {
  fs::remove_all(here_.parent_path() / "engines");
  const auto done = export_from(here_, archive_, {.with_engine = true});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().exit_code, 2);
  EXPECT_NE(done.error().str().find("is not kept here"), std::string::npos) << done.error().str();
  EXPECT_FALSE(fs::exists(archive_));
}

TEST_F(Transfer, EnginesGoWithTheirRuns) {
  const std::string key = query("SELECT max(value) FROM environment WHERE key = 'build_key'");
  const std::string folder = "engines/" + key.substr(0, 64);
  ASSERT_TRUE(fs::exists(here_.parent_path() / folder / "build.json"));
  const auto out = export_from(here_, archive_, {.with_engine = true});
  ASSERT_TRUE(out) << out.error().str();
  EXPECT_EQ(out->engines, 1U);
  const auto in = import_into(there_, archive_);
  ASSERT_TRUE(in) << in.error().str();
  EXPECT_EQ(tree(there_.parent_path() / folder), tree(here_.parent_path() / folder));
  EXPECT_EQ(fs::status(there_.parent_path() / folder / "contract.sh").permissions(),
            fs::perms(0755));
  const auto kept = find_kept_engine(*make_layout(there_), key.substr(0, 64));
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->sha256, *store::sha256_file(engines() + "contract.sh"));
}

// Killed at any moment: whole runs or none, and the next import ends as if nothing had happened.
TEST_F(Transfer, AKilledImportLeavesNothingHalf) {
  ASSERT_TRUE(export_from(here_, archive_));
  int killed = 0;
  for (int moment = 0; moment < 8; ++moment) {
    const fs::path store_file =
        folder_ / ("killed" + std::to_string(moment) + "/.greta/store.sqlite");
    ASSERT_TRUE(store::Store::open(store_file, store::Access::read_write));
    const pid_t pid = fork();
    if (pid == 0) {
      const auto done = import_into(store_file, archive_);
      _exit(done ? 0 : 1);
    }
    usleep(static_cast<useconds_t>(moment) * 4000);
    kill(pid, SIGKILL);
    int status = 0;
    waitpid(pid, &status, 0);
    killed += WIFSIGNALED(status);
    {
      store::Store store = *store::Store::open(store_file, store::Access::read_write);
      const auto runs = store.list();
      for (const auto& run : *runs) EXPECT_EQ(run.cells, 8) << moment;
      Executor host;
      ASSERT_TRUE(recover(store, *make_layout(store_file), host, kNever));
    }
    EXPECT_TRUE(fs::is_empty(store_file.parent_path() / "tmp"));
    const auto done = import_into(store_file, archive_);
    ASSERT_TRUE(done) << done.error().str();
    ASSERT_TRUE(export_from(store_file, folder_ / "again"));
    EXPECT_EQ(*read_file(folder_ / "again"), *read_file(archive_)) << moment;
  }
  EXPECT_GE(killed, 2) << "most kills came too late to prove anything";
}

}  // namespace
}  // namespace greta::runner
