#include "spec/spec_matrix.h"

#include <algorithm>

#include "contract/text.h"
#include "spec/spec_reader.h"

namespace greta::runner {
namespace {

constexpr std::string_view kDecodePrefix = "decode.";
constexpr int64_t kMostTokens = 1'000'000, kMostThreads = 4096;

bool is_greta(const Spec& spec) { return spec.engine.adapter.name == "greta"; }

std::string value_path(const std::string& path, size_t index) {
  return path + "[" + std::to_string(index) + "]";
}

// The value of a flag, as text exactly as written.
std::optional<std::string> flag_value(const YamlNode& node, const std::string& path,
                                      const Place& key_place, Problems& problems) {
  if (node.kind == YamlNode::Kind::null) {
    problems.add(key_place, "`" + path + "` has no value (for an empty one write \"\")");
    return std::nullopt;
  }
  if (!expect_kind(node, YamlNode::Kind::scalar, path, "one value", problems)) return std::nullopt;
  return node.text;
}

// What can be known of a flag's name without asking the engine.
bool check_flag_name(const std::string& name, const Place& place, const Spec& spec,
                     Problems& problems) {
  const Adapter& adapter = spec.engine.adapter;
  if (name == "GRETA_STORE") {
    problems.add(place, "`GRETA_STORE` is the runner's own and is never passed to an engine");
    return false;
  }
  if (is_greta(spec)) {
    if (is_identifier(name) && name.starts_with("GRETA_")) return true;
    problems.add(place, "`" + printable(name) + "` is no flag: greta's begin with GRETA_" +
                            (is_identifier(name) ? "; other variables go under `env`" : ""));
    return false;
  }
  if (adapter.any_flags ? is_identifier(name) : adapter.flags.contains(name)) return true;
  std::vector<std::string> known;
  for (const auto& [flag, choices] : adapter.flags) known.push_back(flag);
  problems.add(place, "adapter `" + adapter.name + "` knows no flag `" + printable(name) + "`" +
                          did_you_mean(name, known));
  return false;
}

void check_flag_value(const std::string& name, const YamlNode& value, const Spec& spec,
                      Problems& problems) {
  const auto known = spec.engine.adapter.flags.find(name);
  if (known == spec.engine.adapter.flags.end() || known->second.empty()) return;
  read_choice(value, name, known->second, problems);
}

// A value of decode.KEY; used for the section and for axes.
bool check_decode_value(const std::string& key, const std::string& path, const YamlNode& value,
                        const Spec& spec, Problems& problems) {
  if (key == "threads") return read_whole(value, path, 1, kMostThreads, problems).has_value();
  if (key == "max_tokens") return read_whole(value, path, 1, kMostTokens, problems).has_value();
  if (!is_greta(spec)) return read_text_not_empty(value, path, problems).has_value();
  return read_choice(value, path, decode_choices(key), problems).has_value();
}

// Name of an axis: a flag, or decode.KEY.
bool check_axis(const std::string& axis, const Place& place, const Spec& spec, Problems& problems) {
  const auto& known = decode_axes();
  if (std::find(known.begin(), known.end(), axis) != known.end()) return true;
  if (axis.find('.') == std::string::npos) return check_flag_name(axis, place, spec, problems);
  problems.add(place, "`" + printable(axis) + "` cannot be an axis of the matrix" +
                          did_you_mean(axis, known));
  return false;
}

}  // namespace

const std::vector<std::string>& decode_axes() {
  static const std::vector<std::string> kAxes = {"decode.backend", "decode.numerics",
                                                 "decode.kv_type", "decode.threads"};
  return kAxes;
}

const std::vector<std::string>& decode_choices(std::string_view key) {
  static const std::map<std::string, std::vector<std::string>, std::less<>> kChoices = {
      {"backend", {"auto", "ref", "cpu", "cpu+emu", "emu", "cuda", "hip"}},
      {"numerics", {"strict", "fast"}},
      {"kv_type", {"f32", "f16", "bf16"}},
      {"threads", {}},
      {"max_tokens", {}},
  };
  return kChoices.find(key)->second;
}

void read_decode(const YamlNode& node, Spec& spec, Problems& problems) {
  MapReader map(node, "decode", "decode", problems);
  if (!map.valid()) return;
  const auto read = [&](const std::string& key) -> const YamlNode* {
    const YamlNode* value = map.get(key);
    if (value == nullptr) return nullptr;
    spec.places["decode." + key] = value->place;
    return check_decode_value(key, map.path(key), *value, spec, problems) ? value : nullptr;
  };
  if (const auto* v = read("max_tokens")) spec.decode.max_tokens = *parse_whole(v->text);
  if (const auto* v = read("threads")) spec.decode.threads = *parse_whole(v->text);
  if (const auto* v = read("backend")) spec.decode.backend = v->text;
  if (const auto* v = read("numerics")) spec.decode.numerics = v->text;
  if (const auto* v = read("kv_type")) spec.decode.kv_type = v->text;
}

void read_flags(const YamlNode& node, Spec& spec, Problems& problems) {
  if (!expect_kind(node, YamlNode::Kind::map, "flags", "a map of flags to values", problems))
    return;
  for (const auto& [name, place, value] : node.entries) {
    if (!check_flag_name(name, place, spec, problems)) continue;
    const auto text = flag_value(value, name, place, problems);
    if (!text) continue;
    check_flag_value(name, value, spec, problems);
    spec.flags[name] = *text;
    spec.flag_places[name] = place;
  }
}

void read_env(const YamlNode& node, Spec& spec, Problems& problems) {
  if (!expect_kind(node, YamlNode::Kind::map, "env", "a map of names to texts", problems)) return;
  for (const auto& [name, place, value] : node.entries) {
    if (!is_identifier(name)) {
      problems.add(place, "`" + printable(name) + "` is no name of an environment variable");
    } else if (name.starts_with("GRETA_")) {
      problems.add(place, "`" + printable(name) + "` belongs under `flags`, where it is checked");
    } else if (const auto text = flag_value(value, "env." + name, place, problems)) {
      spec.env[name] = *text;
      spec.places["env." + name] = place;
    }
  }
}

void read_matrix(const YamlNode& node, Spec& spec, Problems& problems) {
  if (!expect_kind(node, YamlNode::Kind::map, "matrix", "a map of axes to lists", problems)) return;
  for (const auto& [axis, place, list] : node.entries) {
    const std::string path = "matrix." + axis;
    if (!check_axis(axis, place, spec, problems)) continue;
    if (const auto fixed = spec.flag_places.find(axis); fixed != spec.flag_places.end()) {
      problems.add(place, "`" + axis + "` is an axis of the matrix and also in `flags` (line " +
                              std::to_string(fixed->second.line) + "): say it once");
    }
    if (const auto fixed = spec.places.find(axis); fixed != spec.places.end()) {
      problems.add(place, "`" + axis + "` is an axis of the matrix and also in `decode` (line " +
                              std::to_string(fixed->second.line) + "): say it once");
    }
    if (!expect_kind(list, YamlNode::Kind::list, path, "a list of values", problems)) continue;
    if (list.items.empty()) problems.add(list.place, "`" + path + "` has no values");
    std::vector<std::string> values;
    for (size_t i = 0; i < list.items.size(); ++i) {
      const YamlNode& item = list.items[i];
      const auto text = flag_value(item, value_path(path, i), item.place, problems);
      if (!text) continue;
      if (std::find(values.begin(), values.end(), *text) != values.end()) {
        problems.add(item.place, "`" + path + "` has `" + printable(*text) + "` twice");
        continue;
      }
      if (axis.starts_with(kDecodePrefix)) {
        check_decode_value(axis.substr(kDecodePrefix.size()), value_path(path, i), item, spec,
                           problems);
      } else {
        check_flag_value(axis, item, spec, problems);
      }
      spec.places[value_path(path, values.size())] = item.place;
      values.push_back(*text);
    }
    spec.places[path] = place;
    spec.matrix.emplace_back(axis, std::move(values));
  }
}

void read_points(const YamlNode& node, const std::string& key,
                 std::vector<std::map<std::string, std::string>>& points, Spec& spec,
                 Problems& problems) {
  if (!expect_kind(node, YamlNode::Kind::list, key, "a list of points of the matrix", problems))
    return;
  std::vector<std::string> axes;
  for (const auto& [axis, values] : spec.matrix) axes.push_back(axis);
  for (size_t i = 0; i < node.items.size(); ++i) {
    const YamlNode& item = node.items[i];
    const std::string path = value_path(key, i);
    if (!expect_kind(item, YamlNode::Kind::map, path, "a map of axes to values", problems))
      continue;
    if (item.entries.empty()) problems.add(item.place, "`" + path + "` is empty");
    spec.places[value_path(key, points.size())] = item.place;
    auto& point = points.emplace_back();
    const std::string in_point = "`" + path + "`: `";
    for (const auto& [axis, place, value] : item.entries) {
      const auto known = std::find(axes.begin(), axes.end(), axis);
      if (known == axes.end()) {
        problems.add(place, in_point + printable(axis) + "` is no axis of the matrix" +
                                did_you_mean(axis, axes));
        continue;
      }
      const auto text =
          flag_value(value, std::string(path).append(".").append(axis), place, problems);
      const auto& values = spec.matrix[static_cast<size_t>(known - axes.begin())].second;
      if (!text) continue;
      if (std::find(values.begin(), values.end(), *text) == values.end()) {
        problems.add(value.place, in_point + axis + "` never is `" + printable(*text) +
                                      "` in the matrix" + did_you_mean(*text, values));
      }
      point[axis] = *text;
    }
  }
}

}  // namespace greta::runner
