#include "tables/migrations.h"

#include <gtest/gtest.h>

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
            "3|cells_planned\n1|first\n4|purpose\n2|results_only");
  close_store();
  auto db = Database::open(store_file(), Database::Mode::read_only);
  ASSERT_TRUE(db);
  EXPECT_EQ(db->integer("PRAGMA user_version").value(), newest_version());
  EXPECT_EQ(db->integer("PRAGMA application_id").value(), kApplicationId);
  EXPECT_EQ(db->text("PRAGMA journal_mode").value(), "wal");
  EXPECT_EQ(db->text("PRAGMA integrity_check").value(), "ok");
}

// A store as version 1 wrote it: no is_result, and views that show what failed.
TEST_F(Migrations, VersionOneLearnsWhatIsAResult) {
  TestBundle bundle;
  bundle.files["out/k.jsonl"] = {.bytes = "{\"request\":\"p1\",\"v\":1}\n{\"v\":2}\n"};
  bundle.prompts = {"p1", "p2"};
  const std::string good = import(bundle);
  bundle.status = "failed";
  import(bundle, "failed");
  const std::string seen = "SELECT v, prompt, milestone FROM k ORDER BY v";
  EXPECT_EQ(ask(seen), "1|p1|T1\n2|∅|T1");
  const std::string before = ask("SELECT type, name, sql FROM sqlite_master ORDER BY type, name");
  close_store();
  {
    auto db = Database::open(store_file(), Database::Mode::read_write);
    ASSERT_TRUE(db);
    std::string undo = "DROP VIEW k; DROP VIEW records; ";
    auto views = db->prepare(
        "SELECT name FROM sqlite_master WHERE type = 'view' AND (sql LIKE '%is_result%' OR sql LIKE"
        " '%cells_planned%' OR sql LIKE '%replay_of%') AND name"
        " NOT IN ('k', 'records')");
    ASSERT_TRUE(views);
    while (*views->step()) undo += "DROP VIEW " + quoted_name(views->text(0)) + ";";
    views->reset();
    undo +=
        "ALTER TABLE member DROP COLUMN is_result; ALTER TABLE run DROP COLUMN cells_planned; "
        "ALTER TABLE run DROP COLUMN purpose; ALTER TABLE run DROP COLUMN replay_of; "
        "DELETE FROM migration WHERE number > 1;"
        " PRAGMA user_version = 1; CREATE VIEW k AS SELECT t.v FROM rec_k t;"
        " CREATE VIEW mine AS SELECT 1 AS x;";
    const auto undone = db->execute(undo);
    ASSERT_TRUE(undone) << undone.error().str();
  }
  {
    const auto reading = Store::open(store_file(), Access::read_only);  // who comes first does it
    ASSERT_TRUE(reading) << reading.error().str();
  }
  EXPECT_EQ(ask(seen), "1|p1|T1\n2|∅|T1");
  EXPECT_EQ(ask("SELECT x FROM mine"), "1");  // a person's own view stays
  EXPECT_EQ(ask("SELECT r.name, sum(m.is_result), count(*) FROM member m JOIN run r ON r.id = m.run"
                " GROUP BY 1 HAVING sum(m.is_result) > 0"),
            good + "|3|3");
  EXPECT_EQ(ask("SELECT type, name, sql FROM sqlite_master WHERE name <> 'mine'"
                " ORDER BY type, name"),
            before);
}

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
  EXPECT_TRUE(reading->list("")->empty());
}

}  // namespace
}  // namespace greta::store
