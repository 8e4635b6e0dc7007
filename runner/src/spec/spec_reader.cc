#include "spec/spec_reader.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <span>

#include "contract/text.h"
#include "spec/spec_keys.h"

namespace greta::runner {
namespace {

bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

void wrong(const YamlNode& node, std::string_view name, std::string_view wish, Problems& problems) {
  problems.add(node.place, "`" + std::string(name) + "` must be " + std::string(wish) + ", got " +
                               describe(node));
}

struct Unit {
  std::string_view name;
  double factor;
};

// "1h30m": numbers with units, largest unit first, each at most once. Nothing when it is not that.
std::optional<double> parse_units(std::string_view text, std::span<const Unit> units, size_t most) {
  double total = 0;
  size_t next = 0, parts = 0;
  while (!text.empty()) {
    size_t digits = 0;
    while (digits < text.size() && is_digit(text[digits])) ++digits;
    const auto count = parse_whole(text.substr(0, digits));
    text.remove_prefix(digits);
    size_t letters = 0;
    while (letters < text.size() && is_alpha(text[letters])) ++letters;
    const std::string_view unit = text.substr(0, letters);
    text.remove_prefix(letters);
    while (next < units.size() && units[next].name != unit) ++next;
    if (!count || next == units.size() || ++parts > most) return std::nullopt;
    total += static_cast<double>(*count) * units[next++].factor;
  }
  return parts == 0 ? std::nullopt : std::optional(total);
}

}  // namespace

MapReader::MapReader(const YamlNode& node, std::string name, std::string_view section,
                     Problems& problems)
    : node_(node), name_(std::move(name)), problems_(problems) {
  const std::string shown = name_.empty() ? "the file" : "`" + name_ + "`";
  if (node.kind != YamlNode::Kind::map) {
    problems.add(node.place, shown + " must be a map, got " + describe(node));
    return;
  }
  valid_ = true;
  const auto& keys = keys_of(section);
  for (const auto& entry : node.entries) {
    if (std::find(keys.begin(), keys.end(), entry.key) != keys.end()) continue;
    has_unknown_keys_ = true;
    std::string message = "unknown key `" + printable(entry.key) + "`";
    std::string hint = did_you_mean(entry.key, keys);
    if (!name_.empty()) {
      message += " in `" + name_ + "`";
      if (hint.empty()) hint = "; it has " + joined(keys);
    }
    problems.add(entry.place, message + hint);
  }
}

const YamlNode* MapReader::get(std::string_view key) {
  const YamlNode* value = valid_ ? node_.find(key) : nullptr;
  if (value == nullptr || value->kind != YamlNode::Kind::null) return value;
  problems_.add(node_.find_entry(key)->place, "`" + path(key) + "` has no value");
  return nullptr;
}

std::string MapReader::path(std::string_view key) const {
  return name_.empty() ? std::string(key) : name_ + "." + std::string(key);
}

bool expect_kind(const YamlNode& node, YamlNode::Kind kind, std::string_view name,
                 std::string_view what, Problems& problems) {
  if (node.kind == kind) return true;
  wrong(node, name, what, problems);
  return false;
}

std::optional<std::string> read_text(const YamlNode& node, std::string_view name,
                                     Problems& problems) {
  if (!expect_kind(node, YamlNode::Kind::scalar, name, "a text", problems)) return std::nullopt;
  return node.text;
}

std::optional<std::string> read_text_not_empty(const YamlNode& node, std::string_view name,
                                               Problems& problems) {
  auto text = read_text(node, name, problems);
  if (!text || !text->empty()) return text;
  problems.add(node.place, "`" + std::string(name) + "` is empty");
  return std::nullopt;
}

std::optional<std::string> read_words(const YamlNode& node, std::string_view name,
                                      Problems& problems) {
  const bool number = !node.quoted && parse_number(node.text).has_value();
  if (node.kind != YamlNode::Kind::scalar || !(number || is_boolean(node)))
    return read_text_not_empty(node, name, problems);
  problems.add(node.place, "`" + std::string(name) + "` must be a text, got the " +
                               (number ? "number " : "boolean ") + describe(node) +
                               " (in quotes it is one)");
  return std::nullopt;
}

std::optional<std::string> read_name(const YamlNode& node, std::string_view name,
                                     Problems& problems) {
  if (node.kind == YamlNode::Kind::scalar && is_name(node.text)) return node.text;
  wrong(node, name, "a name of letters, digits, `.`, `_` and `-`", problems);
  return std::nullopt;
}

std::optional<int64_t> read_whole(const YamlNode& node, std::string_view name, int64_t least,
                                  int64_t most, Problems& problems) {
  const auto value = node.kind == YamlNode::Kind::scalar ? parse_whole(node.text) : std::nullopt;
  if (value && *value >= least && *value <= most) return value;
  const bool too_large = value && *value > most;
  wrong(node, name,
        too_large ? "at most " + std::to_string(most) : "a whole number ≥ " + std::to_string(least),
        problems);
  return std::nullopt;
}

std::optional<bool> read_boolean(const YamlNode& node, std::string_view name, Problems& problems) {
  if (node.kind == YamlNode::Kind::scalar && node.text == "true") return true;
  if (node.kind == YamlNode::Kind::scalar && node.text == "false") return false;
  wrong(node, name, "true or false", problems);
  return std::nullopt;
}

std::optional<std::string> read_choice(const YamlNode& node, std::string_view name,
                                       const std::vector<std::string>& choices,
                                       Problems& problems) {
  const bool scalar = node.kind == YamlNode::Kind::scalar;
  if (scalar && std::find(choices.begin(), choices.end(), node.text) != choices.end()) {
    return node.text;
  }
  problems.add(node.place, "`" + std::string(name) + "` must be one of " + joined(choices) +
                               ", got " + describe(node) +
                               (scalar ? did_you_mean(node.text, choices) : ""));
  return std::nullopt;
}

std::optional<double> read_duration(const YamlNode& node, std::string_view name,
                                    Problems& problems) {
  static constexpr std::array<Unit, 4> kUnits = {{{"h", 3600}, {"m", 60}, {"s", 1}, {"ms", 1e-3}}};
  constexpr double kMost = 30 * 24 * 3600.0;
  if (node.kind == YamlNode::Kind::scalar) {
    const auto seconds = parse_units(node.text, kUnits, kUnits.size());
    if (seconds && *seconds > kMost) {
      wrong(node, name, "at most 720h", problems);
      return std::nullopt;
    }
    if (seconds && *seconds > 0) return seconds;
  }
  wrong(node, name, "a time such as `90s`, `10m` or `1h30m`", problems);
  return std::nullopt;
}

std::optional<int64_t> read_size(const YamlNode& node, std::string_view name, Problems& problems) {
  static constexpr std::array<Unit, 8> kUnits = {{{"TiB", 0x1p40},
                                                  {"GiB", 0x1p30},
                                                  {"MiB", 0x1p20},
                                                  {"KiB", 0x1p10},
                                                  {"TB", 1e12},
                                                  {"GB", 1e9},
                                                  {"MB", 1e6},
                                                  {"kB", 1e3}}};
  constexpr double kMost = 0x1p53;  // exact in a double
  if (node.kind == YamlNode::Kind::scalar) {
    const auto bytes = parse_units(node.text, kUnits, 1);
    if (bytes && *bytes > 0 && *bytes <= kMost) return static_cast<int64_t>(*bytes);
  }
  wrong(node, name, "a size such as `8GiB` or `512MiB`", problems);
  return std::nullopt;
}

std::optional<std::string> read_sha256(const YamlNode& node, std::string_view name,
                                       Problems& problems) {
  std::string hex = node.text;
  for (char& c : hex) c = c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  if (node.kind == YamlNode::Kind::scalar && hex.size() == 64 &&
      hex.find_first_not_of("0123456789abcdef") == std::string::npos) {
    return hex;
  }
  wrong(node, name, "a SHA-256 of 64 hex digits", problems);
  return std::nullopt;
}

std::vector<std::string> read_texts(const YamlNode& node, std::string_view name, OneIsEnough one,
                                    Problems& problems) {
  if (one == OneIsEnough::yes && node.kind == YamlNode::Kind::scalar) return {node.text};
  const std::string wish =
      one == OneIsEnough::yes ? "a text or a list of texts" : "a list of texts";
  std::vector<std::string> out;
  if (!expect_kind(node, YamlNode::Kind::list, name, wish, problems)) return out;
  for (size_t i = 0; i < node.items.size(); ++i) {
    const std::string item = std::string(name) + "[" + std::to_string(i) + "]";
    if (auto text = read_text(node.items[i], item, problems)) out.push_back(std::move(*text));
  }
  return out;
}

std::optional<double> parse_number(std::string_view text) {
  double value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  return value;
}

std::optional<int64_t> parse_integer(std::string_view text) {
  int64_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool is_boolean(const YamlNode& node) {
  if (node.kind != YamlNode::Kind::scalar || node.quoted) return false;
  static constexpr std::string_view kBooleans[] = {"true",  "True",  "TRUE",
                                                   "false", "False", "FALSE"};
  return std::find(std::begin(kBooleans), std::end(kBooleans), node.text) != std::end(kBooleans);
}

bool is_identifier(std::string_view text) {
  if (text.empty() || is_digit(text[0])) return false;
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return is_alpha(c) || is_digit(c) || c == '_'; });
}

bool is_name(std::string_view text) {
  if (text.empty() || text.size() > 100 || !(is_alpha(text[0]) || is_digit(text[0]))) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return is_alpha(c) || is_digit(c) || c == '.' || c == '_' || c == '-';
  });
}

std::optional<int64_t> parse_whole(std::string_view text) {
  if (text.empty() || (text.size() > 1 && text[0] == '0') || !is_digit(text[0]))
    return std::nullopt;
  int64_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace greta::runner
