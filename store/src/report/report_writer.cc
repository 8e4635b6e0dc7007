#include "report/report_writer.h"

#include "contract/text.h"
#include "db/sqlite.h"

namespace greta::store {

namespace {
constexpr size_t kLongestCell = 1000;
}

void ReportWriter::blank_line() {
  if (!text_.empty() && !text_.ends_with("\n\n")) text_ += "\n";
}

void ReportWriter::heading(int level, std::string_view text) {
  blank_line();
  text_ += std::string(static_cast<size_t>(level), '#') + " " + std::string(text) + "\n\n";
}

void ReportWriter::line(std::string_view text) {
  blank_line();
  text_ += text.substr(0, text.find_last_not_of('\n') + 1);
  text_ += "\n\n";
}

Result<bool> ReportWriter::table(const std::vector<ReportColumn>& columns, const std::string& rest,
                                 std::string_view above) {
  const auto sql_of = [&](const std::vector<const ReportColumn*>& some) {
    std::vector<std::string> parts;
    for (const ReportColumn* column : some) parts.push_back(column->sql);
    return "SELECT " + joined(parts, ", ") + rest;
  };
  std::vector<const ReportColumn*> shown;
  for (const ReportColumn& column : columns) shown.push_back(&column);
  TRY_ASSIGN(Table found, select(store_, run_.id, sql_of(shown)));
  if (found.rows.empty()) return false;
  std::vector<const ReportColumn*> filled;
  for (size_t i = 0; i < columns.size(); ++i) {
    for (const auto& row : found.rows) {
      if (row[i].type == Value::Type::null) continue;
      filled.push_back(&columns[i]);
      break;
    }
  }
  if (filled.empty()) return false;
  const std::string sql = sql_of(filled);
  TRY_ASSIGN(found, select(store_, run_.id, sql));

  MarkdownTable out;
  for (const ReportColumn* column : filled) {
    out.headers.push_back(column->header);
    out.aligns.push_back(column->align);
  }
  for (const auto& row : found.rows) {
    auto& cells = out.rows.emplace_back();
    for (const Value& value : row) cells.push_back(escape_markdown(shortened(value_text(value))));
  }
  if (!above.empty()) line(above);
  blank_line();
  text_ += to_markdown(out) + "\n" + query_note(run_.name, sql) + "\n";
  return true;
}

std::string shortened(std::string_view text) {
  if (text.size() <= kLongestCell) return std::string(text);
  size_t end = kLongestCell;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return std::string(text.substr(0, end)) + "… (" + std::to_string(text.size()) + " bytes)";
}

ReportColumn field_column(const std::string& name, Align align) {
  return ReportColumn{name, sql_name(name), align};
}

ReportColumn word_column(const std::string& header, const std::string& sql, Language language,
                         std::initializer_list<Label> words) {
  if (language != Language::es) return ReportColumn{header, sql, Align::left};
  std::string translated = "CASE " + sql;
  for (const Label id : words) {
    translated += " WHEN " + quoted_text(label(id, Language::en)) + " THEN " +
                  quoted_text(label(id, Language::es));
  }
  return ReportColumn{header, translated + " ELSE " + sql + " END", Align::left};
}

ReportColumn truth_column(const std::string& header, const std::string& sql) {
  return ReportColumn{header, "CASE " + sql + " WHEN 1 THEN 'true' WHEN 0 THEN 'false' END",
                      Align::left};
}

}  // namespace greta::store
