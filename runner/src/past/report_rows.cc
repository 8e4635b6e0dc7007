#include "past/report_rows.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <iterator>

#include "past/past_names.h"
#include "past/report_cell.h"
#include "past/report_facts.h"

namespace greta::runner {
namespace {

using Use = ReportColumn::Use;

// A layer has at most so many digits, and a row at most so many layers.
constexpr size_t kLongestLayer = 4, kMostLayers = 256;

constexpr std::string_view kDittos[] = {"\"", "''",   "″",    "”",     "“",    "〃",
                                        "^",  "idem", "ídem", "ditto", "Idem", "Ídem"};
// What a row calls itself that speaks of the others.
constexpr std::string_view kAggregates[] = {"total",   "totals", "totales",  "avg",    "average",
                                            "mean",    "media",  "promedio", "sum",    "suma",
                                            "overall", "median", "mediana",  "geomean"};
// In a column of numbers these can be nothing else.
constexpr std::string_view kAggregatesOfNumbers[] = {"all",     "max",    "min",    "std",
                                                     "stddev",  "maximo", "minimo", "maximum",
                                                     "minimum", "todas",  "todos"};
constexpr std::string_view kNumberKeys[] = {"layer", "head", "step", "context", "batch"};

bool is_blank(const std::string& cell) {
  return cell.find_first_not_of(" \t\n") == std::string::npos;
}

bool is_number(const std::string& cell) {
  const ReportCell read = report_cell(cell);
  return read.value.is_number() || !read.readings.empty();
}

std::string quoted(const std::vector<std::string>& cells) {
  std::string out;
  for (std::string cell : cells) {
    trim(cell);
    out += (out.empty() ? "`" : " | ") + cell;
  }
  return out + "`";
}

// What stands in `cell` as the name of a row: "total"; "" when it is a row like others.
std::string aggregate_of(const std::string& cell, const ReportColumn& column, bool is_first) {
  const bool of_numbers = column.use == Use::key && contains(kNumberKeys, column.name);
  if (column.use != Use::key && !(is_first && column.use == Use::field)) return {};
  const std::string name = plain_name(cell);
  if (contains(kAggregates, name)) return name;
  if (!of_numbers) return {};
  const std::string first = name.substr(0, name.find('_'));
  const bool speaks = contains(kAggregates, first) || contains(kAggregatesOfNumbers, first);
  return speaks ? name : "";
}

// Units, or texts where all rows below have numbers, under heads of columns that have a name.
bool is_second_head(const std::vector<MarkdownRow>& rows,
                    const std::vector<ReportColumn>& columns) {
  if (rows.size() < 3) return false;
  bool has_text = false;
  for (size_t i = 0; i < columns.size() && i < rows[0].cells.size(); ++i) {
    std::string cell = rows[0].cells[i];
    if (is_blank(cell)) continue;
    const bool in_brackets = cell.size() > 2 && (cell[0] == '(' || cell[0] == '[');
    if (in_brackets && !unit_of(cell.substr(1, cell.size() - 2)).empty()) {
      has_text = true;
      continue;
    }
    if (!unit_of(cell).empty()) {
      has_text = true;
      continue;
    }
    if (!report_cell(cell).value.is_string() || has_digit(cell)) return false;
    const bool over_numbers = std::all_of(
        rows.begin() + 1, rows.end(),
        [i](const MarkdownRow& row) { return i < row.cells.size() && is_number(row.cells[i]); });
    // A row's own name would stand in its first cell.
    if (!over_numbers || !is_blank(rows[0].cells[0])) return false;
    has_text = true;
  }
  return has_text;
}

class RowReader {
 public:
  RowReader(const MarkdownBlock& block, const std::vector<ReportColumn>& columns)
      : block_(block), columns_(columns) {}
  TableRows read();

 private:
  void compare_with_line(const MarkdownRow& row);
  void name_rows();
  void fill_dittos();
  void fill_merged(size_t column);

