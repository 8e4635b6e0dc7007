#include "run/bundle.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "spec/adapter.h"
#include "store/store.h"
#include "system/files.h"
#include "system/test_folder.h"

namespace greta::runner {
namespace {

namespace fs = std::filesystem;

TEST(BundleLines, WhatIsARecordAndWhatIsNot) {
  for (const char* good : {R"({"a":1})", R"(  {"a": [1, {"b": "}"}]} )", "{\"a\":1}\r",
                           R"({"a": nan, "b": -Infinity, "c": "nan"})", R"({"a": -nan})", "{}"}) {
    EXPECT_FALSE(line_problem(good)) << good;
  }
  for (const char* bad : {"hello", R"({"a":)", R"({"a": nano})", R"({"a": "x)", "{nan}", "{} {}"}) {
    EXPECT_EQ(line_problem(bad).value_or("nothing"), "not JSON") << bad;
  }
  EXPECT_EQ(line_problem("[1]").value_or(""), "not a JSON object");
  EXPECT_EQ(line_problem("17").value_or(""), "not a JSON object");
}

TEST(BundleGlob, StarsStayWithinAFolderUnlessDoubled) {
  struct Case {
    const char *glob, *path;
    bool matches;
  };
  for (const auto& test :
       {Case{"*.jsonl", "a.jsonl", true}, Case{"*.jsonl", "x/a.jsonl", false},
        Case{"**/*.jsonl", "a.jsonl", true}, Case{"**/*.jsonl", "x/y/a.jsonl", true},
        Case{"x/*.jsonl", "x/a.jsonl", true}, Case{"x/*.jsonl", "y/a.jsonl", false},
        Case{"a?.log", "ab.log", true}, Case{"a?.log", "a/.log", false}, Case{"*", "", true},
        Case{"", "a", false}, Case{"a", "a", true}}) {
    EXPECT_EQ(glob_matches(test.glob, test.path), test.matches) << test.glob << " " << test.path;
  }
}

Adapter jsonl_adapter() {
  Adapter adapter;
  adapter.outputs = {{"*.jsonl", ""}, {"deep/*.log", "noise"}};
  return adapter;
}

TEST(BundleOutputs, GoodOnesAreHashedSortedAndToldApart) {
  const TestFolder bundle;
  bundle.write("out/b.jsonl", "{\"event\":\"request_end\",\"request\":\"p\"}\n");
  bundle.write("out/a.jsonl", "{\"x\":1}\n\n{\"request_end\":1}\n");
  bundle.write("out/deep/n.log", "{}\n");
  bundle.write("out/logits.bin", "raw");
  bundle.write("out/effective.json", "{\"backend\":\"cpu\"}");
  const auto outputs = inspect_outputs(bundle.path(), jsonl_adapter());
  ASSERT_TRUE(outputs) << outputs.error().str();
  EXPECT_TRUE(outputs->problems.empty()) << outputs->problems[0];
  EXPECT_TRUE(outputs->has_effective);
  EXPECT_EQ(outputs->ended_requests, std::set<std::string>{"p"});
  std::string shown;
  for (const auto& file : outputs->files)
    shown += file.name + ":" + file.role + ":" + file.kind + " ";
  EXPECT_EQ(shown,
            "out/a.jsonl:records: out/b.jsonl:records: out/deep/n.log:records:noise "
            "out/effective.json:effective: out/logits.bin:output: ");
  EXPECT_EQ(outputs->files[4].bytes, 3);
  EXPECT_EQ(outputs->files[4].sha256, store::sha256_hex("raw"));
}

TEST(BundleOutputs, EveryDamageIsNamedWithItsPlace) {
  struct Case {
    const char *bytes, *problem;
    bool torn_only;
  };
  for (const auto& test : {Case{"{\"x\":1}\n{\"x\":2", "out/a.jsonl:2: torn line", true},
                           Case{"{\"x\":1}\n{\"x\":2}", "out/a.jsonl:2: torn line", true},
                           Case{"{\"x\":1}\nhello\n{\"x\":3}\n", "out/a.jsonl:2: not JSON", false},
                           Case{"[1]\n", "out/a.jsonl:1: not a JSON object", false}}) {
    const TestFolder bundle;
    bundle.write("out/a.jsonl", test.bytes);
    bundle.write("out/deep/n.log", "{}\n");
    const auto outputs = inspect_outputs(bundle.path(), jsonl_adapter());
    ASSERT_TRUE(outputs);
    ASSERT_EQ(outputs->problems.size(), 1u) << test.bytes;
    EXPECT_EQ(outputs->problems[0], test.problem);
    EXPECT_EQ(outputs->only_torn_tails, test.torn_only) << test.bytes;
  }
}

TEST(BundleOutputs, ModesArePlainAndDeepFoldersAreRefused) {
  const TestFolder folder;
  folder.write("out/a.jsonl", "{\"x\":1}\n");
  folder.write("out/closed/b.jsonl", "{\"x\":2}\n");
  fs::permissions(folder / "out/a.jsonl", fs::perms(06777));
  fs::permissions(folder / "out/closed", fs::perms(0));
  std::string deep = "out";
  for (int i = 0; i < 40; ++i) deep += "/d";
  folder.write(deep + "/c.jsonl", "{\"x\":3}\n");
  const auto outputs = inspect_outputs(folder.path(), builtin_adapter());
  ASSERT_TRUE(outputs) << outputs.error().str();
  EXPECT_EQ(outputs->files.size(), 2u);
  ASSERT_EQ(outputs->problems.size(), 1u);
  EXPECT_NE(outputs->problems[0].find("nested too deeply"), std::string::npos);
  EXPECT_FALSE(fs::exists(folder.path() / deep));
  EXPECT_EQ(fs::status(folder / "out/a.jsonl").permissions(), fs::perms(0644));
  EXPECT_EQ(fs::status(folder / "out/closed").permissions(), fs::perms(0755));
}

TEST(BundleOutputs, LinksAndMissingOutputsAreRefused) {
  const TestFolder bundle;
  bundle.write("secret", "{\"event\":\"request_end\",\"request\":\"p\"}\n");
  bundle.write("out/a.jsonl", "{}\n");
  fs::create_symlink("../secret", bundle / "out/link.jsonl");
  const auto outputs = inspect_outputs(bundle.path(), jsonl_adapter());
  ASSERT_TRUE(outputs);
  EXPECT_TRUE(outputs->ended_requests.empty()) << "a link out of the sandbox was followed";
  EXPECT_FALSE(fs::exists(fs::symlink_status(bundle / "out/link.jsonl")));
  ASSERT_EQ(outputs->problems.size(), 2u);
  EXPECT_NE(outputs->problems[0].find("out/link.jsonl: not a regular file"), std::string::npos);
  EXPECT_EQ(outputs->problems[1], "no output matches `deep/*.log`");
}

TEST(BundleSeal, TheNameIsTheHashOfTheManifestAndTheStoreTakesIt) {
  const TestFolder folder;
  const auto layout = make_layout(folder / ".greta/store.sqlite");
  ASSERT_TRUE(layout);
  EXPECT_EQ(layout->home, folder / ".greta");
  const auto work = make_temporary(*layout);
  ASSERT_TRUE(work);
  const fs::path bundle = *work / "bundle";
  fs::create_directories(bundle / "out");
  ASSERT_TRUE(
      write_file(bundle / "out/readout.jsonl", "{\"event\":\"readout\",\"request\":\"p\"}\n"));
  Manifest manifest;
  manifest.status = "ok";
  manifest.exit_code = 0;
  manifest.milestone = "M1";
  manifest.started_at = manifest.ended_at = "2026-02-03T10:00:00.000Z";
  manifest.variant = "default";
  manifest.environment = {{"device", "caf\xc3\xa9 \xff"}};  // bytes that are no UTF-8 are replaced
  manifest.cells = {{.identity = std::string(64, 'a'),
                     .prompt = "p",
                     .request = "p",
                     .status = "ok",
                     .reason = ""}};
  auto file = describe_file(bundle, "out/readout.jsonl", "records");
  ASSERT_TRUE(file);
  manifest.files = {*file};
  const auto sealed = seal(bundle, manifest, *layout);
  ASSERT_TRUE(sealed) << sealed.error().str();
  EXPECT_FALSE(fs::exists(bundle));
  const std::string name = sealed->filename().string();
  EXPECT_EQ(name, store::sha256_hex(*read_file(*sealed / "manifest.json")));
  EXPECT_EQ(sealed->parent_path().filename().string(), name.substr(0, 2));
  const auto cells = read_cells(*sealed);
  ASSERT_TRUE(cells);
  EXPECT_EQ(cells->at(0).identity, std::string(64, 'a'));

  auto store = store::Store::open(layout->store, store::Access::read_write);
  ASSERT_TRUE(store) << store.error().str();
  const auto ingested = store->ingest_bundle(*sealed);
  ASSERT_TRUE(ingested) << ingested.error().str();
  EXPECT_EQ(*ingested, name);
}

TEST(Layout, AStoreOfAnotherNameHasItsFilesBesideIt) {
  const TestFolder folder;
  const auto layout = make_layout(folder / "history.sqlite");
  ASSERT_TRUE(layout);
  EXPECT_EQ(layout->home, folder / "history.sqlite.files");
  const auto mine = make_temporary(*layout);
  ASSERT_TRUE(mine);
  EXPECT_EQ(owner_of_temporary(*mine), this_owner());
  EXPECT_EQ(owner_of_temporary("/x/notes"), "");
}

}  // namespace
}  // namespace greta::runner
