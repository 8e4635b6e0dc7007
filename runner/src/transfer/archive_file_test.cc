// What an archive may hold and what is refused, entry by entry.

#include "transfer/archive_file.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "system/files.h"
#include "system/json.h"
#include "system/test_cancel.h"
#include "system/test_folder.h"
#include "transfer/archive_fixture.h"

namespace greta::runner {
namespace {

const std::string kHash(64, 'a');

struct Collected : ArchiveVisitor {
  Result<> index(const ArchiveIndex&) override { return {}; }
  Result<> begin(const ArchiveMember& member) override {
    name = member.name;
    files[name];
    return {};
  }
  Result<> piece(std::string_view bytes) override {
    files[name] += bytes;
    return {};
  }
  Result<> end() override { return {}; }
  std::string name;
  std::map<std::string, std::string> files;
};

class ArchiveFile : public testing::Test {
 protected:
  std::string read(int64_t most = 1 << 20) {
    got_ = {};
    const auto done = read_archive(file_, most, got_, kNever);
    return done ? "" : std::to_string(done.error().exit_code) + ": " + done.error().str();
  }
  std::vector<TestEntry> good() const {
    std::string big;
    for (int i = 0; i < 20000; ++i) big += std::to_string(i);
    std::vector<TestEntry> entries = {
        {.name = "bundles/" + kHash + "/manifest.json", .bytes = "{}"},
        {.name = "bundles/" + kHash + "/out/größe", .bytes = big},
        {.name = "runs/B1.json", .bytes = ""}};
    entries.insert(entries.begin(), index_of(entries));
    return entries;
  }
  void expect_refused(const std::vector<TestEntry>& entries, const std::string& part) {
    write_entries(file_, entries);
    const std::string said = read();
    EXPECT_TRUE(said.starts_with("2: " + file_.string() + ": ")) << said;
    EXPECT_NE(said.find(part), std::string::npos) << said << "\nexpected: " << part;
  }

  TestFolder folder_;
  std::filesystem::path file_ = folder_ / "x.greta.tar.zst";
  Collected got_;
};

TEST_F(ArchiveFile, WritesTheSameBytesAndReadsThemBack) {
  const auto source = [](const std::string& name, const std::string& bytes, bool executable) {
    ArchiveSource out{.member = member_of({.name = name, .bytes = bytes}),
                      .read = [bytes](const PieceSink& sink) { return sink(bytes); }};
    out.member.executable = executable;
    return out;
  };
  const std::vector<ArchiveSource> sources = {
      source("runs/B1.json", "one", false),
      source("engines/" + kHash + "/greta-infer", std::string(300000, 'x'), true),
      source("bundles/" + kHash + "/out/größe", "two", false)};
  ASSERT_TRUE(write_archive(file_, sources, kNever));
  EXPECT_EQ(read(), "");
  EXPECT_EQ(got_.files.size(), 3U);
  EXPECT_EQ(got_.files["bundles/" + kHash + "/out/größe"], "two");
  EXPECT_EQ(got_.files["engines/" + kHash + "/greta-infer"].size(), 300000U);
  const std::string bytes = *read_file(file_);
  ASSERT_TRUE(write_archive(file_, {sources[2], sources[0], sources[1]}, kNever));
  EXPECT_EQ(*read_file(file_), bytes);
  // A source that does not keep its word leaves no file, not even the old one changed.
  ArchiveSource liar = sources[0];
  liar.member.bytes = 2;
  const auto refused = write_archive(file_, {liar}, kNever);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().exit_code, 4);
  EXPECT_EQ(*read_file(file_), bytes);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_.path()), {}), 1);
}

TEST_F(ArchiveFile, AGoodOneOfTheFixtureIsRead) {
  write_entries(file_, good());
  EXPECT_EQ(read(), "");
  EXPECT_EQ(got_.files.size(), 3U);
}

