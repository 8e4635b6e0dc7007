#pragma once
// What a cell of a past report's table says. Private to `past`.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "past/report_number.h"
#include "system/json.h"

namespace greta::runner {

// A cell: nothing (empty, a dash, n/a), true or false, a number, else its text. A number may be
// written as people write it: −2.5, .5, 1,5, 12,345,678, 2×10⁻³, 20.1 ± 0.3. `1,234` and `1.234`
// have two readings; where `marks` does not settle them they stay texts.
struct ReportCell {
  Json value;           // null for nothing
  std::string printed;  // a number as it stands there, in the form of JSON
  std::string unit;     // "180 s"; "B" is bytes or billions: see unit_under
  std::string bound;    // "> 180": more_than, at_least, less_than, at_most
  bool approx = false;  // "~180"
  struct Spread {
    std::string printed, unit;
  };
  std::optional<Spread> spread = std::nullopt;  // "20.1 ± 0.3"
  std::vector<std::string> readings = {};       // of a text that is a number with two readings
  MarkProofs proves = {};
};
ReportCell report_cell(std::string_view text, const NumberMarks& marks = {});

// Whether the two may be the same number: where both readings are open, one of each is enough.
bool may_be_equal(const ReportCell& a, const ReportCell& b);

// The unit that a text is, by its one name (µs and us are "us"); "" when it is none.
std::string unit_of(std::string_view text);
// What a unit is under a column (or label) of this name: B is bytes of a size, billions of
// parameters; "" where the name does not tell.
std::string unit_under(const std::string& unit, std::string_view name);

// A text that says a number in digits or signs: 0x1F, L30, ∞, ½.
bool has_digit(std::string_view text);

}  // namespace greta::runner
