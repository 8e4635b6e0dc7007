#include "past/report_number.h"

#include <algorithm>
#include <array>
#include <utility>

#include "system/json.h"

namespace greta::runner {
namespace {

using Written = std::pair<std::string_view, std::string_view>;

// "2×10⁻³", "2 · 10^-3" as "2e-3"; anything else as it is.
void join_power_of_ten(std::string& text) {
  for (const std::string_view times : {"×", "·", "x", "*"}) {
    const size_t at = text.find(times);
    if (at == std::string::npos) continue;
    std::string before = text.substr(0, at), behind = text.substr(at + times.size());
    trim(before);
    trim(behind);
    if (before.empty() || !behind.starts_with("10")) return;
    std::string exponent = behind.substr(2);
    const bool raised = exponent.starts_with('^');
    if (raised) exponent.erase(0, 1);
    constexpr std::array<Written, 12> kRaised = {{{"⁻", "-"},
                                                  {"⁺", "+"},
                                                  {"⁰", "0"},
                                                  {"¹", "1"},
                                                  {"²", "2"},
                                                  {"³", "3"},
                                                  {"⁴", "4"},
                                                  {"⁵", "5"},
                                                  {"⁶", "6"},
                                                  {"⁷", "7"},
                                                  {"⁸", "8"},
                                                  {"⁹", "9"}}};
    const std::string as_written = exponent;
    for (const auto& [small, plain] : kRaised) replace_all(exponent, small, plain);
    // "2×103" is no power: without a mark the digits belong to the ten.
    if (exponent.empty() || (!raised && exponent == as_written)) return;
    text = before + "e" + exponent;
    return;
  }
}

// Digits without the mark between their groups of three; "" when they are not grouped so. The first
// group may be of any length where it is the only one.
std::string without_groups(std::string_view text, char mark) {
  std::string out;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(mark, at), text.size());
    const std::string_view group = text.substr(at, end - at);
    const bool only = at == 0 && end == text.size();
    const bool fits = at == 0 ? group.size() <= 3 : group.size() == 3;
    if (!all_digits(group) || (!fits && !only)) return {};
    out += group;
    at = end + 1;
  }
  return out;
}

// The digits of a number without sign and exponent, in parts: 1.234,5 is 1234 and 5.
struct Digits {
  std::string whole, decimals;
  bool has_decimals = false;
};

Digits split_at(std::string_view text, size_t mark) {
  return {.whole = std::string(text.substr(0, mark)),
          .decimals = std::string(text.substr(mark + 1)),
          .has_decimals = true};
}

void prove(MarkProofs& proves, char mark, bool decimal) {
  (mark == '.' ? (decimal ? proves.point_decimal : proves.point_groups)
               : (decimal ? proves.comma_decimal : proves.comma_groups)) = true;
}

// One mark, or several of one: 1.5, 1.024, 16.384.000.
bool split_one_kind(std::string_view text, char mark, bool has_exponent, MarkUse use,
                    WrittenNumber& out, Digits& digits) {
  const size_t first = text.find(mark);
  const bool leads_with_zero = text[0] == '0';
  if (first != text.rfind(mark)) {
    digits.whole = without_groups(text, mark);
    if (digits.whole.empty() || leads_with_zero) return false;
    prove(out.proves, mark, false);
    return true;
  }
  digits = split_at(text, first);
  const bool is_comma = mark == ',';
  if (is_comma && (!all_digits(digits.whole) || !all_digits(digits.decimals))) return false;
  const bool two_readings = digits.decimals.size() == 3 && digits.whole.size() <= 3 &&
                            all_digits(digits.whole) && all_digits(digits.decimals) &&
                            !leads_with_zero && !has_exponent;
  if (!two_readings) {
    if (!digits.decimals.empty()) prove(out.proves, mark, true);
    return true;
  }
  if (use == MarkUse::unknown)
    out.readings = {digits.whole + "." + digits.decimals, digits.whole + digits.decimals};
  if (use == MarkUse::groups)
    digits = {.whole = digits.whole + digits.decimals, .decimals = {}, .has_decimals = false};
  return use != MarkUse::unknown;
}

