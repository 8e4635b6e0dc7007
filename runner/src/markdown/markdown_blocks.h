#pragma once
// A Markdown text (GitHub's kind: with tables) as a list of blocks, each with its line.

#include <string>
#include <string_view>
#include <vector>

namespace greta::runner {

struct MarkdownRow {
  int line = 0;
  std::vector<std::string> cells;
};

struct MarkdownBlock {
  enum class Kind { heading, paragraph, item, code, table } kind = Kind::paragraph;
  int line = 0, last_line = 0;  // from 1
  int level = 0;                // of a heading, 1 to 6
  std::string text;             // without markup; a line break is a newline. Not of a table.
  std::vector<std::string> code_spans;
  bool is_bold = false;  // all of it
  MarkdownRow header;    // of a table, and …
  std::vector<MarkdownRow> rows;
};

// In the order of the text. An item is one paragraph of a list. Any bytes are a Markdown text.
std::vector<MarkdownBlock> markdown_blocks(std::string_view text);

}  // namespace greta::runner
