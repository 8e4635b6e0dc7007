#pragma once
// What the head of a column and a table of a past report mean. Private to `past`.

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
  std::string kind;     // the only kind that has such a column; "" when several may
  std::string head;     // as it is written, without its unit
  std::string written;  // with it
  std::string ending;   // of its fields' names: "_2" in the second column of one prompt
};
// `prompts`: ids that the report names. The first column of a table may be a label.
ReportColumn report_column(std::string_view head, const std::vector<std::string>& prompts);
std::vector<ReportColumn> report_columns(const std::vector<std::string>& heads,
                                         const std::vector<std::string>& prompts);
// The phase that a cell or a head is, in the contract's words ("decode 1" is decode1, "Prefill
// last" is prefill_last, "Decode" is decode); "" when it is none.
std::string phase_name(std::string_view text);
// A row's label in a table of metrics, read as the head of a column would be. Always a field.
ReportColumn report_label(std::string_view cell);
// The field of a value with this unit: an id has none, so `top1` of 50 % is no `top1_id`.
std::string name_with_unit(const std::string& name, const std::string& unit);

// The record kind whose fields a table's are: that which most columns point to, where heads of
// several kinds do not tell by the words of the headings above it; "" when nothing tells.
std::string report_kind(const std::vector<std::string>& fields,
                        const std::vector<std::string>& hints,
                        const std::vector<std::string>& heading_words);

// The phase in which every record of this kind was made in the past: decode0 for the traces of the
// decode's attention; "" for others.
std::string phase_of_kind(std::string_view kind);

}  // namespace greta::runner
