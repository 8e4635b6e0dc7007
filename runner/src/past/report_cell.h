#pragma once
// What a cell of a past report's table says. Private to `past`.

#include <string>
#include <string_view>

#include "system/json.h"

namespace greta::runner {

// A cell: nothing (empty, a dash, n/a), true or false, a number, else its text. A number may be
// written as people write it: −2.5, .5, 1,5, 12,345,678, 2×10⁻³. `1,234` has two readings and stays
// a text.
struct ReportCell {
  Json value;           // null for nothing
  std::string printed;  // a number as it stands there, in the form of JSON
  std::string unit;     // "180 s"
  std::string bound;    // "> 180": more_than, at_least, less_than, at_most
  bool approx = false;  // "~180"
};
ReportCell report_cell(std::string_view text);

// The unit that a text is, by its one name (µs and us are "us"); "" when it is none.
std::string unit_of(std::string_view text);

// At least one digit, and nothing else.
bool all_digits(std::string_view text);

// Blanks at both ends away.
void trim(std::string& text);

}  // namespace greta::runner
