#pragma once
// Numbers as people write them, and what point and comma mean in a report. Private to `past`.

#include <string>
#include <string_view>
#include <vector>

namespace greta::runner {

// What a point or a comma is: before the decimals, or between groups of three digits.
enum class MarkUse { unknown, decimal, groups };
struct NumberMarks {
  MarkUse point = MarkUse::unknown, comma = MarkUse::unknown;
};

// What numbers prove of the marks: 12.34 and 0.958 that the point is decimal, 1.234,5
// and 16.384.000 that it groups. 1.024 proves nothing.
struct MarkProofs {
  bool point_decimal = false, point_groups = false, comma_decimal = false, comma_groups = false;
  void add(const MarkProofs& other);
};
// By the proofs nearest to a number, those of its table, and for a mark of which these say nothing
// by those of a wider text, `around`. Proofs that contradict each other settle nothing.
NumberMarks marks_of(const MarkProofs& table, const MarkProofs& around);

struct WrittenNumber {
  std::string json;  // the number in the form of JSON; "" where the text is none, or not settled
  // Of a text such as 1.024 whose mark no other number settles: as decimals, and as thousands.
  std::vector<std::string> readings;
  MarkProofs proves;
};
WrittenNumber written_number(std::string text, const NumberMarks& marks);

// At least one digit, and nothing else.
bool all_digits(std::string_view text);
// Blanks at both ends away.
void trim(std::string& text);
void replace_all(std::string& text, std::string_view what, std::string_view with);

}  // namespace greta::runner