  const MarkdownBlock& block_;
  const std::vector<ReportColumn>& columns_;
  TableRows out_;
};

void RowReader::compare_with_line(const MarkdownRow& row) {
  std::vector<std::string> excess = row.excess;
  excess.erase(std::remove_if(excess.begin(), excess.end(), is_blank), excess.end());
  if (!excess.empty())
    out_.not_taken.push_back({.line = row.line, .text = quoted(excess) + " stands under no head"});
  if (row.code_ends_cell) {
    out_.not_taken.push_back(
        {.line = row.line,
         .text = "a | in code ends a cell (\\| would not): read as " + quoted(row.cells)});
  }
  if (row.is_mended) {
    out_.not_taken.push_back(
        {.line = row.line,
         .text = "a | in code taken as a letter, so that the row fits: " + quoted(row.cells)});
  }
}

void RowReader::name_rows() {
  for (TableRow& row : out_.rows) {
    for (size_t i = 0; i < columns_.size() && i < row.cells.size() && row.row.empty(); ++i) {
      row.row = aggregate_of(row.cells[i], columns_[i], i == 0);
      row.row_column = i;
    }
    if (row.row.empty()) continue;
    out_.names.push_back(
        {.head = row.cells[row.row_column], .field = "row " + row.row, .keys = {{"row", row.row}}});
  }
}

void RowReader::fill_dittos() {
  for (size_t r = 0; r < out_.rows.size(); ++r) {
    for (size_t i = 0; i < out_.rows[r].cells.size(); ++i) {
      std::string& cell = out_.rows[r].cells[i];
      std::string mark = cell;
      trim(mark);
      const bool has_above = r > 0 && i < out_.rows[r - 1].cells.size() &&
                             !is_blank(out_.rows[r - 1].cells[i]) && out_.rows[r - 1].row.empty();
      if (!contains(kDittos, mark)) continue;
      if (!has_above) {
        out_.not_taken.push_back(
            {.line = out_.rows[r].line, .text = "`" + mark + "` has no cell above"});
        continue;
      }
      cell = out_.rows[r - 1].cells[i];
      out_.names.push_back({.head = mark, .field = "the cell above", .keys = Json::object()});
    }
  }
}

// Cells of a key that are blank below a filled one are merged with it where every filled one has as
// many of them, and there are several: a pattern that no forgotten cell makes. Else nothing says
// whose the row is.
void RowReader::fill_merged(size_t column) {
  std::vector<size_t> groups;  // a filled cell and the blank ones below it
  std::vector<const TableRow*> blank;
  bool first_is_blank = false;
  for (TableRow& row : out_.rows) {
    if (!row.row.empty() || column >= row.cells.size()) continue;
    const bool is_filled = !is_blank(row.cells[column]);
    first_is_blank |= groups.empty() && !is_filled;
    if (is_filled || groups.empty()) groups.push_back(0);
    if (!is_filled) blank.push_back(&row);
    ++groups.back();
  }
  if (blank.empty() || (first_is_blank && groups.size() == 1)) return;
  const bool merged =
      std::adjacent_find(groups.begin(), groups.end(), std::not_equal_to<>()) == groups.end() &&
      !first_is_blank && blank.size() > 1;
  const std::string& head = columns_[column].written;
  if (!merged) {
    for (const TableRow* const row : blank) {
      out_.not_taken.push_back(
          {.line = row->line,
           .text =
               "its " + head + " is blank, and nothing says which it is: " + quoted(row->cells)});
    }
    return;
  }
  out_.names.push_back(
      {.head = "blank " + head, .field = "the cell above", .keys = Json::object()});
  std::string above;
  for (TableRow& row : out_.rows) {
    if (!row.row.empty() || column >= row.cells.size()) continue;
    if (is_blank(row.cells[column])) row.cells[column] = above;
    above = row.cells[column];
  }
}

TableRows RowReader::read() {
  const bool second = is_second_head(block_.rows, columns_);
  if (second) {
    out_.not_taken.push_back(
        {.line = block_.rows[0].line,
         .text = "a second row of heads, not understood: " + quoted(block_.rows[0].cells)});
  }
  for (size_t r = second ? 1 : 0; r < block_.rows.size(); ++r) {
    const MarkdownRow& row = block_.rows[r];
    compare_with_line(row);
    if (std::all_of(row.cells.begin(), row.cells.end(), is_blank)) continue;
    out_.rows.push_back({.line = row.line, .cells = row.cells, .row = {}});
  }
  name_rows();
  fill_dittos();
  for (size_t i = 0; i < columns_.size(); ++i)
    if (columns_[i].use == Use::key || columns_[i].use == Use::label) fill_merged(i);
  return std::move(out_);
}

// A whole number that is nothing else; -1 when it is none.
int layer_in(std::string text) {
  trim(text);
  int out = -1;
  const bool fits =
      all_digits(text) && text.size() <= kLongestLayer && (text.size() == 1 || text[0] != '0');
  if (fits) std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

}  // namespace

TableRows table_rows(const MarkdownBlock& block, const std::vector<ReportColumn>& columns) {
  return RowReader(block, columns).read();
}

std::vector<int> layers_in(std::string_view cell, size_t most) {
  std::vector<int> out;
  for (size_t at = 0; at <= cell.size();) {
    const size_t end = std::min(cell.find(',', at), cell.size());
    const std::string part(cell.substr(at, end - at));
    at = end + 1;
    int first = layer_in(part), last = first;
    for (const std::string_view mark : {"...", "..", "…", "–", "—", "-"}) {
      const size_t dash = part.find(mark);
      if (first >= 0 || dash == std::string::npos) continue;
      first = layer_in(part.substr(0, dash));
      last = layer_in(part.substr(dash + mark.size()));
    }
    if (first < 0 || last < first) return {};
    const auto count = static_cast<size_t>(last - first) + 1;
    if (out.size() + count > std::min(most, kMostLayers)) return {};
    for (int layer = first; layer <= last; ++layer) out.push_back(layer);
  }
  return out;
}

Json key_value(const std::string& key, std::string_view cell, const NumberMarks& marks) {
  const ReportCell read = report_cell(cell, marks);
  if (read.value.is_null()) return read.value;
  std::string text(cell);
  strip(text);
  if (key == "prompt") return prompt_in(text).empty() ? text : prompt_in(text);
  if (key == "variant") return arm_name(text);
  if (key == "phase") return phase_name(text).empty() ? text : phase_name(text);
  const bool is_bare = read.unit.empty() && read.bound.empty() && !read.approx && !read.spread;
  // "4,8" is a list of batches, and no number of them.
  const bool is_list = says(text, ",") && !read.value.is_number_integer();
  if (read.value.is_number() && is_bare && !is_list) return read.value;
  return read.value.is_boolean() ? read.value : Json(text);
}

}  // namespace greta::runner
