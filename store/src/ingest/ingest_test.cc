#include "ingest/ingest.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <random>

#include "ingest/bundle_fixture.h"

namespace greta::store {
namespace {

class Ingest : public StoreFixture {
 protected:
  std::string ingest_error(const std::filesystem::path& folder) {
    const auto hash = store().ingest_bundle(folder);
    return hash ? "" : hash.error().str();
  }
};

std::string random_lines(std::mt19937& random, int lines) {
  std::string out;
  for (int i = 0; i < lines; ++i) {
    switch (random() % 12) {
      case 0:  // anything at all
        for (size_t n = random() % 40; n-- > 0;) out += static_cast<char>(random());
        break;
      case 1:
        out += R"({"a":)" + std::to_string(random());
        break;
      default: {
        nlohmann::ordered_json line;
        for (size_t n = random() % 5; n-- > 0;) {
          auto& value = line["k" + std::to_string(random() % 8)];
          if (random() % 3 == 0) {
            value = "text \"" + std::to_string(random());
          } else if (random() % 2 == 0) {
            value = static_cast<double>(random()) / 7;
          } else {
            value = random();
          }
        }
        if (random() % 2 == 0) line["event"] = "kind" + std::to_string(random() % 3);
        if (random() % 2 == 0) line["request"] = "p" + std::to_string(random() % 3);
        out += line.dump();
      }
    }
    if (i + 1 < lines || random() % 2 == 0) out += '\n';
  }
  return out;
}

TEST_F(Ingest, AnyBytesComeBackExactly) {
  std::mt19937 random(11);
  for (int round = 0; round < 15; ++round) {
    TestBundle bundle;
    bundle.salt = round;
    const std::string bytes = random_lines(random, 1 + static_cast<int>(random() % 200));
    bundle.files["out/a.jsonl"] = {.bytes = bytes};
    const auto folder = write_bundle(bundle, std::to_string(round));
    const auto hash = store().ingest_bundle(folder);
    ASSERT_TRUE(hash) << hash.error().str();
    EXPECT_EQ(store().file_bytes(*hash, "out/a.jsonl").value(), bytes);
    EXPECT_EQ(store().file_bytes(*hash, "manifest.json").value(), bundle.manifest());
    // The lines, one after another, are the file.
    const auto lines =
        store().query("SELECT CAST(greta_line(record) AS BLOB) FROM records WHERE bundle = '" +
                      *hash + "' ORDER BY line");
    ASSERT_TRUE(lines) << lines.error().str();
    std::string joined;
    for (const auto& row : lines->rows) joined += row[0].text + "\n";
    if (!bytes.ends_with('\n')) joined.pop_back();
    EXPECT_EQ(joined, bytes);
  }
}

TEST_F(Ingest, LinesOfAnyLength) {
  // Around the size of a piece and beyond it, so that lines end before, on and after its end.
  std::string bytes;
  for (const size_t size :
       {size_t{10}, (size_t{1} << 20) - 30, size_t{5}, size_t{3} << 20, size_t{1}})
    bytes += "{\"v\":\"" + std::string(size, 'x') + "\"}\n";
  TestBundle bundle;
  bundle.files["out/long.jsonl"] = {.bytes = bytes};
  import(bundle);
  EXPECT_EQ(ask("SELECT length(v) FROM long"), "10\n1048546\n5\n3145728\n1");
  EXPECT_EQ(ask("SELECT sum(length(greta_line(record)) = x.length) FROM records x"), "5");
  EXPECT_EQ(store().file_bytes(ask("SELECT bundle FROM bundles"), "out/long.jsonl").value(), bytes);
}

TEST_F(Ingest, TwiceIsOnce) {
  TestBundle bundle;
  bundle.files["out/k.jsonl"] = {.bytes = "{\"v\":1}\n"};
  const std::string run = import(bundle);
  EXPECT_EQ(import(bundle), run);
  EXPECT_EQ(
      ask("SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM bundles), count(*) FROM k"),
      "1|1|1");
}

TEST_F(Ingest, EqualFilesAreKeptOnce) {
  TestBundle bundle;
  bundle.files["out/k.jsonl"] = {.bytes = "{\"v\":1}\n"};
  import(bundle, "a");
  bundle.salt = 1;
  import(bundle, "b");
  EXPECT_EQ(ask("SELECT (SELECT count(*) FROM content), count(*) FROM k"), "1|2");
}

TEST_F(Ingest, EmptyFilesAndNoFiles) {
  TestBundle bundle;
  import(bundle, "none");
  bundle.files["out/k.jsonl"] = {.bytes = ""};
  bundle.files["stdout.log"] = {.bytes = "", .role = "log"};
  import(bundle, "empty");
  EXPECT_EQ(ask("SELECT (SELECT count(*) FROM files), count(*) FROM records"), "2|0");
}

TEST_F(Ingest, WhatIsNotTheManifestsIsRefusedAndLeavesNothing) {
  TestBundle bundle;
  bundle.files["out/a.jsonl"] = {.bytes = "{\"brand_new\":1}\n"};
  bundle.files["out/b.jsonl"] = {.bytes = "{\"v\":1}\n"};
  const auto folder = write_bundle(bundle);
  const auto expect_refused = [&](const std::string& part) {
    const std::string error = ingest_error(folder);
    EXPECT_NE(error.find(part), std::string::npos) << error;
    EXPECT_EQ(ask("SELECT (SELECT count(*) FROM bundles), (SELECT count(*) FROM record), count(*)"
                  " FROM kinds WHERE kind IN ('a', 'b')"),
              "0|0|0");
  };
  write(folder / "out/b.jsonl", "{\"v\":2}\n");
  expect_refused("out/b.jsonl: is not what the manifest says");
  write(folder / "out/b.jsonl", "{\"v\":1}\n{");
  expect_refused("9 bytes");
  std::filesystem::remove(folder / "out/b.jsonl");
  expect_refused("No such file");
  write(folder / "out/b.jsonl", "{\"v\":1}\n");
  EXPECT_EQ(ingest_error(folder), "");
}

TEST_F(Ingest, FilesOutsideOfTheBundleAreRefused) {
  write(root_ / "secret", "{\"v\":1}\n");
  const std::pair<std::string, std::string> cases[] = {
      {"../secret", "`..` is not allowed"},
      {"out/../../secret", "`..` is not allowed"},
      {(root_ / "secret").string(), "must be relative"},
      {"link", "symbolic links"},
      {"linked/secret", "symbolic links"},
      {"fifo", "not a regular file"},
      {"out", "not a regular file"},
      {"", "must be relative"},
      {"./out/x", "`.` is not allowed"},
  };
  for (const auto& [name, part] : cases) {
    TestBundle bundle;
    bundle.files[name] = {.bytes = "{\"v\":1}\n"};
    const auto folder = root_ / "bundle";
    write(folder / "manifest.json", bundle.manifest());
    std::filesystem::create_directories(folder / "out");
    std::error_code ignored;
    std::filesystem::create_symlink(root_ / "secret", folder / "link", ignored);
    std::filesystem::create_directory_symlink(root_, folder / "linked", ignored);
    mkfifo((folder / "fifo").c_str(), 0600);
    const std::string error = ingest_error(folder);
    EXPECT_NE(error.find(part), std::string::npos) << name << ": " << error;
  }
}

TEST_F(Ingest, BrokenManifestsNameTheKey) {
  const auto good = nlohmann::json::parse(TestBundle{}.manifest());
  const auto expect = [&](nlohmann::json manifest, const std::string& part) {
    write(root_ / "m/manifest.json", manifest.dump());
    const std::string error = ingest_error(root_ / "m");
    EXPECT_NE(error.find(part), std::string::npos) << error;
  };
  auto bad = good;
  bad["manifest"] = 2;
  expect(bad, "reads version 1");
  bad = good;
  bad["status"] = "okay";
  expect(bad, "`status` is `okay`, not one of ok, failed, timeout, killed");
  bad = good;
  bad.erase("provenance");
  expect(bad, "`provenance`");
  bad = good;
  bad["files"] = {{{"name", "x"}, {"bytes", 1}, {"sha256", "zz"}}};
  expect(bad, "file `x` needs `bytes` and a lower-case `sha256`");
  const nlohmann::json file = {{"name", "x"}, {"bytes", 0}, {"sha256", sha256_hex("")}};
  bad["files"] = {file, file};
  expect(bad, "file `x` is listed twice");
  expect(nlohmann::json::array(), "not a JSON object");
  write(root_ / "m/manifest.json", "{");
  EXPECT_NE(ingest_error(root_ / "m").find("not a JSON object"), std::string::npos);
}

TEST_F(Ingest, FactsOfTheEngine) {
  TestBundle bundle;
  bundle.environment = {{"commit", "c0ffee"}, {"threads", "2"}};
  bundle.files["out/effective.json"] = {
      .bytes =
          R"({"engine":"greta-infer","threads":4,"model":{"layers":8},"flags":[)"
          R"({"name":"GRETA_GIVEN","value":"1","source":"env","read":false},)"
          R"({"name":"GRETA_OTHER","value":"auto","source":"default","read":true}],"kernels":[)"
          R"({"id":"rope.cpu","op":"rope","variant":"avx2","code_hash":"00ff","launches":64}]})",
      .role = "effective"};
  import(bundle);
  EXPECT_EQ(ask("SELECT name, value, source, read FROM flags ORDER BY name"),
            "GRETA_GIVEN|1|env|0\nGRETA_OTHER|auto|default|1");
  EXPECT_EQ(ask("SELECT id, op, kernel_variant, code_hash, launches FROM kernels"),
            "rope.cpu|rope|avx2|00ff|64");
  EXPECT_EQ(ask("SELECT key, value FROM environment ORDER BY key"),
            "commit|c0ffee\neffective.threads|4\nengine|greta-infer\nmodel.layers|8\nthreads|2");
  EXPECT_EQ(ask("SELECT id, text FROM prompts"), "p1|One");
}

TEST_F(Ingest, ACrashedEngineLeavesItsRecords) {
  TestBundle bundle;
  bundle.status = "killed";
  bundle.files["out/effective.json"] = {.bytes = "{\"flags\":[", .role = "effective"};
  bundle.files["describe.json"] = {.bytes = "{}", .role = "describe"};
  bundle.files["out/k.jsonl"] = {.bytes = "{\"v\":1}\n{\"v\":"};
  import(bundle);
  EXPECT_EQ(ask("SELECT v FROM rec_k"), "1");
  EXPECT_EQ(ask("SELECT v FROM k"), "");  // its cell is killed: no result
  EXPECT_EQ(ask("SELECT key FROM environment WHERE key LIKE '%error' ORDER BY 1"),
            "describe.error\neffective.error");
  EXPECT_EQ(ask("SELECT source, read FROM flags"), "given|∅");
}

}  // namespace
}  // namespace greta::store
