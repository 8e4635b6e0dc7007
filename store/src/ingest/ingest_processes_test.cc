// One store and several processes: killed writers, two writers, readers beside a writer. The first
// fill of a new store has a rollback journal, later ones a write-ahead log: both are tried.

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <chrono>
#include <thread>

#include "db/sqlite.h"
#include "ingest/bundle_fixture.h"

namespace greta::store {
namespace {

using namespace std::chrono_literals;

class IngestProcesses : public StoreFixture {
 protected:
  // The id of a child that does `work` with the store opened for writing, and ends with 0 if that
  // went well.
  template <class Work>
  pid_t writer(Work work) {
    const pid_t child = fork();
    EXPECT_GE(child, 0);
    if (child != 0) return child;
    auto opened = Store::open(store_file(), Access::read_write);
    _exit(opened && work(*opened) ? 0 : 1);
  }
  static bool ended_well(pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  std::string journal_mode() {
    close_store();
    auto db = Database::open(store_file(), Database::Mode::read_only);
    return db ? db->text("PRAGMA journal_mode").value_or("?") : "?";
  }
  void remove_store() {
    close_store();
    for (const char* end : {"", "-wal", "-shm", "-journal"})
      std::filesystem::remove(store_file().string() + end);
  }
};

std::string lines_of(int count, int kinds) {
  std::string out;
  for (int i = 0; i < count; ++i)
    out += "{\"event\":\"k" + std::to_string(i * kinds / count) + "\",\"v\":1}\n";
  return out;
}

TEST_F(IngestProcesses, ANewStoreHasItsWriteAheadLogAfterTheFirstFill) {
  TestBundle bundle;
  bundle.files["out/k.jsonl"] = {.bytes = lines_of(100, 1)};
  const auto folder = write_bundle(bundle);
  EXPECT_TRUE(store().ingest_bundle(folder));
  auto db = Database::open(store_file(), Database::Mode::read_only);  // `store()` is still open
  EXPECT_EQ(db->text("PRAGMA journal_mode").value(), "wal");
  remove_store();
  EXPECT_TRUE(store().list());  // nothing written
  EXPECT_EQ(journal_mode(), "wal");
}

// A reader that sits on a new store keeps it from its write-ahead log and nothing else.
TEST_F(IngestProcesses, AFirstFillBesideAReaderGoesIn) {
  TestBundle bundle;
  bundle.files["out/k.jsonl"] = {.bytes = lines_of(100, 1)};
  const auto folder = write_bundle(bundle);
  auto first = Store::open(store_file(), Access::read_write);
  ASSERT_TRUE(first);
  auto reader = Database::open(store_file(), Database::Mode::read_only);
  auto rows = reader->prepare("SELECT name FROM sqlite_master");
  ASSERT_TRUE(rows->step().value());
  {
    auto second = Store::open(store_file(), Access::read_write);  // waits, then does without
    EXPECT_TRUE(second) << second.error().str();
  }
  rows->reset();
  EXPECT_TRUE(first->ingest_bundle(folder));
  ASSERT_TRUE(rows->step().value());
  bundle.salt = 1;
  EXPECT_TRUE(first->ingest_bundle(write_bundle(bundle)));
  rows->reset();
  EXPECT_EQ(ask("SELECT count(*) FROM bundles"), "2");
  EXPECT_EQ(journal_mode(), "wal");
}

// A process killed in the middle of an ingest leaves nothing of it, and the next one goes on.
class Killed : public IngestProcesses, public testing::WithParamInterface<bool> {};
TEST_P(Killed, InTheMiddleLeavesNothing) {
  TestBundle bundle;
  bundle.files["out/k.jsonl"] = {.bytes = lines_of(60'000, 3)};
  const auto folder = write_bundle(bundle);
  const bool is_new = GetParam();
  int interrupted = 0;
  for (auto delay = 5ms; delay < 400ms && interrupted < 5; delay += 15ms) {
    remove_store();
    if (!is_new) {
      EXPECT_EQ(ask("SELECT count(*) FROM bundles"), "0");
    }
    close_store();
    const pid_t child =
        writer([&](Store& opened) { return opened.ingest_bundle(folder).has_value(); });
    std::this_thread::sleep_for(delay);
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFEXITED(status)) break;  // it was faster
    std::string bundles = "0";
    {
      auto reading = Store::open(store_file(), Access::read_only);  // before the store was made: no
      if (reading) bundles = ask(*reading, "SELECT count(*) FROM bundles");
    }
    EXPECT_EQ(ask("SELECT (SELECT count(*) FROM bundles), (SELECT count(*) FROM content), (SELECT"
                  " count(*) FROM record), (SELECT count(*) FROM kinds WHERE kind = 'k0')"),
              bundles == "0" ? "0|0|0|0" : "1|1|60000|1");
    if (bundles != "0") break;  // killed when all was in
    ++interrupted;
    EXPECT_EQ(ask("SELECT count(*) FROM readout"), "0");
  }
  EXPECT_GT(interrupted, 0);
  EXPECT_TRUE(store().ingest_bundle(folder));
  EXPECT_EQ(ask("SELECT (SELECT count(*) FROM rec_k0) + (SELECT count(*) FROM rec_k2)"), "40000");
  EXPECT_EQ(journal_mode(), "wal");
}
INSTANTIATE_TEST_SUITE_P(All, Killed, testing::Bool(),
                         [](const auto& one) { return one.param ? "FirstFill" : "LaterFill"; });

// What readers see while bundles come in is whole bundles, ever more of them, and never an error.
TEST_F(IngestProcesses, ReadersSeeWholeBundlesWhileAWriterIngests) {
  constexpr int kBundles = 20, kLines = 10'000;
  for (int i = 0; i < kBundles; ++i) {
    TestBundle bundle;
    bundle.salt = i;
    bundle.files["out/k.jsonl"] = {.bytes = lines_of(kLines, 1 + i % 8)};
    write_bundle(bundle, std::to_string(i));
  }
  EXPECT_EQ(ask("SELECT count(*) FROM bundles"), "0");
  close_store();
  const pid_t child = writer([&](Store& opened) {
    for (int i = 0; i < kBundles; ++i)
      if (!opened.import_bundle(root_ / std::to_string(i))) return false;
    return true;
  });
  int reads = 0, bundles = 0;
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  while (bundles < kBundles && std::chrono::steady_clock::now() < deadline) {
    auto reading = Store::open(store_file(), Access::read_only);
    ASSERT_TRUE(reading) << reading.error().str();
    for (int again = 0; again < 3; ++again) {
      const std::string seen =
          ask(*reading, "SELECT (SELECT count(*) FROM bundles), (SELECT count(*) FROM records)");
      int in = 0, lines = 0;
      ASSERT_EQ(sscanf(seen.c_str(), "%d|%d", &in, &lines), 2) << seen;
      EXPECT_EQ(lines, in * kLines);
      EXPECT_GE(in, bundles);
      bundles = in;
      ++reads;
    }
  }
  EXPECT_TRUE(ended_well(child));
  EXPECT_EQ(bundles, kBundles);
  EXPECT_GT(reads, 3);
}

TEST_F(IngestProcesses, TwoWritersWaitForEachOther) {
  constexpr int kBundles = 12;
  for (int i = 0; i < 2 * kBundles; ++i) {
    TestBundle bundle;
    bundle.salt = i;
    // Both make new kinds and columns: each must see what the other has made.
    bundle.files["out/k.jsonl"] = {.bytes = "{\"event\":\"w" + std::to_string(i % 5) + "\",\"f" +
                                            std::to_string(i) + "\":" + std::to_string(i) + "}\n"};
    write_bundle(bundle, std::to_string(i));
  }
  pid_t writers[2];
  for (int w = 0; w < 2; ++w) {
    writers[w] = fork();
    ASSERT_GE(writers[w], 0);
    if (writers[w] == 0) {
      auto opened = Store::open(store_file(), Access::read_write);  // one of them creates it
      bool good = opened.has_value();
      for (int i = 0; good && i < kBundles; ++i)
        good = opened->import_bundle(root_ / std::to_string(2 * i + w)).has_value();
      _exit(good ? 0 : 1);
    }
  }
  for (const pid_t writer : writers) {
    int status = 0;
    waitpid(writer, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  EXPECT_EQ(ask("SELECT (SELECT count(*) FROM runs), count(*) FROM records"), "24|24");
  EXPECT_EQ(ask("SELECT sum(f0), sum(f5), sum(f10), sum(f15), sum(f20), count(*) FROM w0"),
            "0|5|10|15|20|5");
}

}  // namespace
}  // namespace greta::store
