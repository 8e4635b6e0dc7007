#include "run/redact.h"

#include <gtest/gtest.h>

#include "run/run_fixture.h"

namespace greta::runner {
namespace {

namespace fs = std::filesystem;

TEST(Redact, EveryFormOfASecretIsReplaced) {
  const TestFolder folder;
  const std::map<std::string, std::string> secrets = {
      {"PLAIN", "hunter22"}, {"QUOTED", "a\"b\\c\nd"}, {"LONGER", "hunter22-and-more"}};
  const struct {
    const char* name;
    std::string before, after;
  } kCases[] = {
      {"log", "token=hunter22 hunter22\n", "token=[secret PLAIN] [secret PLAIN]\n"},
      {"json", R"({"t":"a\"b\\c\nd"})", R"({"t":"[secret QUOTED]"})"},
      {"long", "hunter22-and-more", "[secret LONGER]"},
      {"none", "hunter2 2\n", "hunter2 2\n"},
      {"empty", "", ""},
      {"below/binary", std::string("\0hunter22\0", 10), std::string("\0[secret PLAIN]\0", 16)},
  };
  for (const auto& one : kCases) folder.write(one.name, one.before);
  folder.write("out/hunter22.jsonl", "x");
  folder.write("out/of-hunter22/file", "x");
  const auto places = redact(folder.path(), secrets);
  ASSERT_TRUE(places) << places.error().str();
  EXPECT_EQ(*places, 7);
  for (const auto& one : kCases) EXPECT_EQ(*read_file(folder / one.name), one.after) << one.name;
  EXPECT_TRUE(fs::is_empty(folder / "out")) << "a file's name held the secret";
}

// The value reaches the engine, and is nowhere below the store afterwards.
TEST_F(Experiment, ASecretReachesTheEngineAndIsKeptNowhere) {
  const std::string value = "s3cr3t-value-of-the-test";
  const auto engine = folder_.script(
      "engine.sh",
      "echo \"got $API_TOKEN\"\necho \"{\\\"event\\\":\\\"got\\\",\\\"size\\\":" +
          std::string("${#API_TOKEN},\\\"text\\\":\\\"$API_TOKEN\\\"}\" > got.jsonl\n"));
  folder_.write("echo.yaml",
                "schema: 1\nname: echo\nargv: ['{engine}']\noutputs: [{glob: '*.jsonl'}]\n");
  const auto file =
      folder_.write("S.yaml", "schema: 1\nmilestone: S\nengine: {binary: " + engine.string() +
                                  ", adapter: echo.yaml}\nsecrets: [API_TOKEN]\n");
  unsetenv("API_TOKEN");
  const auto missing = run(file);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().exit_code, 2);
  EXPECT_NE(missing.error().str().find("S.yaml:4:10: `secrets`: API_TOKEN is not set"),
            std::string::npos)
      << missing.error().str();
  setenv("API_TOKEN", "short", 1);
  EXPECT_FALSE(run(file));
  setenv("API_TOKEN", value.c_str(), 1);
  const auto code = run(file);
  unsetenv("API_TOKEN");
  ASSERT_TRUE(code) << code.error().str();
  EXPECT_EQ(*code, 0) << printed_;
  EXPECT_EQ(query("SELECT size, text FROM got"),
            std::to_string(value.size()) + "|[secret API_TOKEN]\n");
  EXPECT_EQ(query("SELECT value FROM environment WHERE key = 'secrets.redacted'"), "2\n");
  for (const auto& entry : fs::recursive_directory_iterator(folder_ / ".greta")) {
    if (!entry.is_regular_file()) continue;
    EXPECT_EQ(read_file(entry.path())->find(value), std::string::npos) << entry.path();
  }
}

}  // namespace
}  // namespace greta::runner
