#pragma once
// Pieces of Markdown (GitHub's flavour) and the one way in which numbers are printed for people:
// the shortest digits that read back as the same double, in scientific form below 0.1 and from
// 1e15.

#include <string>
#include <string_view>
#include <vector>

#include "store/store.h"

namespace greta::store {

// 0.0419899 → "4.19899e-02", 1.34019 → "1.34019", 206.0 → "206"; NaN, Infinity, -Infinity.
std::string number_text(double value);
// NULL → "–"; text as it is.
std::string value_text(const Value& value);

// Data inside a table cell or a line: nothing in it can end the cell, start markup or vanish. Line
// breaks, tabs and spaces at the ends are made visible, other control bytes and bytes that are no
// UTF-8 become \xNN.
std::string escape_markdown(std::string_view text);
// The same without markup: one line for a terminal.
std::string visible_text(std::string_view text);
// `text` as a code span, whatever backticks it holds; line breaks become spaces.
std::string code_span(std::string_view text);

enum class Align { left, right };
struct MarkdownTable {
  std::vector<std::string> headers;
  std::vector<Align> aligns;                   // as many as headers
  std::vector<std::vector<std::string>> rows;  // escaped already
};
enum class TableStyle { compact, padded };  // padded: columns line up in a terminal
std::string to_markdown(const MarkdownTable& table, TableStyle style = TableStyle::compact);

// greta query --run NAME "SQL" as one shell command; without --run where `run` is empty.
std::string query_command(std::string_view run, std::string_view sql);
// The line (or, for SQL of several lines, the block) that stands under a table.
std::string query_note(std::string_view run, std::string_view sql);

}  // namespace greta::store
