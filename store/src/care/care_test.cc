#include "store/care.h"

#include <gtest/gtest.h>

#include <random>

#include "ingest/bundle_fixture.h"
#include "tables/store_impl.h"

namespace greta::store {
namespace {

const CareProgress kGoOn = [](int64_t, int64_t) { return true; };

std::string text_of(const std::vector<Trouble>& troubles) {
  std::string out;
  for (const Trouble& trouble : troubles) out += trouble.where + ": " + trouble.what + "\n";
  return out;
}

// Lines of every kind that engines write, and some that none should.
std::string random_line(std::mt19937_64& random) {
  const auto one_of = [&](const std::vector<std::string>& words) {
    return words[random() % words.size()];
  };
  const auto value = [&]() -> std::string {
    switch (random() % 9) {
      case 0:
        return std::to_string(static_cast<int64_t>(random()));
      case 1:
        return std::to_string(random());  // often beyond 64 bits with a sign
      case 2:
        return nlohmann::json(static_cast<double>(random() % 1000) / 7 - 50).dump();
      case 3:
        return one_of({"NaN", "-inf", "Infinity", "\"NaN\"", "1e400", "-0.0", "1.0", "-0"});
      case 4:
        return one_of({"true", "false", "null"});
      case 5:
        return one_of({R"({"a": [1, {}]})", "[]", R"([1,"x",null])"});
      default:
        return one_of({R"("")", R"("fused")", R"("\u00e9\n\"")", R"("ñ")", R"("1.5")"});
    }
  };
  if (random() % 12 == 0)
    return one_of({"", "  ", "not json", "[1]", "{\"a\":1", "{\"a\":\"\xff\"}", "\xef\xbb\xbf{}"});
  std::string line = "{";
  const size_t fields = random() % 7;
  for (size_t i = 0; i < fields; ++i) {
    const std::string key =
        one_of({"event", "request", "layer", "gap", "top1_id", "q_hash", "A", "a", "span", "run",
                "x", "sample", "extra", "bound", "", "true"});
    std::string text = value();
    if (key == "event") text = one_of({R"("readout")", R"("mine")", R"("sqlite_x")", "7"});
    if (key == "request") text = one_of({R"("p1")", R"("p2")", R"("other")", "7"});
    line += (i == 0 ? "\"" : ", \"") + key + "\": " + text;
  }
  return line + "}";
}

class Care : public StoreFixture {
 protected:
  // Some runs with bundles of random lines; returns the files as they went in, by bundle and name.
  std::map<std::string, std::string> random_store(uint64_t seed) {
    std::mt19937_64 random(seed);
    std::map<std::string, std::string> in;
    const size_t runs = 1 + random() % 4;
    for (size_t i = 0; i < runs; ++i) {
      TestBundle bundle;
      bundle.salt = static_cast<int>(i);
      bundle.milestone = "M" + std::to_string(random() % 2);
      bundle.status = random() % 4 == 0 ? "failed" : "ok";
      bundle.prompts = {"p1", "p2"};
      const size_t files = 1 + random() % 3;
      for (size_t f = 0; f < files; ++f) {
        std::string bytes;
        const size_t lines = random() % 40;
        for (size_t line = 0; line < lines; ++line) bytes += random_line(random) + "\n";
        if (random() % 3 == 0 && !bytes.empty()) bytes.pop_back();
        const std::string name = "out/f" + std::to_string(f) + ".jsonl";
        bundle.files[name] = {.bytes = bytes, .kind = random() % 3 == 0 ? "readout" : ""};
      }
      bundle.files["log.txt"] = {.bytes = "warming up\n", .role = "log"};
      import(bundle, "b" + std::to_string(i));
      const std::string hash = sha256_hex(bundle.manifest());
      for (const auto& [name, file] : bundle.files) in[hash + " " + name] = file.bytes;
    }
    return in;
  }
  std::string troubles() {
    const auto checked = check(store(), kGoOn);
    return checked ? text_of(checked->troubles) : "error: " + checked.error().str();
  }
};

const char* const kLines =
    "SELECT bundle, file, line, byte_offset, length, kind, request, state, is_result, "
    "greta_line(record)"
    " FROM records ORDER BY bundle, file, line";

TEST_F(Care, RandomStoresAreSoundAndRebuildEqual) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    const auto in = random_store(seed);
    for (const auto& [place, bytes] : in) {
      const size_t space = place.find(' ');
      EXPECT_EQ(store().file_bytes(place.substr(0, space), place.substr(space + 1)).value(), bytes);
    }
    ASSERT_EQ(troubles(), "") << "seed " << seed;
    const auto file = root_ / "again.sqlite";
    std::filesystem::remove(file);
    auto again = Store::open(file, Access::read_write);
    ASSERT_TRUE(again);
    const auto rebuilt = rebuild(
        store(), *again, [](const std::string&) { return ""; }, kGoOn);
    ASSERT_TRUE(rebuilt) << rebuilt.error().str();
    EXPECT_EQ(text_of(rebuilt->lost), "") << "seed " << seed;
    EXPECT_EQ(ask(*again, kLines), ask(kLines)) << "seed " << seed;
    const auto checked = check(*again, kGoOn);
    EXPECT_EQ(checked ? text_of(checked->troubles) : checked.error().str(), "") << "seed " << seed;
    const auto runs = store().list().value();
    for (const RunSummary& run : runs) {
      const int64_t there = again->resolve(run.run).value_or(-1);
      EXPECT_EQ(again->export_run(there).value_or("?"), store().export_run(run.id).value_or("!"));
    }
    close_store();
    std::filesystem::remove(store_file());
  }
}

// Every check has a damage that it finds, and says where.
// Once a kind is as wide as it may be, a value of another type than its column's goes into `extra`.
TEST_F(Care, AFullKindIsSound) {
  std::string wide = "{\"f0\":0";
  for (int i = 1; i < 450; ++i) wide += ",\"f" + std::to_string(i) + "\":" + std::to_string(i);
  TestBundle bundle;
  bundle.files["out/wide.jsonl"] = {.bytes =
                                        "{\"p\":\"abc\"}\n" + wide +
                                        "}\n{\"p\":5,\"f1\":\"text\",\"f2\":18446744073709551616}"};
  import(bundle);
  EXPECT_EQ(troubles(), "");
  ASSERT_TRUE(store().query("SELECT json_extract(extra, '$.p') FROM wide", -1));
}

TEST_F(Care, DamageIsReported) {
  const std::pair<const char*, const char*> cases[] = {
      {"UPDATE content_chunk SET zstd = substr(zstd, 1, 10) WHERE content = 1", "does not unpack"},
      {"DELETE FROM content_chunk WHERE content = 1", "does not have the hash of its manifest"},
      {"UPDATE content SET sha256 = 'x' || substr(sha256, 2) WHERE id = 1",
       "another hash|not those"},
      {"UPDATE bundle SET manifest = manifest || ' '", "its manifest has another hash"},
      {"DELETE FROM bundle_file WHERE name = 'log.txt'", "not those that its manifest lists"},
      {"DELETE FROM rec_k WHERE record = 1",
       "table rec_k: 1 spans have other rows than they count"},
      {"UPDATE rec_k SET v = 8 WHERE record = 2", "line 2: the row's `v` is not the line's"},
      {"UPDATE rec_k SET t = NULL WHERE record = 2", "line 2: the row's `t` is not the line's"},
      {"UPDATE rec_k SET t = 7 WHERE record = 1",
       "line 1: the row has a value that the line does not have"},
      {"DELETE FROM record WHERE id = 1", "spans have other records than they count"},
      {"UPDATE record SET byte_offset = 3 WHERE id = 2", "line 2: its record has another place"},
      {"UPDATE span SET state = 2 WHERE state = 0", "its record says nonstandard"},
      {"UPDATE span SET kind = kind - 1 WHERE state = 0", "rows belong to no record"},
      {"DELETE FROM span WHERE id = 1", "records have no span"},
      {"UPDATE bundle_file SET lines = 9 WHERE role = 'records'", "other lines than their spans"},
      {"DELETE FROM member", "cells are cut off from their records"},
      {"UPDATE request SET bundle = 77", "point to rows of bundle that are not there"},
      {"DELETE FROM field WHERE column_name = 'v'", "its columns are not those of `fields`"},
      {"UPDATE member SET is_result = 0", "lines of a failed cell as results, or hide"},
      {"UPDATE member SET variant = 'other'", "rows say something else than their cells"},
      {"DELETE FROM bundle_flag", "bundle_flag: of 1 bundles it does not say|`GRETA_GIVEN`"},
      {"UPDATE bundle_flag SET value = '2'", "first `GRETA_GIVEN` of bundle"},
      {"DELETE FROM bundle_environment", "first `commit` of bundle"},
      {"UPDATE bundle_prompt SET text = 'Two'", "first `p1` of bundle"},
      {"UPDATE bundle SET status = 'failed'", "table bundle: of 1 bundles it does not say"},
      {"UPDATE bundle SET \"commit\" = 'dead'", "table bundle: of 1 bundles it does not say"},
      {"UPDATE bundle_file SET role = 'log'", "not those that its manifest lists"},
      {"UPDATE cell SET status = 'failed'", "is another one in its bundle"},
      {"UPDATE cell SET identity = 'x'", "is none of its bundle's"},
      {"UPDATE run SET milestone = 'T2'", "runs are not named after their milestone"},
      {"UPDATE run SET provenance = 'recorded'", "has another provenance than the run"},
      {"UPDATE run SET started_at = 'then'", "`started_at` is no time"},
      {"UPDATE run SET \"commit\" = 'dead'", "have another commit than they resolved"},
      {"INSERT INTO cell_axis VALUES (1, 'GRETA_X', '1')", "other axes than their variants"},
      {"DROP TABLE cell_axis", "table cell_axis: is missing"},
      {"DROP TABLE rec_k", "table rec_k: its columns are not those of `fields`"},
      {"ALTER TABLE migration DROP COLUMN applied_at", "table migration: its columns are not"},
      {"DELETE FROM kind WHERE name = 'k'", "point to rows of kind that are not there"},
      {"DROP VIEW k", "view k: is missing"},
      {"DROP VIEW runs; CREATE VIEW runs AS SELECT 1 AS run", "view runs: is missing, or not as"},
  };
  for (const auto& [damage, expected] : cases) {
    TestBundle bundle;
    bundle.files["out/k.jsonl"] = {.bytes = "{\"v\":1}\n{\"v\":2,\"t\":\"x\"}\nno\n"};
    bundle.files["log.txt"] = {.bytes = "warming up\n", .role = "log"};
    import(bundle);
    ASSERT_EQ(troubles(), "");
    close_store();
    {
      auto db = Database::open(store_file(), Database::Mode::read_write);
      ASSERT_TRUE(db && db->execute("PRAGMA foreign_keys = OFF"));
      const auto done = db->execute(damage);
      ASSERT_TRUE(done) << done.error().str();
    }
    const std::string found = troubles(), words = expected;
    bool said = false;
    for (size_t at = 0; at <= words.size();) {  // any of the words between |
      const size_t end = std::min(words.find('|', at), words.size());
      said |= found.find(words.substr(at, end - at)) != std::string::npos;
      at = end + 1;
    }
    EXPECT_TRUE(said) << damage << "\n" << found;
    close_store();
    std::filesystem::remove(store_file());
  }
}

TEST_F(Care, ItEndsWhenItIsAskedTo) {
  random_store(1);
  const auto checked = check(store(), [](int64_t, int64_t) { return false; });
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().exit_code, static_cast<int>(Exit::interrupted));
  EXPECT_EQ(troubles(), "");
}