TEST_F(ArchiveFile, EntriesThatAreRefused) {
  using Change = std::function<void(std::vector<TestEntry>&)>;
  const std::pair<Change, const char*> cases[] = {
      {[](auto& e) { e.erase(e.begin()); }, "its first member is not index.json"},
      {[](auto& e) { e.clear(); }, "its first member is not index.json"},
      {[](auto& e) { std::swap(e[0], e[1]); }, "its first member is not index.json"},
      {[](auto& e) { e[1] = {.name = "/etc/passwd", .bytes = "{}"}; }, "is not in the index"},
      {[](auto& e) { e[1].name = "../" + e[1].name; }, "is not in the index"},
      {[](auto& e) { e.push_back(e[1]); }, "stands twice"},
      {[](auto& e) { e.push_back(e[0]); }, "`index.json` is not in the index"},
      {[](auto& e) { e.push_back({.name = "more", .bytes = "x"}); }, "`more` is not in the index"},
      {[](auto& e) { e.erase(e.begin() + 2); }, "of its index is missing"},
      {[](auto& e) { e[1].bytes = "[]"; }, "does not have the index's hash"},
      {[](auto& e) { e[1].bytes = "{} "; }, "has 3 bytes, the index says 2"},
      {[](auto& e) { e[1].bytes = "{"; }, "has 1 bytes, the index says 2"},
      {[](auto& e) { e[1] = {.name = e[1].name, .bytes = {}, .type = AE_IFLNK, .link = "/etc"}; },
       "is a link"},
      {[](auto& e) { e[3] = {.name = e[3].name, .bytes = {}, .link = e[1].name}; }, "is a link"},
      {[](auto& e) { e[3] = {.name = e[3].name, .bytes = {}, .type = AE_IFCHR}; },
       "no regular file"},
      {[](auto& e) { e[3] = {.name = e[3].name, .bytes = {}, .type = AE_IFIFO}; },
       "no regular file"},
      {[](auto& e) { e[3] = {.name = e[3].name, .bytes = {}, .type = AE_IFDIR}; },
       "no regular file"},
      {[](auto& e) { e[0] = {.name = kIndexName, .bytes = {}, .type = AE_IFLNK, .link = "x"}; },
       "is a link"},
      {[](auto& e) { e[2].name = "bundles/" + kHash + "/out/gr\xff"; }, "is not in the index"},
  };
  for (const auto& [change, part] : cases) {
    std::vector<TestEntry> entries = good();
    change(entries);
    expect_refused(entries, part);
  }
}

