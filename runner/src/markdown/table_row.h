#pragma once
// A row of a table as its line is written: GitHub's reading of it drops the cells under no head.
// Private to `markdown`.

#include <string>
#include <string_view>
#include <vector>

namespace greta::runner {

struct WrittenRow {
  std::vector<std::string> cells;  // with their markup
  std::vector<size_t> in_code;     // where in the line a `|` stands within a code span
};
// `keep_code`: a `|` in a code span is a letter, as its writer meant; GitHub ends the cell there.
WrittenRow written_row(std::string_view line, bool keep_code);

}  // namespace greta::runner
