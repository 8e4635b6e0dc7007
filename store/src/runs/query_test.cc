#include <gtest/gtest.h>
#include <sqlite3.h>

#include <set>

#include "ingest/bundle_fixture.h"

namespace greta::store {
namespace {

class Query : public StoreFixture {
 protected:
  // Two runs with one record each; the ids of the runs are 1 and 2.
  void make_two_runs() {
    for (const int i : {1, 2}) {
      TestBundle bundle;
      bundle.salt = i;
      bundle.environment["n"] = std::to_string(i);
      bundle.files["out/k.jsonl"] = {.bytes = "{\"v\":" + std::to_string(i) + "}\n"};
      import(bundle, std::to_string(i));
    }
  }
};

TEST_F(Query, OnlyReads) {
  make_two_runs();
  const char* refused[] = {
      "DELETE FROM run",
      "INSERT INTO run (name) VALUES ('x')",
      "UPDATE bundle SET hash = 'x'",
      "CREATE TABLE t (x)",
      "CREATE TEMP TABLE t (x)",
      "CREATE TEMP VIEW v AS SELECT 1",
      "DROP VIEW runs",
      "ATTACH 'x.sqlite' AS x",
      "ATTACH ':memory:' AS x",
      "DETACH temp",
      "VACUUM INTO 'x.sqlite'",
      "PRAGMA user_version = 7",
      "PRAGMA query_only = 0",
      "PRAGMA journal_mode = DELETE",
      "SELECT load_extension('x')",
      "BEGIN",
      "COMMIT",
      "SAVEPOINT x",
      "REINDEX",
      "ANALYZE",
      "SELECT 1; DELETE FROM run",
      "SELECT 1; SELECT 2",
      "WITH x AS (SELECT 1) DELETE FROM run",
      "SELECT * FROM runs WHERE",
      "",
      " ; ",
      "-- nothing",
  };
  const std::string before = ask("SELECT group_concat(name) FROM sqlite_master");
  for (const char* sql : refused) {
    for (const int64_t run : {int64_t{-1}, int64_t{1}})
      EXPECT_EQ(ask(sql, run).substr(0, 7), "error: ") << sql;
  }
  EXPECT_EQ(ask("SELECT group_concat(name) FROM sqlite_master"), before);
  EXPECT_EQ(ask("SELECT count(*) FROM run"), "2");
}

TEST_F(Query, ReadsEverythingThatReads) {
  make_two_runs();
  EXPECT_EQ(ask("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4)"
                " SELECT sum(i) FROM n"),
            "10");
  EXPECT_EQ(ask("SELECT value FROM json_each('[1,2]')"), "1\n2");
  EXPECT_EQ(ask("SELECT name FROM pragma_table_info('k') WHERE name = 'v'"), "v");
  EXPECT_EQ(ask("VALUES (1, 'a', NULL, 2.5)"), "1|a|∅|2.5");
  EXPECT_EQ(ask("SELECT 1 -- one\n;  /* end */ "), "1");
  EXPECT_NE(ask("EXPLAIN QUERY PLAN SELECT * FROM k"), "");
  EXPECT_EQ(ask("SELECT v, row_number() OVER (ORDER BY v DESC) FROM k ORDER BY v"), "1|2\n2|1");
  EXPECT_EQ(ask("SELECT greta_line(record) FROM k WHERE v = 2"), "{\"v\":2}");
  EXPECT_EQ(ask("SELECT greta_line(99), greta_line(NULL)"), "∅|∅");
}

TEST_F(Query, OneRunSeesItselfOnly) {
  make_two_runs();
  const auto objects = store().query(
      "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE "
      "'sqlite_%'");
  ASSERT_TRUE(objects);
  const std::set<std::string> shared = {"meta", "migration", "kind", "field", "kinds", "fields"};
  int scoped = 0;
  for (const auto& row : objects->rows) {
    const std::string& name = row[0].text;
    const std::string count = "SELECT count(*) FROM \"" + name + "\"";
    if (shared.contains(name)) continue;
    const int all = std::stoi(ask(count));
    const int first = std::stoi(ask(count, 1)), second = std::stoi(ask(count, 2));
    EXPECT_EQ(first, second) << name;
    EXPECT_EQ(first + second, all) << name;
    scoped += all > 0 ? 1 : 0;
  }
  EXPECT_GT(scoped, 20);
  EXPECT_EQ(ask("SELECT v, milestone FROM k", 1), "1|T1");
  EXPECT_EQ(ask("SELECT v FROM k", 2), "2");
  EXPECT_EQ(ask("SELECT v FROM k"), "1\n2");
  EXPECT_EQ(ask("SELECT count(*) FROM k", 77), "0");
  for (const char* sql :
       {"SELECT count(*) FROM main.run", "SELECT * FROM MAIN . k", "SELECT * FROM \"main\".rec_k",
        "SELECT * FROM [main] /* x */ .k", "WITH k AS (SELECT * FROM main.k) SELECT * FROM k"})
    EXPECT_NE(ask(sql, 1).find("holds every run"), std::string::npos) << sql;
  for (const char* sql : {"SELECT 'main.k'", "SELECT 1 -- main.k", "SELECT 1 AS main"})
    EXPECT_EQ(ask(sql, 1).find("error"), std::string::npos) << sql;
}

TEST_F(Query, SeesKindsThatComeLater) {
  make_two_runs();
  EXPECT_EQ(ask("SELECT v FROM k", 1), "1");
  TestBundle bundle;
  bundle.salt = 3;
  bundle.files["out/later.jsonl"] = {.bytes = "{\"x\":1}\n"};
  import(bundle, "3");
  EXPECT_EQ(ask("SELECT count(*) FROM later", 1), "0");
  EXPECT_EQ(ask("SELECT x FROM later", 3), "1");
}

TEST_F(Query, ErrorsNameThePlaceAndTheNearestName) {
  const std::pair<const char*, const char*> cases[] = {
      {"SELECT * FROM readuot", "error: no such table: readuot (did you mean `readout`?)"},
      {"SELECT lyer FROM attn_decode_verify",
       "error: SQL:1:8: no such column: lyer (did you mean `layer`?)"},
      {"SELECT 1,\n  t.top1_idd\nFROM readout t",
       "error: SQL:2:3: no such column: t.top1_idd (did you mean `top1_id`?)"},
      {"SELECT mxa(1)", "error: SQL:1:8: no such function: mxa (did you mean `max`?)"},
      {"SELECT \"phse\" FROM readout",
       "error: SQL:1:8: no such column: phse (did you mean `phase`?)"},
      {"SELECT FROM", "error: SQL:1:8: near \"FROM\": syntax error"},
  };
  for (const auto& [sql, error] : cases) EXPECT_EQ(ask(sql), error);
}

TEST_F(Query, AnySQLiteClientReadsTheSame) {
  make_two_runs();
  close_store();
  sqlite3* db = nullptr;  // without anything of greta
  ASSERT_EQ(sqlite3_open_v2(store_file().c_str(), &db, SQLITE_OPEN_READONLY, nullptr), SQLITE_OK);
  sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  std::vector<std::string> names;
  const auto collect = [](void* to, int, char** values, char**) {
    static_cast<std::vector<std::string>*>(to)->emplace_back(values[0]);
    return 0;
  };
  sqlite3_exec(db, "SELECT name FROM sqlite_master WHERE type = 'view'", collect, &names, nullptr);
  EXPECT_GT(names.size(), 15U);
  for (const auto& name : names) {
    const std::string sql = "SELECT * FROM \"" + name + "\"";
    EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
        << name << ": " << sqlite3_errmsg(db);
  }
  sqlite3_close(db);
}

}  // namespace
}  // namespace greta::store
