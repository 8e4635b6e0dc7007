#include "past/report_cell.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "past/past_names.h"

namespace greta::runner {
namespace {

constexpr size_t kLongestNumber = 64;  // with its unit

bool take_front(std::string& text, std::string_view front) {
  if (!text.starts_with(front)) return false;
  text.erase(0, front.size());
  trim(text);
  return true;
}

struct Measured {
  WrittenNumber number;
  std::string unit;
};

// A number and the unit that stands behind it: "180 s", "2×10⁻³ s", "3x".
Measured measured(const std::string& text, const NumberMarks& marks) {
  const auto says = [](const WrittenNumber& number) {
    return !number.json.empty() || !number.readings.empty();
  };
  Measured out{.number = written_number(text, marks), .unit = {}};
  if (says(out.number) || text.size() > kLongestNumber) return out;
  for (size_t end = text.size(); end-- > 1;) {
    std::string behind = text.substr(end), before = text.substr(0, end);
    trim(behind);
    trim(before);
    const std::string unit = unit_of(behind);
    if (unit.empty()) continue;
    WrittenNumber number = written_number(before, marks);
    if (says(number)) return {.number = std::move(number), .unit = unit};
  }
  return out;
}

// "20.1 ± 0.3 ms", "20.1 ms +/- 0.3 ms", "(20.1 ± 0.3) ms". False when it is no such pair.
bool read_spread(std::string text, const NumberMarks& marks, ReportCell& out) {
  for (const std::string_view sign : {"+/-", "+-"}) replace_all(text, sign, "±");
  constexpr std::string_view kSign = "±";
  const size_t at = text.find(kSign);
  if (at == std::string::npos || at == 0) return false;
  std::string unit;
  if (const size_t close = text.find(')'); text[0] == '(' && close != std::string::npos) {
    unit = text.substr(close + 1);
    trim(unit);
    if (!unit.empty() && unit_of(unit).empty()) return false;
    unit = unit_of(unit);
    text = text.substr(1, close - 1);
  }
  const size_t sign = text.find(kSign);
  if (sign == std::string::npos) return false;
  std::string value = text.substr(0, sign), spread = text.substr(sign + kSign.size());
  trim(value);
  trim(spread);
  const Measured a = measured(value, marks), b = measured(spread, marks);
  if (a.number.json.empty() || b.number.json.empty() || b.number.json[0] == '-') return false;
  // "20.1 ± 5 %" are points of a percentage, or a part of 20.1: nothing tells.
  if (a.unit.empty() && b.unit == "percent") return false;
  out.printed = a.number.json;
  out.unit = !a.unit.empty() ? a.unit : !b.unit.empty() ? b.unit : unit;
  out.spread = {.printed = b.number.json, .unit = b.unit.empty() ? out.unit : b.unit};
  out.proves = a.number.proves;
  out.proves.add(b.number.proves);
  return true;
}

}  // namespace

std::string unit_of(std::string_view text) {
  constexpr std::pair<std::string_view, std::string_view> kUnits[] = {
      {"s", "s"},           {"ms", "ms"},         {"us", "us"},         {"µs", "us"},
      {"μs", "us"},         {"ns", "ns"},         {"min", "min"},       {"h", "h"},
      {"%", "percent"},     {"x", "x"},           {"×", "x"},           {"GB", "GB"},
      {"GiB", "GiB"},       {"MB", "MB"},         {"MiB", "MiB"},       {"KB", "KB"},
      {"KiB", "KiB"},       {"B", "B"},           {"M", "M"},           {"bytes", "bytes"},
      {"TB", "TB"},         {"TiB", "TiB"},       {"tok/s", "tok/s"},   {"tokens/s", "tok/s"},
      {"t/s", "tok/s"},     {"tokens", "tokens"}, {"GB/s", "GB/s"},     {"GiB/s", "GiB/s"},
      {"TB/s", "TB/s"},     {"W", "W"},           {"kW", "kW"},         {"J", "J"},
      {"°C", "°C"},         {"MHz", "MHz"},       {"GHz", "GHz"},       {"nats", "nats"},
      {"bits", "bits"},     {"GFLOPS", "GFLOPS"}, {"TFLOPS", "TFLOPS"}, {"GFLOP/s", "GFLOPS"},
      {"TFLOP/s", "TFLOPS"}};
  for (const auto& [name, unit] : kUnits)
    if (name == text) return std::string(unit);
  return {};
}

std::string unit_under(const std::string& unit, std::string_view name) {
  if (unit != "B" && unit != "M") return unit;
  constexpr std::string_view kCounts[] = {"params", "param", "parameters", "parametros"};
  constexpr std::string_view kSizes[] = {
      "size", "sizes", "tamano", "bytes", "mem",   "memory",    "memoria", "ram",     "vram",
      "hbm",  "cache", "buffer", "disk",  "disco", "footprint", "file",    "archivo", "alloc"};
  bool counts = false, sizes = false;
  for (const std::string& word : name_words(name)) {
    counts |= std::find(std::begin(kCounts), std::end(kCounts), word) != std::end(kCounts);
    sizes |= std::find(std::begin(kSizes), std::end(kSizes), word) != std::end(kSizes);
  }
  if (counts == sizes) return {};
  if (counts) return unit == "B" ? "billion" : "million";
  return unit == "B" ? "bytes" : "";
}

bool has_digit(std::string_view text) {
  if (text.find_first_of("0123456789") != std::string_view::npos) return true;
  constexpr std::string_view kSigns[] = {"∞", "½", "¼", "¾", "⅓", "⅔", "⅛", "²", "³", "¹", "⁰"};
  return std::any_of(std::begin(kSigns), std::end(kSigns), [text](std::string_view sign) {
    return text.find(sign) != std::string_view::npos;
  });
}

bool may_be_equal(const ReportCell& a, const ReportCell& b) {
  if (a.value == b.value) return true;
  const auto numbers = [](const ReportCell& cell) {
    std::vector<Json> out;
    if (cell.value.is_number()) out.push_back(cell.value);
    for (const std::string& reading : cell.readings) out.push_back(Json::parse(reading));
    return out;
  };
  const std::vector<Json> of_a = numbers(a), of_b = numbers(b);
  return std::any_of(of_a.begin(), of_a.end(), [&of_b](const Json& one) {
    return std::find(of_b.begin(), of_b.end(), one) != of_b.end();
  });
}

ReportCell report_cell(std::string_view cell, const NumberMarks& marks) {
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
  if (!rest.starts_with("+-") && !rest.starts_with("+/-")) take_front(rest, "+");
  if (!read_spread(rest, marks, out)) {
    const Measured one = measured(rest, marks);
    out.printed = one.number.json;
    out.unit = one.unit;
    out.readings = one.number.readings;
    out.proves = one.number.proves;
  }
  if (out.printed.empty()) {
    return {
        .value = text, .printed = {}, .unit = {}, .bound = {}, .readings = std::move(out.readings)};
  }
  out.value = Json::parse(out.printed);
  return out;
}

}  // namespace greta::runner
