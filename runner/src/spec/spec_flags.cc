#include "spec/spec_flags.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "contract/text.h"
#include "spec/spec_matrix.h"
#include "spec/spec_reader.h"
#include "spec/yaml_problems.h"

namespace greta::runner {
namespace {

// One row of the engine's flag table.
struct FlagRow {
  std::string name, type;
  std::vector<std::string> choices;
  std::optional<int64_t> min, max;
};

Result<std::vector<FlagRow>> read_table(const nlohmann::json& describe) {
  std::vector<FlagRow> rows;
  try {
    for (const auto& flag : describe.at("flags")) {
      FlagRow row;
      row.name = flag.at("name");
      row.type = flag.value("type", "text");
      if (flag.contains("choices")) row.choices = flag.at("choices");
      if (flag.contains("min")) row.min = flag.at("min").get<int64_t>();
      if (flag.contains("max")) row.max = flag.at("max").get<int64_t>();
      rows.push_back(std::move(row));
    }
  } catch (const nlohmann::json::exception& e) {
    return fail(Exit::usage,
                std::string("the engine's description has no usable flag table: ") + e.what());
  }
  return rows;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

bool contains(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> items;
  size_t from = 0;
  for (size_t comma; (comma = text.find(',', from)) != std::string::npos; from = comma + 1) {
    items.push_back(text.substr(from, comma - from));
  }
  items.push_back(text.substr(from));
  return items;
}

// "last", "7" or "4-7"
bool is_range(const std::string& item) {
  if (item == "last") return true;
  const size_t dash = item.find('-');
  const auto first = parse_whole(item.substr(0, dash));
  const auto last = dash == std::string::npos ? first : parse_whole(item.substr(dash + 1));
  return first && last && *first <= *last;
}

// "prefill_last", "decode", "decode12"
bool is_phase(const std::string& item) {
  if (item == "prefill_last" || item == "decode") return true;
  return item.starts_with("decode") && parse_whole(item.substr(6)).has_value();
}

// Names an item that `good` refuses; "all" is always right.
template <class Good>
std::string check_items(const std::string& value, const std::string& wish,
                        const std::vector<std::string>& near, const Good& good) {
  if (value == "all") return {};
  for (const std::string& item : split(value)) {
    if (good(item)) continue;
    return "wants " + wish + "; `" + printable(item) + "` is neither" + did_you_mean(item, near);
  }
  return {};
}

// What is wrong with the value, or "". Types that this greta does not know are the engine's
// business.
std::string wrong_value(const FlagRow& flag, const std::string& value) {
  static const std::vector<std::string> kBooleans = {"0",  "1",  "true", "false", "yes",
                                                     "no", "on", "off",  "y",     "n"};
  const std::string got = ", got `" + printable(value) + "`";
  if (flag.type == "boolean") {
    return contains(kBooleans, lower(value)) ? "" : "wants 0 or 1" + got;
  }
  if (flag.type == "integer") {
    const auto number = parse_whole(value);
    if (number && *number >= flag.min.value_or(0) && *number <= flag.max.value_or(INT64_MAX))
      return {};
    return "wants a whole number" +
           (flag.min && flag.max
                ? " from " + std::to_string(*flag.min) + " to " + std::to_string(*flag.max)
                : std::string()) +
           got;
  }
  if (flag.type == "choice") {
    if (contains(flag.choices, value)) return {};
    return "wants one of " + joined(flag.choices) + got + did_you_mean(value, flag.choices);
  }
  if (flag.type == "list" && !flag.choices.empty()) {
    return check_items(value, "all, or a list of " + joined(flag.choices), flag.choices,
                       [&](const std::string& item) { return contains(flag.choices, item); });
  }
  if (flag.type == "heads" && value.empty()) return {};
  if (flag.type == "layers" || flag.type == "heads" || flag.type == "positions") {
    return check_items(value, "all, or a list of " + flag.type + ", ranges such as 4-7 and last",
                       {"all", "last"}, is_range);
  }
  if (flag.type == "phases") {
    return check_items(value, "all, or a list of prefill_last, decode, decode0, decode1 …",
                       {"all", "prefill_last", "decode", "decode0"}, is_phase);
  }
  return {};
}

Place place_of(const std::map<std::string, Place>& places, const std::string& key,
               const Spec& spec) {
  const auto found = places.find(key);
  return found == places.end() ? Place{spec.file.string(), 0, 0} : found->second;
}

}  // namespace

Result<> check_flags(const Spec& spec, const EngineSpec& engine, const nlohmann::json& describe) {
  TRY_ASSIGN(const std::vector<FlagRow> table, read_table(describe));
  std::vector<std::string> names;
  names.reserve(table.size());
  for (const FlagRow& row : table) names.push_back(row.name);

  Problems problems;
  const auto find_row = [&](const std::string& name, const Place& place) -> const FlagRow* {
    const auto row =
        std::find_if(table.begin(), table.end(), [&](const FlagRow& r) { return r.name == name; });
    if (row != table.end()) return &*row;
    problems.add(place,
                 "the engine has no flag `" + printable(name) + "`" + did_you_mean(name, names));
    return nullptr;
  };
  const auto check_value = [&](const FlagRow& row, const std::string& value, const Place& place) {
    const std::string wrong = wrong_value(row, value);
    if (!wrong.empty()) problems.add(place, "`" + row.name + "` " + wrong);
  };

  for (const auto& [name, value] : spec.flags) {
    const Place place = place_of(spec.flag_places, name, spec);
    if (const FlagRow* row = find_row(name, place)) check_value(*row, value, place);
  }
  for (const auto& [name, value] : engine.flags) {
    const Place place = place_of(spec.places, "engines." + engine.name + ".flags." + name, spec);
    if (const FlagRow* row = find_row(name, place)) check_value(*row, value, place);
  }
  for (const auto& [axis, values] : spec.matrix) {
    if (axis.starts_with("decode.") || axis == kEngineAxis) continue;
    const std::string path = "matrix." + axis;
    const FlagRow* row = find_row(axis, place_of(spec.places, path, spec));
    for (size_t i = 0; row != nullptr && i < values.size(); ++i) {
      check_value(*row, values[i],
                  place_of(spec.places, path + "[" + std::to_string(i) + "]", spec));
    }
  }
  if (!problems.empty()) return tl::unexpected(problems.error());
  return {};
}

}  // namespace greta::runner
