// Engines built on this host from a repository of the test's own.

#include "build/engine_build.h"

#include <gtest/gtest.h>

#include "run/run_fixture.h"
#include "system/environment.h"
#include "system/test_cancel.h"

namespace greta::runner {
namespace {

namespace fs = std::filesystem;
class EngineBuild : public Experiment {
 protected:
  void SetUp() override {
    Experiment::SetUp();
    folder_.write("repo/engine.in", *read_file(engines() + "contract.sh"));
    // Counts its calls outside the tree, as a build must never do, to show when it ran.
    folder_.script("repo/make", "set -e\necho built >> '" + (folder_ / "builds").string() +
                                    "'\nmkdir -p out\ncp engine.in out/engine\n" +
                                    "chmod +x out/engine\necho \"home is $HOME\"\n" +
                                    "test -z \"${SECRET:-}\"\n");
    git({"init", "-q", "-b", "main"});
    git({"add", "-A"});
    git({"-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "-m", "one"});
    layout_ = make_layout(context_.store_path).value();
  }
  fs::path repo() const { return folder_ / "repo"; }
  void git(std::vector<std::string> words) {
    std::vector<std::string> argv = {"git", "-C", repo().string()};
    argv.insert(argv.end(), words.begin(), words.end());
    const auto done = output_of(argv, kNever);
    ASSERT_TRUE(done) << done.error().str();
  }
  fs::path built_spec(const std::string& extra = "") const {
    return spec("engine: {repo: '" + repo().string() +
                "', build: [./make, now], artifact: out/engine" + extra + "}\n");
  }
  size_t builds() const {
    const auto text = read_file(folder_ / "builds");
    return text ? static_cast<size_t>(std::count(text->begin(), text->end(), '\n')) : 0;
  }

  Layout layout_;
};

TEST_F(EngineBuild, BuiltOnceAndKeptByItsKey) {
  const auto first = run(built_spec());
  ASSERT_TRUE(first) << first.error().str();
  EXPECT_EQ(*first, 0);
  EXPECT_EQ(builds(), 1u);
  EXPECT_EQ(run(built_spec()).value_or(-1), 0);
  EXPECT_EQ(builds(), 1u) << "nothing changed, but it was built again";
  EXPECT_EQ(query("SELECT count(*), sum(cached) FROM cells"), "4|2\n");
  const std::string facts = query(
      "SELECT DISTINCT key, value FROM environment WHERE key IN ('dirty', 'repo') ORDER BY 1");
  EXPECT_NE(facts.find("dirty|false"), std::string::npos) << facts;
  EXPECT_NE(query("SELECT \"commit\" FROM runs LIMIT 1").size(), 5u) << "the commit is recorded";

  // A damaged build is noticed and made again (here: taken from the user's cache).
  const std::string key = query("SELECT DISTINCT value FROM environment WHERE key = 'build_key'");
  const fs::path kept = layout_.engines() / key.substr(0, 64);
  ASSERT_TRUE(fs::exists(kept / "engine")) << kept;
  folder_.write("junk", "damaged");
  fs::copy_file(folder_ / "junk", kept / "engine", fs::copy_options::overwrite_existing);
  EXPECT_EQ(run(built_spec()).value_or(-1), 0);
  EXPECT_EQ(query("SELECT count(*) FROM bundles"), "1\n") << "the same engine, the same cells";
  EXPECT_EQ(builds(), 1u);

  folder_.write("repo/engine.in", *read_file(engines() + "contract.sh") + "# changed\n");
  EXPECT_EQ(run(built_spec()).value_or(-1), 0);
  EXPECT_EQ(builds(), 2u);
  EXPECT_EQ(query("SELECT count(*) FROM bundles"), "2\n") << "another engine, other cells";
}

TEST_F(EngineBuild, AnotherStoreOfTheSameUserNeedsNoSecondBuild) {
  EXPECT_EQ(run(built_spec()).value_or(-1), 0);
  context_.store_path = folder_ / "other/.greta/store.sqlite";
  EXPECT_EQ(run(built_spec()).value_or(-1), 0);
  EXPECT_EQ(builds(), 1u);
  EXPECT_EQ(query("SELECT count(*), sum(cached) FROM cells"), "2|0\n");
}

TEST_F(EngineBuild, AFailureShowsTheEndOfItsLogAndWhereItIs) {
  folder_.script("repo/make", "echo compiling; echo 'main.c:3: error: no such thing'; exit 2\n");
  const auto failed = run(built_spec());
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().exit_code, 4);
  for (const char* part : {"did not build (exit 2)", "main.c:3: error: no such thing", "log: "}) {
    EXPECT_NE(failed.error().message.find(part), std::string::npos) << failed.error().message;
  }
  EXPECT_TRUE(fs::is_empty(layout_.temporary()));
  folder_.script("repo/make", "true\n");
  const auto empty = run(built_spec());
  ASSERT_FALSE(empty);
  EXPECT_NE(empty.error().message.find("left no file out/engine"), std::string::npos);
}

TEST_F(EngineBuild, TheBuildSeesOnlyPathAndHomeOfOurEnvironment) {
  setenv("SECRET", "1", 1);
  EXPECT_EQ(run(built_spec()).value_or(-1), 0);
  unsetenv("SECRET");
}

TEST_F(EngineBuild, APinnedCommitIsBuiltWhateverTheTreeLooksLike) {
  EXPECT_EQ(run(built_spec()).value_or(-1), 0);
  folder_.write("repo/engine.in", "#!/bin/sh\nexit 1\n");
  EXPECT_EQ(run(built_spec(", commit: main")).value_or(-1), 0);
  EXPECT_EQ(builds(), 1u) << "main is what the tree was before";
  const auto head = run(built_spec(", commit: HEAD"));
  ASSERT_FALSE(head);
  EXPECT_EQ(head.error().exit_code, 2);
  EXPECT_NE(head.error().message.find("engine.in"), std::string::npos) << head.error().str();
}

TEST_F(EngineBuild, AnEngineThatCannotDescribeItselfIsNamed) {
  const auto mute = folder_.script("mute", "echo no; exit 0\n");
  const auto code = run(spec("engine: {binary: " + mute.string() + "}\n"));
  ASSERT_FALSE(code);
  EXPECT_EQ(code.error().exit_code, 4);
  EXPECT_NE(code.error().message.find("engine.adapter"), std::string::npos) << code.error().str();
}

}  // namespace
}  // namespace greta::runner
