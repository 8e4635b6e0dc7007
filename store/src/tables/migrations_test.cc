#include "tables/migrations.h"

#include <gtest/gtest.h>
#include <zstd.h>

#include <fstream>

#include "db/compression.h"
#include "ingest/bundle_fixture.h"

namespace greta::store {
namespace {

using Migrations = StoreFixture;

std::string open_error(const std::filesystem::path& file, Access access) {
  const auto opened = Store::open(file, access);
  return opened ? "" : opened.error().str();
}

TEST_F(Migrations, ANewStoreIsCompleteAndNamed) {
  EXPECT_EQ(ask("SELECT number, name FROM migration"),
            "3|cells_planned\n1|first\n4|purpose\n2|results_only\n5|spans");
  close_store();
  auto db = Database::open(store_file(), Database::Mode::read_only);
  ASSERT_TRUE(db);
  EXPECT_EQ(db->integer("PRAGMA user_version").value(), newest_version());
  EXPECT_EQ(db->integer("PRAGMA application_id").value(), kApplicationId);
  EXPECT_EQ(db->text("PRAGMA journal_mode").value(), "wal");
  EXPECT_EQ(db->text("PRAGMA integrity_check").value(), "ok");
}

// testdata/store_vN.sql.zst: the dump of a store as version N wrote it. All hold the same: two
// bundles (one of a cell that failed) with lines of every state and fields called like columns, and
// a recorded milestone. After the migrations nothing tells them from one that was written today.
class OldStores : public StoreFixture, public testing::WithParamInterface<int> {
 protected:
  void load_dump() {
    const std::string dump =
        std::string(STORE_DIR) + "/testdata/store_v" + std::to_string(GetParam()) + ".sql.zst";
    std::ifstream in(dump, std::ios::binary);
    const std::string packed((std::istreambuf_iterator<char>(in)), {});
    ASSERT_FALSE(packed.empty()) << dump;
    const auto sql = decompress(packed, ZSTD_getFrameContentSize(packed.data(), packed.size()));
    ASSERT_TRUE(sql) << sql.error().str();
    auto db = Database::open(store_file(), Database::Mode::create);
    ASSERT_TRUE(db);
    const auto loaded = db->execute(*sql);
    ASSERT_TRUE(loaded) << loaded.error().str();
    ASSERT_TRUE(db->execute("CREATE VIEW my_count AS SELECT count(*) AS x FROM record"));
  }
  // The bundles and figures of the store that is open, ingested anew.
  void ingest_again(Store& fresh) {
    const auto bundles = store().query("SELECT hash FROM bundle ORDER BY id");
    ASSERT_TRUE(bundles);
    for (const auto& row : bundles->rows) {
      const auto folder = root_ / ("again-" + row[0].text);
      const std::string manifest = store().file_bytes(row[0].text, "manifest.json").value();
      write(folder / "manifest.json", manifest);
      const auto files = manifest_files(manifest);
      ASSERT_TRUE(files);
      for (const StoredFile& file : *files)
        write(folder / file.name, store().file_bytes(row[0].text, file.name).value());
      const auto run = fresh.import_bundle(folder);
      ASSERT_TRUE(run) << run.error().str();
    }
  }
};

TEST_P(OldStores, AreBroughtUpWhole) {
  load_dump();
  {
    const auto reading = Store::open(store_file(), Access::read_only);  // who comes first does it
    ASSERT_TRUE(reading) << reading.error().str();
  }
  EXPECT_EQ(ask("SELECT x FROM my_count"), "10");  // a person's own view stays
  {
    auto db = Database::open(store_file(), Database::Mode::read_only);
    ASSERT_TRUE(db);
    EXPECT_EQ(db->text("PRAGMA integrity_check").value(), "ok");
    EXPECT_EQ(db->integer("SELECT count(*) FROM pragma_foreign_key_check").value(), 0);
  }
  auto fresh = Store::open(root_ / "fresh.sqlite", Access::read_write);
  ASSERT_TRUE(fresh);
  ingest_again(*fresh);
  for (const std::string sql :
       {"SELECT type, name FROM sqlite_master WHERE name <> 'my_count' ORDER BY 1, 2",
        "SELECT * FROM records ORDER BY record",
        "SELECT request, span__field, request_id, v, v__text, list FROM mine ORDER BY record",
        "SELECT prompt, gap, top1_id, top1_id__text FROM readout ORDER BY record",
        "SELECT record, span, v FROM rec_mine ORDER BY record",
        "SELECT file, state, first_record, last_record, lines FROM span ORDER BY id",
        "SELECT greta_line(record) FROM records ORDER BY record",
        "SELECT prompt, layer, attn_out_mae FROM attn_decode_verify",
        "SELECT bundle, variant, key, value FROM environment ORDER BY bundle, key",
        "SELECT bundle, name, role, sha256 FROM files ORDER BY bundle, name"})
    EXPECT_EQ(ask(sql), ask(*fresh, sql)) << sql;
}
INSTANTIATE_TEST_SUITE_P(Versions, OldStores, testing::Range(1, 5));

TEST_F(Migrations, OpeningAgainChangesNothing) {
  import(TestBundle{});
  const std::string before = ask("SELECT group_concat(name) FROM sqlite_master");
  close_store();
  EXPECT_EQ(ask("SELECT group_concat(name) FROM sqlite_master"), before);
  EXPECT_EQ(ask("SELECT count(*) FROM runs"), "1");
}

TEST_F(Migrations, AForeignDatabaseStaysUntouched) {
  const auto file = root_ / "other.sqlite";
  {
    auto db = Database::open(file, Database::Mode::create);
    ASSERT_TRUE(db && db->execute("CREATE TABLE mine (x); INSERT INTO mine VALUES (1)"));
  }
  const std::string before = sha256_file(file).value();
  for (const Access access : {Access::read_only, Access::read_write})
    EXPECT_NE(open_error(file, access).find("no greta store"), std::string::npos);
  EXPECT_EQ(sha256_file(file).value(), before);
}

TEST_F(Migrations, NoDatabaseAtAll) {
  write(root_ / "text", std::string(4096, 'x'));
  EXPECT_NE(open_error(root_ / "text", Access::read_write).find("not a database"),
            std::string::npos);
  EXPECT_NE(open_error(root_ / "missing", Access::read_only).find("there is no store yet"),
            std::string::npos);
  write(root_ / "empty", "");
  EXPECT_NE(open_error(root_ / "empty", Access::read_only).find("empty file"), std::string::npos);
}

// Said of the file, without the statement that met the trouble.
TEST_F(Migrations, TroubleWithTheFileIsSaidInWords) {
  store();
  close_store();
  write(root_ / "text", std::string(4096, 'x'));
  for (const Access access : {Access::read_only, Access::read_write}) {
    for (const auto& [file, words] :
         {std::pair{root_ / "text", "text: is not a database, so no greta store"},
          std::pair{root_, ": is a folder; the store is a file"}}) {
      const auto opened = Store::open(file, access);
      ASSERT_FALSE(opened);
      EXPECT_NE(opened.error().str().find(words), std::string::npos) << opened.error().str();
      EXPECT_EQ(opened.error().str().find("SELECT"), std::string::npos) << opened.error().str();
      EXPECT_EQ(opened.error().exit_code, static_cast<int>(Exit::infrastructure));
    }
  }
  auto db = Database::open(store_file(), Database::Mode::read_only);
  ASSERT_TRUE(db);
  auto add = db->prepare("INSERT INTO meta (key, value) VALUES ('a', 'b')");
  ASSERT_TRUE(add);
  for (const Result<>& written :
       {add->run(), db->execute("INSERT INTO meta (key, value) VALUES ('a', 'b')")}) {
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().str(),
              store_file().string() + ": is read-only: nothing can be written to it");
    EXPECT_EQ(written.error().exit_code, static_cast<int>(Exit::infrastructure));
  }
  // What is wrong with a statement is still said with it.
  EXPECT_NE(db->execute("SELEC 1").error().str().find("SELEC 1: near"), std::string::npos);
}

TEST_F(Migrations, ANewerStoreIsRefused) {
  store();
  close_store();
  {
    auto db = Database::open(store_file(), Database::Mode::read_write);
    ASSERT_TRUE(db && db->execute("PRAGMA user_version = 99"));
  }
  for (const Access access : {Access::read_only, Access::read_write})
    EXPECT_NE(open_error(store_file(), access).find("newer greta (store version 99"),
              std::string::npos);
}

TEST_F(Migrations, ADamagedStoreIsReported) {
  TestBundle bundle;
  bundle.files["out/k.jsonl"] = {.bytes = "{\"v\":1}\n"};
  import(bundle);
  close_store();
  {
    auto db = Database::open(store_file(), Database::Mode::read_write);
    ASSERT_TRUE(db && db->execute("UPDATE content_chunk SET zstd = substr(zstd, 1, 10)"));
  }
  const auto bytes = store().file_bytes(ask("SELECT bundle FROM bundles"), "out/k.jsonl");
  ASSERT_FALSE(bytes);
  EXPECT_NE(bytes.error().str().find("the store is damaged"), std::string::npos);
  EXPECT_NE(ask("SELECT greta_line(1)").find("the store is damaged"), std::string::npos);
}

TEST_F(Migrations, ReadOnlyCannotWrite) {
  store();
  close_store();
  auto reading = Store::open(store_file(), Access::read_only);
  ASSERT_TRUE(reading) << reading.error().str();
  EXPECT_FALSE(reading->begin_run(RunStart{}));
  EXPECT_TRUE(reading->list()->empty());
}

}  // namespace
}  // namespace greta::store