TEST_F(ArchiveFile, IndexesThatAreRefused) {
  const std::string below = "bundles/" + kHash;
  using Change = std::function<void(SortedJson&)>;
  // With its hash made good again: what the index says is looked at, too.
  const std::pair<Change, const char*> cases[] = {
      {[](SortedJson& j) { j["greta_archive"] = 2; },
       "`greta_archive` is 2, this greta reads version 1"},
      {[](SortedJson& j) { j.erase("greta_archive"); }, "`greta_archive` is no number"},
      {[](SortedJson& j) { j["members"] = 3; }, "`members` is no list"},
      {[](SortedJson& j) { j["members"][0] = 3; }, "a member without a `name`"},
      {[](SortedJson& j) { j["members"][0]["name"] = "/etc/passwd"; }, "is absolute"},
      {[](SortedJson& j) { j["members"][0]["name"] = "bundles/../../x"; }, "has `..` as a part"},
      {[](SortedJson& j) { j["members"][0]["name"] = "bundles//x"; }, "has `` as a part"},
      {[](SortedJson& j) { j["members"][0]["name"] = "runs/./x.json"; }, "has `.` as a part"},
      {[](SortedJson& j) { j["members"][0]["name"] = std::string("runs/a\0b", 8); }, "has a NUL"},
      {[](SortedJson& j) { j["members"][0]["name"] = "runs/" + std::string(300, 'x'); },
       "as a part"},
      {[](SortedJson& j) { j["members"][0]["name"] = std::string(5000, 'x'); },
       "no name that a file"},
      {[](SortedJson& j) { j["members"][0]["name"] = "store.sqlite"; }, "has no place here"},
      {[](SortedJson& j) { j["members"][0]["name"] = "bundles/abc/x"; }, "has no place here"},
      {[](SortedJson& j) { j["members"][0]["name"] = "images/latest.tar"; }, "has no place here"},
      {[&](SortedJson& j) { j["members"][0]["name"] = "engines/" + kHash + "/a/b"; },
       "has no place"},
      {[](SortedJson& j) { j["members"][0]["bytes"] = -1; }, "needs `bytes`"},
      {[](SortedJson& j) { j["members"][0]["bytes"] = 1e300; }, "needs `bytes`"},
      {[](SortedJson& j) { j["members"][0]["bytes"] = UINT64_MAX; }, "needs `bytes`"},
      {[](SortedJson& j) { j["members"][0]["sha256"] = "xyz"; }, "needs `bytes` and a lower-case"},
      {[](SortedJson& j) { j["members"][1] = j["members"][0]; }, "stands twice"},
      {[](SortedJson& j) { std::swap(j["members"][0], j["members"][1]); }, "not sorted by name"},
      {[&](SortedJson& j) { j["members"][0]["name"] = below + "/out"; }, "is a folder of"},
      {[](SortedJson& j) { j["members"][0]["bytes"] = 1 << 20; },
       "more than 1.0 MiB (--most-bytes)"},
      {[](SortedJson& j) {
         for (SortedJson& member : j["members"]) member["bytes"] = INT64_MAX;
       },
       "more than 1.0 MiB (--most-bytes)"},
      {[](SortedJson& j) { j["more"] = 1; }, "does not have its own hash"},
  };
  for (const auto& [change, part] : cases) {
    std::vector<TestEntry> entries = good();
    SortedJson index = SortedJson::parse(entries[0].bytes);
    index.erase("sha256");
    change(index);
    index["sha256"] = store::sha256_hex(index.dump());
    entries[0].bytes = index.dump(1) + "\n";
    expect_refused(entries, part);
  }
  std::vector<TestEntry> entries = good();
  entries[0].bytes[entries[0].bytes.find("B1.json")] = 'C';
  expect_refused(entries, "does not have its own hash");
  entries[0].bytes = "no JSON";
  expect_refused(entries, "not a JSON object");
}

// A megabyte of zeros a kilobyte long: no more than the index says is unpacked.
TEST_F(ArchiveFile, SizesAreLimitedBeforeAnythingIsUnpacked) {
  std::vector<TestEntry> entries = {{.name = "runs/B1.json", .bytes = std::string(1 << 20, '\0')}};
  entries.insert(entries.begin(), index_of(entries));
  write_entries(file_, entries);
  EXPECT_LT(std::filesystem::file_size(file_), 2048U);
  EXPECT_EQ(read(1 << 20), "");
  EXPECT_NE(read((1 << 20) - 1).find("would unpack to 1.0 MiB"), std::string::npos);
  EXPECT_TRUE(got_.files.empty());
}

TEST_F(ArchiveFile, CutAnywhereItIsRefused) {
  write_entries(file_, good());
  const std::string whole = *read_file(file_);
  for (size_t bytes = 0; bytes < whole.size(); bytes += 1 + whole.size() / 97) {
    folder_.write(file_.filename(), whole.substr(0, bytes));
    EXPECT_TRUE(read().starts_with("2: ")) << bytes << " of " << whole.size() << ": " << read();
  }
}

TEST_F(ArchiveFile, WhatIsNoArchive) {
  for (const std::string bytes : {"", "hello", "PK\x03\x04", "\x28\xb5\x2f\xfd"}) {
    folder_.write(file_.filename(), bytes);
    EXPECT_NE(read().find("no archive of greta"), std::string::npos) << read();
  }
  file_ = folder_ / "none";
  EXPECT_NE(read().find("there is no such file"), std::string::npos);
  file_ = folder_.path();
  EXPECT_NE(read().find("is no file"), std::string::npos);
}

}  // namespace
}  // namespace greta::runner