// 1.234,56 and 1,234.56: the mark that comes last is the decimal one.
bool split_two_kinds(std::string_view text, WrittenNumber& out, Digits& digits) {
  const size_t last = text.find_last_of(".,");
  const char decimal = text[last], groups = decimal == '.' ? ',' : '.';
  digits = split_at(text, last);
  digits.whole = without_groups(digits.whole, groups);
  if (digits.whole.empty() || !all_digits(digits.decimals)) return false;
  prove(out.proves, decimal, true);
  prove(out.proves, groups, false);
  return true;
}

MarkUse use_of(bool decimal, bool groups, bool other_decimal, bool other_groups) {
  if (decimal == groups) return MarkUse::unknown;
  if (decimal) return other_decimal ? MarkUse::unknown : MarkUse::decimal;
  return other_groups ? MarkUse::unknown : MarkUse::groups;
}

NumberMarks marks_of(const MarkProofs& proofs) {
  return {.point = use_of(proofs.point_decimal, proofs.point_groups, proofs.comma_decimal,
                          proofs.comma_groups),
          .comma = use_of(proofs.comma_decimal, proofs.comma_groups, proofs.point_decimal,
                          proofs.point_groups)};
}

}  // namespace

void MarkProofs::add(const MarkProofs& other) {
  point_decimal |= other.point_decimal;
  point_groups |= other.point_groups;
  comma_decimal |= other.comma_decimal;
  comma_groups |= other.comma_groups;
}

NumberMarks marks_of(const MarkProofs& table, const MarkProofs& around) {
  const NumberMarks near = marks_of(table);
  MarkProofs all = around;
  all.add(table);
  NumberMarks out = marks_of(all);
  if (table.point_decimal || table.point_groups) out.point = near.point;
  if (table.comma_decimal || table.comma_groups) out.comma = near.comma;
  return out;
}

WrittenNumber written_number(std::string text, const NumberMarks& marks) {
  WrittenNumber out;
  join_power_of_ten(text);
  if (text.empty() || text.find_first_not_of("0123456789+-.,eE") != std::string::npos) return out;
  const size_t begin = text.starts_with('-') ? 1 : 0;
  const size_t end = std::min(text.find_first_of("eE"), text.size());
  const std::string sign = text.substr(0, begin), exponent = text.substr(end);
  const std::string mantissa = end > begin ? text.substr(begin, end - begin) : std::string();
  if (mantissa.find_first_of("0123456789") == std::string::npos) return out;  // "." is none
  const bool has_point = mantissa.find('.') != std::string::npos;
  const bool has_comma = mantissa.find(',') != std::string::npos;
  Digits digits{.whole = mantissa, .decimals = {}};
  bool fits = true;
  if (has_point && has_comma) {
    fits = split_two_kinds(mantissa, out, digits);
  } else if (has_point || has_comma) {
    const MarkUse use = has_point ? marks.point : marks.comma;
    fits = split_one_kind(mantissa, has_point ? '.' : ',', !exponent.empty(), use, out, digits);
  }
  if (digits.whole.empty()) digits.whole = "0";
  if (digits.decimals.empty()) digits.decimals = "0";
  const auto is_number = [](const std::string& json) {
    return Json::parse(json, nullptr, /*allow_exceptions=*/false).is_number();
  };
  const std::string json =
      sign + digits.whole + (digits.has_decimals ? "." + digits.decimals : "") + exponent;
  if (fits && is_number(json)) {
    out.json = json;
    return out;
  }
  out.proves = {};  // of what is no number
  for (std::string& reading : out.readings) reading = sign + reading;
  return out;
}

bool all_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

void trim(std::string& text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\n'; };
  while (!text.empty() && is_space(text.back())) text.pop_back();
  while (!text.empty() && is_space(text.front())) text.erase(0, 1);
}

void replace_all(std::string& text, std::string_view what, std::string_view with) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
}

}  // namespace greta::runner
