#include "contract/text.h"

#include <gtest/gtest.h>

namespace greta {
namespace {

TEST(Nearest, FindsLikelySlipsOnly) {
  const std::vector<std::string> names = {"flags", "matrix", "milestone", "GRETA_TRACE_STAGE"};
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"flag", "flags"},
      {"FLAGS", "flags"},
      {"mtarix", "matrix"},
      {"milestones", "milestone"},
      {"GRETA_TRACE_STGAE", "GRETA_TRACE_STAGE"},
      {"zzzz", ""},
      {"", ""},
      {std::string(10000, 'x'), ""},
  };
  for (const auto& [word, want] : cases) EXPECT_EQ(nearest(word, names), want) << word;
}

TEST(DidYouMean, QuotesTheName) {
  EXPECT_EQ(did_you_mean("flag", {"flags"}), " (did you mean `flags`?)");
  EXPECT_EQ(did_you_mean("other", {"flags"}), "");
}

TEST(Joined, PutsTheSeparatorBetweenAnyTwo) {
  EXPECT_EQ(joined({}), "");
  EXPECT_EQ(joined({"a", "", "b"}), "a, , b");
  EXPECT_EQ(joined({"", "a"}, " | "), " | a");
}

TEST(Printable, EscapesControlBytesAndCuts) {
  EXPECT_EQ(printable("a\x1b[0m\n"), "a\\x1b[0m\\x0a");
  EXPECT_EQ(printable("abcdef", 3), "abc…");
}

}  // namespace
}  // namespace greta
