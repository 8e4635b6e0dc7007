#include "build/source.h"

#include <gtest/gtest.h>

#include "system/files.h"
#include "system/test_cancel.h"
#include "system/test_folder.h"

namespace greta::runner {
namespace {

namespace fs = std::filesystem;
class SourceTest : public testing::Test {
 protected:
  void SetUp() override {
    layout_ = make_layout(folder_ / "store/.greta/store.sqlite").value();
    git({"init", "-q", "-b", "main"});
    folder_.write("repo/main.c", "int main;\n");
    folder_.write("repo/.gitignore", "*.o\n");
    folder_.script("repo/build.sh", "true\n");
    fs::create_symlink("main.c", repo() / "link.c");
    commit("one");
  }
  fs::path repo() const { return folder_ / "repo"; }
  void git(std::vector<std::string> words) {
    fs::create_directories(repo());
    std::vector<std::string> argv = {"git",         "-C", repo().string(),           "-c",
                                     "user.name=t", "-c", "user.email=t@example.org"};
    argv.insert(argv.end(), words.begin(), words.end());
    const auto done = output_of(argv, kNever);
    ASSERT_TRUE(done) << done.error().str();
  }
  void commit(const std::string& message) {
    git({"add", "-A"});
    git({"commit", "-q", "-m", message});
  }
  Result<Source> resolve(const std::string& commit, const std::string& repo = "repo") {
    EngineSpec engine;
    engine.repo = repo;
    engine.commit = commit;
    engine.place = {.file = "spec.yaml", .line = 4, .column = 3};
    return resolve_source(engine, folder_.path(), layout_, kNever);
  }
  fs::path exported(const Source& source, const std::string& name) {
    const fs::path to = folder_ / name;
    const auto done = export_source(source, to, kNever);
    EXPECT_TRUE(done) << done.error().str();
    return to;
  }

