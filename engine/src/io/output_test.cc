#include "io/output.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace greta::engine {
namespace {

namespace fs = std::filesystem;

fs::path fresh(const std::string& name) {
  const fs::path folder = fs::path(::testing::TempDir()) / ("output_" + name);
  fs::remove_all(folder);
  return folder;
}

std::string content(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

TEST(Output, OneFileAKindAndWholeFiles) {
  const fs::path folder = fresh("kinds") / "deep";
  const auto output = Output::open(folder);
  ASSERT_TRUE(output) << output.error().str();
  EXPECT_TRUE((*output)->wanted());
  ASSERT_TRUE((*output)->rename("stage_trace", "s.jsonl"));
  ASSERT_TRUE((*output)->write("readout", "{\"a\":1}\n"));
  ASSERT_TRUE((*output)->write("stage_trace", "{\"b\":1}\n"));
  ASSERT_TRUE((*output)->write("readout", "{\"a\":2}\n"));
  ASSERT_TRUE((*output)->write_file("effective.json", "{}\n"));
  EXPECT_EQ(content(folder / "readout.jsonl"), "{\"a\":1}\n{\"a\":2}\n");
  EXPECT_EQ(content(folder / "s.jsonl"), "{\"b\":1}\n");
  EXPECT_EQ(content(folder / "effective.json"), "{}\n");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), {}), 3);
}

TEST(Output, FoldersInNamesAndLateRenamesAreErrors) {
  const auto output = Output::open(fresh("names"));
  ASSERT_TRUE(output);
  for (const char* name : {"/tmp/x.jsonl", "a/b.jsonl", "..", ""}) {
    const auto renamed = (*output)->rename("readout", name);
    ASSERT_FALSE(renamed) << name;
    EXPECT_EQ(renamed.error().exit_code, 2);
    EXPECT_FALSE((*output)->write_file(name, "x")) << name;
  }
  ASSERT_TRUE((*output)->write("readout", "{}\n"));
  EXPECT_FALSE((*output)->rename("readout", "late.jsonl"));
}

TEST(Output, AFolderWithSomethingInItIsNotMixedInto) {
  const fs::path folder = fresh("full");
  fs::create_directories(folder);
  EXPECT_TRUE(Output::open(folder));
  std::ofstream(folder / "old.jsonl") << "{}\n";
  const auto output = Output::open(folder);
  ASSERT_FALSE(output);
  EXPECT_NE(output.error().message.find("is not empty (it holds `old.jsonl`)"), std::string::npos);
  EXPECT_EQ(output.error().exit_code, 2);
  EXPECT_FALSE(Output::open(folder / "old.jsonl"));
}

TEST(Output, WithoutAFolderNothingIsKept) {
  const auto output = Output::open({});
  ASSERT_TRUE(output);
  EXPECT_FALSE((*output)->wanted());
  EXPECT_TRUE((*output)->write("readout", "{}\n"));
  EXPECT_TRUE((*output)->write_file("effective.json", "{}"));
}

}  // namespace
}  // namespace greta::engine
