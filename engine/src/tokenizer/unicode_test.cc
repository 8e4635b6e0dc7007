#include "tokenizer/unicode.h"

#include <gtest/gtest.h>

namespace greta::engine {
namespace {

TEST(Utf8, ValidSequencesAndTheFirstBadByte) {
  constexpr size_t kNone = std::string_view::npos;
  const std::vector<std::pair<std::string, size_t>> cases = {
      {"", kNone},
      {"ascii", kNone},
      {"ñ€😀", kNone},
      {"\xf4\x8f\xbf\xbf", kNone},
      {"a\x80", 1},
      {"\xc0\x80", 0},
      {"\xe0\x9f\xbf", 0},
      {"\xed\xa0\x80", 0},
      {"\xf0\x8f\xbf\xbf", 0},
      {"\xf4\x90\x80\x80", 0},
      {"ab\xe2\x82", 2},
      {"\xff", 0},
      {std::string("a\0b", 3), kNone},
  };
  for (const auto& [text, bad] : cases) EXPECT_EQ(find_invalid_utf8(text), bad) << text;
}

TEST(BpeBytes, EveryByteThereAndBack) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  const std::string text = bpe_from_bytes(all);
  EXPECT_EQ(find_invalid_utf8(text), std::string_view::npos);
  EXPECT_EQ(bytes_from_bpe(text), all);
  EXPECT_EQ(bpe_from_bytes(" a\n"), "ĠaĊ");
  EXPECT_EQ(bytes_from_bpe("a b"), std::nullopt);  // a space stands for no byte
  EXPECT_EQ(bytes_from_bpe("日"), std::nullopt);
  EXPECT_EQ(bytes_from_bpe("\xff"), std::nullopt);
}

TEST(Utf8Stream, NeverShowsHalfACharacter) {
  const std::string text = "a\xc3\xb1\xe2\x82\xac\xf0\x9f\x98\x80z";
  Utf8Stream stream;
  std::string all;
  for (const char c : text) {
    const std::string ready = stream.push(std::string_view(&c, 1));
    EXPECT_EQ(find_invalid_utf8(ready), std::string_view::npos);
    all += ready;
  }
  EXPECT_EQ(all + stream.finish(), text);
}

TEST(Utf8Stream, KeepsBytesThatBecomeNoCharacter) {
  Utf8Stream stream;
  EXPECT_EQ(stream.push("a\xff\x80"), "a\xff\x80");
  EXPECT_EQ(stream.push("b\xf0\x9f"), "b");
  EXPECT_EQ(stream.push("c"),
            "\xf0\x9f"
            "c");
  EXPECT_EQ(stream.push("\xe2\x82"), "");
  EXPECT_EQ(stream.finish(), "\xe2\x82");
  EXPECT_EQ(stream.finish(), "");
}

}  // namespace
}  // namespace greta::engine
