#include <gtest/gtest.h>

#include <chrono>

#include "spec/spec_text.h"
#include "spec/yaml_node.h"

namespace greta::runner {
namespace {

YamlNode parse(const std::string& text, std::string* message = nullptr) {
  Problems problems;
  YamlNode root = parse_yaml(text, "f", problems);
  const std::string got = problems.empty() ? "" : problems.error().str();
  if (message != nullptr) {
    *message = got;
  } else {
    EXPECT_EQ(got, "");
  }
  return root;
}

std::string mistake(const std::string& text) {
  std::string message;
  parse(text, &message);
  return message;
}

TEST(YamlParse, PlacesCountCharactersFromOne) {
  const YamlNode root = parse("\xef\xbb\xbf# ñ\nkey: {\"é\": [1, ü, x]}\r\nlast: y\r\n");
  const YamlNode* list = root.find("key")->find("é");
  ASSERT_NE(list, nullptr);
  EXPECT_EQ(to_string(list->items[2].place), "f:2:19");
  EXPECT_EQ(to_string(root.find_entry("last")->place), "f:3:1");
  EXPECT_EQ(root.find("last")->text, "y");
}

TEST(YamlParse, ScalarsKeepTheirLetters) {
  const YamlNode root = parse(
      "a: 0123\nb: 1_000\nc: on\nd: '1e3'\ne: \"x\\ny\"\nf: |\n  two\n  lines\ng: ~\nh: !!str 5\n");
  EXPECT_EQ(root.find("a")->text, "0123");
  EXPECT_FALSE(root.find("a")->quoted);
  EXPECT_EQ(root.find("b")->text, "1_000");
  EXPECT_EQ(root.find("c")->text, "on");
  EXPECT_TRUE(root.find("d")->quoted);
  EXPECT_EQ(root.find("e")->text, "x\ny");
  EXPECT_EQ(root.find("f")->text, "two\nlines\n");
  EXPECT_EQ(root.find("g")->kind, YamlNode::Kind::null);
  EXPECT_EQ(root.find("h")->text, "5");
}

TEST(YamlParse, AliasesAndMergeKeys) {
  const YamlNode root = parse(
      "a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc: {<<: *a, y: 9}\nd: {<<: [*b, *a]}\ne: *a\n"
      "f: {\"<<\": plain}\n");
  EXPECT_EQ(root.find("c")->find("y")->text, "9");
  EXPECT_EQ(root.find("c")->find("x")->text, "1");
  EXPECT_EQ(root.find("d")->find("y")->text, "3");
  EXPECT_EQ(root.find("d")->entries.size(), 3u);
  EXPECT_EQ(root.find("e")->find("y")->text, "2");
  EXPECT_EQ(root.find("f")->find("<<")->text, "plain");
}

TEST(YamlParse, QuotesMustBeClosedWhereverTheyStand) {
  EXPECT_EQ(mistake("a: \"x"), "f:1:4: the quote that opens here is never closed");
  EXPECT_EQ(mistake("a: [1, 'it''s"), "f:1:8: the quote that opens here is never closed");
  EXPECT_EQ(mistake("\"a: 1\n"), "f:1:1: the quote that opens here is never closed");
  EXPECT_EQ(mistake("a: \"x\\\""), "f:1:4: the quote that opens here is never closed");
  EXPECT_EQ(parse("a: 'it''s'\nb: \"\\\"\"\nc: 'x'").find("a")->text, "it's");
}

TEST(YamlParse, BytesThatAreNoText) {
  EXPECT_EQ(mistake("a: b\nc: \xff\n"), "f:2:4: not UTF-8");
  EXPECT_EQ(mistake(std::string("\xff\xfe\x61\0", 4)), "f:1:1: not UTF-8");  // UTF-16
  EXPECT_EQ(mistake("a: \xc0\xaf\n"), "f:1:4: not UTF-8");                   // overlong
  EXPECT_EQ(mistake("a: \xed\xa0\x80\n"), "f:1:4: not UTF-8");               // surrogate
  EXPECT_EQ(mistake("a: \xf0\x9f\x98"), "f:1:4: not UTF-8");                 // cut
  EXPECT_EQ(mistake(std::string("a: b\0c\n", 7)), "f:1:5: a control character (\\x00)");
  EXPECT_EQ(parse("a: 🙂 \xf4\x8f\xbf\xbf\n").find("a")->text, "🙂 \xf4\x8f\xbf\xbf");
}

TEST(YamlParse, LimitsStopWhatGrowsOutOfProportion) {
  EXPECT_EQ(mistake(std::string(kMostYamlBytes + 1, ' ')), "f: larger than 1048576 bytes");
  std::string keys;
  for (size_t i = 0; i <= kMostYamlKeys; ++i) keys += "k" + std::to_string(i) + ": 1\n";
  EXPECT_EQ(mistake(keys), "f:10001:1: more than 10000 keys in one map");
  // One long scalar, repeated by reference.
  const std::string long_text = "a: &a " + std::string(500'000, 'x') + "\nb: [";
  std::string many = long_text;
  for (int i = 0; i < 100; ++i) many += "*a, ";
  EXPECT_NE(mistake(many + "1]\n").find("the file holds too much"), std::string::npos);
}

// Hostile shapes must cost time in proportion to their size.
TEST(YamlParse, LargeFilesTakeNoUndueTime) {
  const size_t size = kMostYamlBytes - 100;
  std::string one_line = "a: [", colons, quotes = "a: [", dashes, anchors = "a: [";
  while (one_line.size() < size) one_line += "{b: é}, ";
  while (colons.size() < size) colons += ": ";
  while (quotes.size() < size) quotes += "'', ";
  while (dashes.size() < size) dashes += "- ";
  while (anchors.size() < size) anchors += "&a x, *a, ";
  const std::string shapes[] = {one_line + "]\n",
                                colons,
                                quotes + "]\n",
                                dashes,
                                anchors + "]\n",
                                std::string(size, '['),
                                std::string(size, '{'),
                                std::string(size, '"'),
                                "a: " + std::string(size, '\n') + "b"};
  for (const std::string& text : shapes) {
    const auto start = std::chrono::steady_clock::now();
    mistake(text);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    EXPECT_LT(elapsed.count(), 20) << text.substr(0, 20);
  }
}

TEST(YamlProblems, AreSortedAndLimited) {
  Problems problems;
  for (int line = 30; line > 0; --line) problems.add({"f", line, 1}, "m" + std::to_string(line));
  problems.add({"f", 1, 1}, "m1");  // said twice
  const Error error = problems.error();
  EXPECT_EQ(error.line, 1);
  EXPECT_TRUE(error.message.starts_with("m1\nf:2:1: m2\n")) << error.message;
  EXPECT_TRUE(error.message.ends_with("f:20:1: m20\n… and 10 more")) << error.message;
}

}  // namespace
}  // namespace greta::runner
