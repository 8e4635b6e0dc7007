#pragma once
// What the head of a column, a cell and a table of a past report mean. Private to `past`.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "system/json.h"

namespace greta::runner {

// A column: a part of the key (layer, prompt, …), or a field of the record, perhaps of one phase.
struct ReportColumn {
  enum class Use {
    key,     // `name` is the key that its cells give
    field,   // `name` is the field of its cells; `keys` hold for them
    label,   // its cells name the fields of their rows
    values,  // its cells are the values of fields that the label names; `keys` hold for them
  } use = Use::field;
  std::string name;
  Json keys = Json::object();  // phase, prompt, layer that the head itself says
  std::string unit;
  std::string kind;  // the only kind that has such a column; "" when several may
};
// `prompts`: ids that the report names. The first column of a table may be a label.
ReportColumn report_column(std::string_view head, const std::vector<std::string>& prompts);
std::vector<ReportColumn> report_columns(const std::vector<std::string>& heads,
                                         const std::vector<std::string>& prompts);

// A cell: nothing (empty, a dash, n/a), true or false, a number, else its text.
struct ReportCell {
  Json value;           // null for nothing
  std::string printed;  // a number as it stands there, when that is a number of JSON too
  std::string unit;     // "180 s"
  std::string bound;    // "> 180": more_than, at_least, less_than, at_most
  bool approx = false;  // "~180"
};
ReportCell report_cell(std::string_view text);

// The record kind whose fields a table's are: that which most columns point to, where heads of
// several kinds do not tell by the words of the headings above it; "" when nothing tells.
std::string report_kind(const std::vector<std::string>& fields,
                        const std::vector<std::string>& hints,
                        const std::vector<std::string>& heading_words);

// The phase in which every record of this kind was made in the past: decode0 for the traces of the
// decode's attention; "" for others.
std::string phase_of_kind(std::string_view kind);

}  // namespace greta::runner
