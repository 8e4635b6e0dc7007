#include "past/report_cell.h"

#include <algorithm>
#include <array>
#include <utility>

#include "past/past_names.h"

namespace greta::runner {
namespace {

constexpr size_t kLongestNumber = 64;  // with its unit

using Written = std::pair<std::string_view, std::string_view>;

bool take_front(std::string& text, std::string_view front) {
  if (!text.starts_with(front)) return false;
  text.erase(0, front.size());
  trim(text);
  return true;
}

void replace_all(std::string& text, std::string_view what, std::string_view with) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
}

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

// Commas (or, with a comma behind them, dots) between groups of three digits away, and a decimal
// comma as a dot. False where the text has two readings.
bool settle_commas(std::string& text) {
  const size_t comma = text.find(',');
  if (comma == std::string::npos) return true;
  const size_t begin = text.starts_with('-') ? 1 : 0;
  const size_t end = std::min(text.find_first_of("eE"), text.size());
  const size_t dot = text.find('.'), last = text.rfind(',');
  const char mark = dot != std::string::npos && dot < comma ? '.' : ',';
  const bool decimal_comma = mark == '.' || (comma == last && dot == std::string::npos);
  const size_t whole = decimal_comma ? comma : std::min(dot, end);
  if (decimal_comma && (comma != last || !all_digits(text.substr(comma + 1, end - comma - 1))))
    return false;
  std::string digits;
  size_t group_begin = begin;
  bool first = true;
  for (size_t at = begin; at <= whole; ++at) {
    if (at < whole && text[at] != mark) continue;
    const std::string group = text.substr(group_begin, at - group_begin);
    const bool fits = all_digits(group) && (first ? group.size() <= 3 : group.size() == 3);
    const bool ungrouped = first && at == whole && all_digits(group);
    if (!fits && !ungrouped) return false;
    digits += group;
    first = false;
    group_begin = at + 1;
  }
  // 1,234 is a thousand or one and a bit.
  const bool two_readings = decimal_comma && mark == ',' && end - comma - 1 == 3 &&
                            whole - begin <= 3 && text[begin] != '0';
  if (two_readings) return false;
  const std::string fraction = whole < end ? "." + text.substr(whole + 1, end - whole - 1) : "";
  text = text.substr(0, begin) + digits + fraction + text.substr(end);
  return true;
}

// The number that a text is, in the form of JSON; "" when it is none, or has two readings.
std::string number_in(std::string text) {
  join_power_of_ten(text);
  if (text.empty() || text.find_first_not_of("0123456789+-.,eE") != std::string::npos) return {};
  if (!settle_commas(text)) return {};
  const size_t begin = text.starts_with('-') ? 1 : 0;
  if (text.find_first_of("0123456789") >= text.find_first_of("eE")) return {};  // "." is none
  if (text.substr(begin).starts_with('.')) text.insert(begin, "0");
  const size_t end = std::min(text.find_first_of("eE"), text.size());
  if (end > begin && text[end - 1] == '.') text.insert(end, "0");
  return Json::parse(text, nullptr, /*allow_exceptions=*/false).is_number() ? text : std::string();
}

}  // namespace

bool all_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::string unit_of(std::string_view text) {
  constexpr Written kUnits[] = {
      {"s", "s"},         {"ms", "ms"},       {"us", "us"},          {"µs", "us"},
      {"min", "min"},     {"h", "h"},         {"%", "percent"},      {"x", "x"},
      {"×", "x"},         {"GB", "GB"},       {"GiB", "GiB"},        {"MB", "MB"},
      {"MiB", "MiB"},     {"KB", "KB"},       {"KiB", "KiB"},        {"B", "bytes"},
      {"bytes", "bytes"}, {"tok/s", "tok/s"}, {"tokens/s", "tok/s"}, {"GB/s", "GB/s"}};
  for (const auto& [name, unit] : kUnits)
    if (name == text) return std::string(unit);
  return {};
}

void trim(std::string& text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\n'; };
  while (!text.empty() && is_space(text.back())) text.pop_back();
  while (!text.empty() && is_space(text.front())) text.erase(0, 1);
}

ReportCell report_cell(std::string_view cell) {
  ReportCell out;
  std::string text(cell);
  trim(text);
  const std::string name = plain_name(text);
  if (text.empty() || text == "-" || text == "—" || text == "–" || name == "n_a" || name == "null")
    return out;
  if (name == "true" || name == "false") {
    out.value = name == "true";
    return out;
  }
  std::string rest = text;
  replace_all(rest, "−", "-");
  for (const auto& [token, value] :
       {std::pair{"nan", "NaN"}, std::pair{"inf", "Infinity"}, std::pair{"infinity", "Infinity"}}) {
    if (name == token) {
      out.value = rest.starts_with('-') ? "-" + std::string(value) : std::string(value);
      return out;
    }
  }
  for (const auto& [sign, bound] :
       {std::pair{"≥", "at_least"}, std::pair{">=", "at_least"}, std::pair{"≤", "at_most"},
        std::pair{"<=", "at_most"}, std::pair{">", "more_than"}, std::pair{"<", "less_than"}}) {
    if (!take_front(rest, sign)) continue;
    out.bound = bound;
    break;
  }
  out.approx = take_front(rest, "~") || take_front(rest, "≈");
  take_front(rest, "+");
  out.printed = number_in(rest);
  if (out.printed.empty()) {
    // The unit is what stands behind the number: "180 s", "2×10⁻³ s", "3x".
    for (size_t end = rest.size();
         end-- > 1 && rest.size() <= kLongestNumber && out.printed.empty();) {
      std::string behind = rest.substr(end), before = rest.substr(0, end);
      trim(behind);
      trim(before);
      out.unit = unit_of(behind);
      if (!out.unit.empty()) out.printed = number_in(before);
    }
  }
  if (out.printed.empty()) return {.value = text, .printed = {}, .unit = {}, .bound = {}};
  out.value = Json::parse(out.printed);
  return out;
}

}  // namespace greta::runner