  TestFolder folder_;
  Layout layout_;
};

TEST_F(SourceTest, AnEqualWorkingTreeIsTheSameSourceAsItsCommit) {
  const auto head = resolve("HEAD");
  ASSERT_TRUE(head) << head.error().str();
  const auto tree = resolve("worktree");
  ASSERT_TRUE(tree) << tree.error().str();
  EXPECT_EQ(head->tree, tree->tree);
  EXPECT_EQ(head->listing, tree->listing);
  EXPECT_EQ(head->commit.size(), 40u);
  EXPECT_FALSE(tree->dirty);
  EXPECT_EQ(resolve("main")->tree, head->tree);
  EXPECT_EQ(resolve(head->commit.substr(0, 10))->commit, head->commit);
}

TEST_F(SourceTest, TheWorkingTreeIsTakenAsItIsWithoutIgnoredFiles) {
  folder_.write("repo/new.c", "int x;\n");
  folder_.write("repo/junk.o", "object");
  folder_.write("repo/main.c", "int changed;\n");
  const auto tree = resolve("worktree");
  ASSERT_TRUE(tree) << tree.error().str();
  EXPECT_TRUE(tree->dirty);
  EXPECT_NE(tree->tree, resolve("main")->tree);
  const fs::path copy = exported(*tree, "copy");
  EXPECT_EQ(*read_file(copy / "main.c"), "int changed;\n");
  EXPECT_TRUE(fs::exists(copy / "new.c"));
  EXPECT_FALSE(fs::exists(copy / "junk.o"));
  EXPECT_FALSE(fs::exists(copy / ".git"));
  EXPECT_TRUE(fs::is_symlink(copy / "link.c"));
  EXPECT_NE(fs::status(copy / "build.sh").permissions() & fs::perms::owner_exec, fs::perms::none);

  // A commit is what was committed, whatever lies around.
  const fs::path pinned = exported(*resolve("main"), "pinned");
  EXPECT_EQ(*read_file(pinned / "main.c"), "int main;\n");
  EXPECT_FALSE(fs::exists(pinned / "new.c"));
}

TEST_F(SourceTest, AStoreWithinTheSourcesIsNoSource) {
  const auto before = resolve("worktree");
  for (const char* store : {"repo/.greta/store.sqlite", "repo/h.sqlite"}) {
    layout_ = make_layout(folder_ / store).value();
    folder_.write(store, "history");
    folder_.write(std::string(store) + "-wal", "history");
    ASSERT_TRUE(write_file(layout_.logs() / "build.log", "text"));
    const auto after = resolve("worktree");
    ASSERT_TRUE(after) << after.error().str();
    EXPECT_EQ(after->tree, before->tree) << store << ": each run would ask for a new engine";
    EXPECT_FALSE(after->dirty) << store;
    const auto head = resolve("HEAD");
    EXPECT_TRUE(head) << store << ": " << head.error().str();
    std::filesystem::remove_all(layout_.home);
    for (const char* end : {"", "-wal"})
      std::filesystem::remove(folder_ / (std::string(store) + end));
  }
}

TEST_F(SourceTest, HeadOverADirtyTreeNamesTheFiles) {
  folder_.write("repo/main.c", "int changed;\n");
  folder_.write("repo/new.c", "int x;\n");
  const auto head = resolve("HEAD");
  ASSERT_FALSE(head);
  EXPECT_EQ(head.error().exit_code, 2);
  EXPECT_EQ(head.error().str(),
            "spec.yaml:4:3: engine.commit: HEAD would leave out what is changed here (main.c, "
            "new.c): commit it, or use `commit: worktree`");
}

TEST_F(SourceTest, ATreeThatChangesUnderTheCopyIsAnError) {
  const auto tree = resolve("worktree");
  ASSERT_TRUE(tree);
  folder_.write("repo/main.c", "int later;\n");
  const auto done = export_source(*tree, folder_ / "copy", kNever);
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message.find("changed while it was copied"), std::string::npos);
}

TEST_F(SourceTest, WhatIsNotThereIsSaidWithItsPlace) {
  for (const auto& [commit, repo, says] :
       {std::tuple{"no-such-branch", "repo", "no commit, tag or branch `no-such-branch`"},
        std::tuple{"--output=/tmp/x", "repo", "no commit, tag or branch"},
        std::tuple{"worktree", "nowhere", "no folder"},
        std::tuple{"worktree", "https://example.org/x.git", "needs a local repository"},
        std::tuple{"main", "store", "is no git repository"}}) {
    const auto source = resolve(commit, repo);
    ASSERT_FALSE(source) << commit;
    EXPECT_EQ(source.error().line, 4) << source.error().str();
    EXPECT_NE(source.error().message.find(says), std::string::npos) << source.error().str();
  }
}

TEST_F(SourceTest, InAGretaTreeOnlyTheEngineCounts) {
  const std::vector<std::string> not_built = {"README.md", "engine/ENGINE.md", "engine/a_test.cc",
                                              "kernels/testdata/x.bin"};
  for (const auto& file : not_built) folder_.write("repo/" + file, "1\n");
  for (const char* file : {"CMakeLists.txt", "engine/a.cc", "kernels/k.cc"}) {
    folder_.write(std::string("repo/") + file, "1\n");
  }
  folder_.script("repo/ci/build-engine", "true\n");
  commit("a greta tree");
  const auto before = resolve("worktree");
  ASSERT_TRUE(before);
  EXPECT_EQ(before->tree, resolve("HEAD")->tree);
  for (const auto& file : not_built) {
    folder_.write("repo/" + file, "2\n");
    EXPECT_EQ(resolve("worktree")->tree, before->tree) << file << " rebuilds the engine";
    EXPECT_FALSE(resolve("worktree")->dirty) << file;
    EXPECT_TRUE(resolve("HEAD")) << file << " is not the engine's";
  }
  const auto of_commit = exported(*resolve("HEAD"), "archive");
  EXPECT_TRUE(fs::exists(of_commit / "engine/a.cc"));
  for (const auto& file : not_built) EXPECT_FALSE(fs::exists(of_commit / file)) << file;
  folder_.write("repo/kernels/k.cc", "2\n");
  const auto after = resolve("worktree");
  EXPECT_NE(after->tree, before->tree);
  EXPECT_FALSE(fs::exists(exported(*after, "copy") / "README.md"));
}

TEST_F(SourceTest, AUrlIsMirroredAndFollowsItsBranches) {
  const std::string url = "file://" + repo().string();
  const auto first = resolve("main", url);
  ASSERT_TRUE(first) << first.error().str();
  folder_.write("repo/main.c", "int two;\n");
  commit("two");
  const auto second = resolve("main", url);
  ASSERT_TRUE(second) << second.error().str();
  EXPECT_NE(first->commit, second->commit);
  EXPECT_EQ(*read_file(exported(*second, "two") / "main.c"), "int two;\n");
  EXPECT_EQ(resolve(first->commit, url)->tree, first->tree);
}

}  // namespace
}  // namespace greta::runner