TEST_F(Care, ADamagedPageIsReported) {
  TestBundle bundle;
  std::string lines;
  for (int i = 0; i < 5000; ++i) lines += "{\"v\":" + std::to_string(i) + "}\n";
  bundle.files["out/k.jsonl"] = {.bytes = lines};
  import(bundle);
  close_store();
  {
    std::fstream file(store_file(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(std::filesystem::file_size(store_file()) / 2));
    file << std::string(20000, '\x5a');
  }
  EXPECT_NE(troubles(), "");
}

TEST_F(Care, WhatNoRunNeedsGoesAndNothingElse) {
  TestBundle bundle;
  bundle.files["out/k.jsonl"] = {.bytes = "{\"v\":1}\n"};
  const std::string first = import(bundle, "a");
  bundle.salt = 1;
  bundle.files["out/own.jsonl"] = {.bytes = "{\"w\":1}\n"};
  const std::string second = import(bundle, "b");
  bundle.salt = 2;
  ASSERT_TRUE(store().ingest_bundle(write_bundle(bundle, "c")));  // in no run

  const std::string early = "2000-01-01", late = "2030-01-01";
  EXPECT_EQ(find_unused(store(), {}, early)->bundles.size(), 0U);
  EXPECT_EQ(find_unused(store(), {}, late)->bundles,
            std::vector<std::string>{sha256_hex(bundle.manifest())});
  const int64_t going = store().resolve(second).value();
  const auto unused = find_unused(store(), {going}, late);
  ASSERT_TRUE(unused) << unused.error().str();
  EXPECT_EQ(unused->bundles.size(), 2U);
  EXPECT_EQ(unused->files, 1);                       // the other file is the first run's as well
  EXPECT_EQ(ask("SELECT count(*) FROM runs"), "2");  // looking removes nothing

  ASSERT_TRUE(remove_unused(store(), {going}, late));
  EXPECT_EQ(
      ask("SELECT group_concat(run), (SELECT count(*) FROM bundles), (SELECT count(*) FROM files),"
          " (SELECT count(*) FROM rec_own), (SELECT count(*) FROM record), (SELECT count(*) FROM "
          "span)"
          " FROM runs"),
      first + "|1|1|0|1|1");
  EXPECT_EQ(ask("SELECT v FROM k"), "1");
  EXPECT_EQ(troubles(), "");
  ASSERT_TRUE(compact(store()));
  EXPECT_EQ(troubles(), "");
}

}  // namespace
}  // namespace greta::store
