#pragma once
// A report under construction: headings, lines, and tables that are query results, each followed by
// its query.

#include <string>
#include <string_view>
#include <vector>

#include "compare/run_info.h"
#include "report/report_labels.h"
#include "text/markdown.h"

namespace greta::store {

// A column of a table: what stands above it, and the SQL of its values.
struct ReportColumn {
  std::string header;
  std::string sql;
  Align align = Align::right;
};

class ReportWriter {
 public:
  ReportWriter(Store& store, const RunInfo& run) : store_(store), run_(run) {}

  void heading(int level, std::string_view text);
  void line(std::string_view text);  // a paragraph
  // SELECT the columns + `rest` (" FROM … ORDER BY …"), without the columns that are NULL in every
  // row; nothing when there is no row. `above` is a line to put before a table that is not empty.
  Result<bool> table(const std::vector<ReportColumn>& columns, const std::string& rest,
                     std::string_view above = "");
  void add(std::string_view markdown) { text_ += markdown; }
  std::string take() && { return std::move(text_); }

  Store& store() const { return store_; }
  const RunInfo& run() const { return run_; }

 private:
  void blank_line();
  Store& store_;
  const RunInfo& run_;
  std::string text_;
};

// Data for a cell or a line: whole up to 1000 bytes; of a longer one the beginning and its length.
std::string shortened(std::string_view text);

// `name AS "header"`-free column whose header is the field's own name.
ReportColumn field_column(const std::string& name, Align align = Align::right);
// A column of words, which a report in Spanish alone translates in the query itself.
ReportColumn word_column(const std::string& header, const std::string& sql, Language language,
                         std::initializer_list<Label> words);
// A boolean as true or false.
ReportColumn truth_column(const std::string& header, const std::string& sql);

}  // namespace greta::store
