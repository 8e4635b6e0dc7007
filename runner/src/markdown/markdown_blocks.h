#pragma once
// A Markdown text (GitHub's kind: with tables) as a list of blocks, each with its line.

#include <string>
#include <string_view>
#include <vector>

namespace greta::runner {

struct MarkdownRow {
  int line = 0;
  std::vector<std::string> cells;        // one for every head
  std::vector<std::string> excess = {};  // under no head, as they are written; GitHub hides them
  bool code_ends_cell = false;           // a `|` in a code span ends a cell
  bool is_mended = false;                // such a `|` was taken as a letter: so the row fits
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

// Lines end as Markdown's do: \n, \r\n, or \r alone.
std::vector<std::string> markdown_lines(std::string_view text);

// In the order of the text. An item is one paragraph of a list. Any bytes are a Markdown text.
std::vector<MarkdownBlock> markdown_blocks(std::string_view text);

}  // namespace greta::runner
