#pragma once
// The rows of a past report's table as they are meant: what a cell takes from the one above it,
// which rows speak of others, and what a key cell says. Private to `past`.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "markdown/markdown_blocks.h"
#include "past/report_columns.h"
#include "past/report_number.h"
#include "past/report_reader.h"
#include "system/json.h"

namespace greta::runner {

struct TableRow {
  int line = 0;
  std::vector<std::string> cells;
  std::string row;        // "total", "avg": it speaks of other rows, …
  size_t row_column = 0;  // and this cell says so
};

struct TableRows {
  std::vector<TableRow> rows;
  std::vector<PastHead> names;      // cells that stand for others
  std::vector<PastLine> not_taken;  // what is under no head, or has no key
};

// Without a second row of heads; ditto marks and merged cells have what they stand for.
TableRows table_rows(const MarkdownBlock& block, const std::vector<ReportColumn>& columns);

// The layers that a key cell says: 31; 0, 1, 2; 0-3; 4..6. Nothing when it is no such list, or has
// more than `most`.
std::vector<int> layers_in(std::string_view cell, size_t most);
// What a key cell says, in the form of a record's key; null for nothing.
Json key_value(const std::string& key, std::string_view cell, const NumberMarks& marks);

}  // namespace greta::runner
