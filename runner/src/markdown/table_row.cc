#include "markdown/table_row.h"

#include <algorithm>

namespace greta::runner {
namespace {

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t") == std::string_view::npos;
}

// Where the code span that begins at `at` ends, behind its backticks; `at` when none does.
size_t code_end(std::string_view line, size_t at) {
  const size_t ticks = std::min(line.find_first_not_of('`', at), line.size()) - at;
  for (size_t end = at + ticks; (end = line.find('`', end)) != std::string_view::npos;) {
    const size_t behind = std::min(line.find_first_not_of('`', end), line.size());
    if (behind - end == ticks) return behind;
    end = behind;
  }
  return at;
}

}  // namespace

WrittenRow written_row(std::string_view line, bool keep_code) {
  WrittenRow out;
  // A table in a quotation has its marks in front.
  const size_t first = line.find_first_not_of(" \t>");
  size_t begin = std::min(first, line.size()), code = 0;
  if (line.substr(begin).starts_with('|')) ++begin;
  for (size_t at = begin; at < line.size(); ++at) {
    if (line[at] == '`' && at >= code) {
      code = std::max(code, code_end(line, at));
      // A row of backticks that opens nothing is text.
      if (code <= at) code = std::min(line.find_first_not_of('`', at), line.size());
    }
    if (line[at] == '\\' && at + 1 < line.size() && line[at + 1] == '|') {
      ++at;
      continue;
    }
    if (line[at] != '|') continue;
    if (at < code) out.in_code.push_back(at);
    if (at < code && keep_code) continue;
    out.cells.emplace_back(line.substr(begin, at - begin));
    begin = at + 1;
  }
  // Nothing stands behind the last `|` of most rows.
  if (begin < line.size() && !is_blank(line.substr(begin)))
    out.cells.emplace_back(line.substr(begin));
  return out;
}

}  // namespace greta::runner
