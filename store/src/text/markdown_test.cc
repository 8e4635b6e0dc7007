#include "text/markdown.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>

namespace greta::store {
namespace {

TEST(NumberText, PrintsWhatTheSeedReportPrints) {
  const std::vector<std::pair<double, std::string>> cases = {{6.00923e-11, "6.00923e-11"},
                                                             {6.57923e-04, "6.57923e-04"},
                                                             {4.19899e-02, "4.19899e-02"},
                                                             {0.95866, "0.95866"},
                                                             {1.34019, "1.34019"},
                                                             {0, "0"},
                                                             {206, "206"},
                                                             {-0.0, "-0"},
                                                             {1e15, "1e+15"},
                                                             {0.1, "0.1"},
                                                             {1.0 / 3, "0.3333333333333333"}};
  for (const auto& [value, text] : cases) EXPECT_EQ(number_text(value), text);
  EXPECT_EQ(number_text(std::nan("")), "NaN");
  EXPECT_EQ(number_text(-std::numeric_limits<double>::infinity()), "-Infinity");
}

TEST(NumberText, ReadsBackAsTheSameDouble) {
  uint64_t state = 1;
  for (int i = 0; i < 10000; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const double value =
        std::ldexp(static_cast<double>(state >> 11), static_cast<int>(state % 200) - 150);
    EXPECT_EQ(std::strtod(number_text(value).c_str(), nullptr), value);
  }
}

TEST(EscapeMarkdown, NothingEndsTheCellOrVanishes) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"a|b", "a\\|b"},
      {"two\nlines\r\n", "two⏎lines␍⏎"},
      {" Buenos ", "␣Buenos␣"},
      {"  ", "␣␣"},
      {"<|begin_of_text|>", "<\\|begin_of_text\\|>"},
      {"<b>bold</b> <!-- x --> <https://x>", "&lt;b>bold&lt;/b> &lt;!-- x --> &lt;https://x>"},
      {"&lt; &#60; a & b", "&amp;lt; &amp;#60; a & b"},
      {"> quote, a <= b > c", "&gt; quote, a <= b > c"},
      {"\\n", "\\\\n"},
      {"`code` *bold* [link](x)", "\\`code\\` \\*bold\\* \\[link\\](x)"},
      {"attn_out_mae", "attn_out_mae"},
      {"_x_ a _b", "\\_x\\_ a \\_b"},
      {std::string("nul\0", 4), "nul\\x00"},
      {"\xff ñ € 😀 \xed\xa0\x80", "\\xff ñ € 😀 \\xed\\xa0\\x80"},
      {"\xc3", "\\xc3"},
      {"", ""}};
  for (const auto& [text, escaped] : cases) EXPECT_EQ(escape_markdown(text), escaped);
}

TEST(CodeSpan, HoldsBackticks) {
  EXPECT_EQ(code_span("a|b"), "`a|b`");
  EXPECT_EQ(code_span("a`b``c"), "``` a`b``c ```");
}

TEST(MarkdownTable, HasOneLineARow) {
  const MarkdownTable table{{"Layer", "gap"}, {Align::left, Align::right}, {{"0", "1.5"}}};
  EXPECT_EQ(to_markdown(table), "| Layer | gap |\n| --- | ---: |\n| 0 | 1.5 |\n");
}

TEST(MarkdownTable, LinesUpInATerminal) {
  const MarkdownTable table{{"what", "n"}, {Align::left, Align::right}, {{"ñandú", "10.25"}}};
  EXPECT_EQ(to_markdown(table, TableStyle::padded),
            "| what  |     n |\n| ----- | ----: |\n| ñandú | 10.25 |\n");
}

TEST(QueryCommand, IsSafeInAShell) {
  EXPECT_EQ(query_command("B3.21-x", "SELECT 'a' = \"b$\" || '`\\'"),
            "greta query --run B3.21-x \"SELECT 'a' = \\\"b\\$\\\" || '\\`\\\\'\"");
}

}  // namespace
}  // namespace greta::store
