#include "container/packages.h"

#include <gtest/gtest.h>

#include "store/store.h"
#include "system/files.h"
#include "system/test_folder.h"

namespace greta::runner {
namespace {

TEST(Packages, VersionsOfTheTools) {
  struct Case {
    const char* list;
    std::map<std::string, std::string> facts;
  };
  const Case cases[] = {
      {"clang-17 1:17.0.6-22 amd64\ng++ 4:14.2.0-1 amd64\ng++-14 14.2.0-19 amd64\nhipcc 5.7.1-6 "
       "amd64\nlibamdhip64-5 5.7.1-6 amd64\nlibamdhip64-dev 5.7.1-6 amd64\nlibhsa-runtime64-1 "
       "6.1.2-3 amd64\n",
       {{"image.rocm", "6.1.2-3"},
        {"image.hip", "5.7.1-6"},
        {"image.compiler", "clang-17 1:17.0.6-22, g++-14 14.2.0-19, hipcc 5.7.1-6"}}},
      {"hip-runtime-amd 6.4.43483 amd64\nhipcc 1.1.1 amd64\nlibamdhip64-dev 5.7.1 amd64\nrocm-core "
       "6.4.1.60401 amd64\n",
       {{"image.rocm", "6.4.1.60401"},
        {"image.hip", "6.4.43483"},
        {"image.compiler", "hipcc 1.1.1"}}},
      {"gcc 4:12.2.0-3 amd64\nlibc6 2.36-9 amd64\n", {{"image.compiler", "gcc 4:12.2.0-3"}}},
      {"clang-17-doc 1 all\nlibc6 2.36-9 amd64\n", {}},
      {"", {}},
  };
  for (const auto& [list, facts] : cases) EXPECT_EQ(tool_versions(list), facts) << list;
}

TEST(Packages, TheDifferenceNamesWhatChanged) {
  const auto difference =
      package_difference("a 1 amd64\nb 1 amd64\nc 1 amd64\n", "a 1 amd64\nb 2 amd64\nd 1 all\n");
  EXPECT_EQ(difference.only_a, (std::vector<std::string>{"b 1", "c 1"}));
  EXPECT_EQ(difference.only_b, (std::vector<std::string>{"b 2", "d 1"}));
  EXPECT_TRUE(package_difference("a 1 amd64\n", "a 1 amd64\n").only_a.empty());
}

TEST(Packages, AKeptListIsFoundByItsHashUnlessItIsDamaged) {
  const TestFolder folder;
  const Layout layout = *make_layout(folder / ".greta/store.sqlite");
  const std::string list = "a 1 amd64\n", hash = store::sha256_hex(list);
  EXPECT_FALSE(kept_packages(layout, hash));
  ASSERT_TRUE(keep_packages(layout, list));
  ASSERT_TRUE(keep_packages(layout, list));
  EXPECT_EQ(kept_packages(layout, hash), list);
  folder.write(".greta/packages/" + hash + ".txt", "b 1 amd64\n");
  EXPECT_FALSE(kept_packages(layout, hash));
}

}  // namespace
}  // namespace greta::runner
