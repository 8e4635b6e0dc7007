#include "spec/spec_matrix.h"

#include <algorithm>

#include "contract/text.h"
#include "spec/spec_reader.h"

namespace greta::runner {
namespace {

constexpr std::string_view kDecodePrefix = "decode.";
constexpr int64_t kMostTokens = 1'000'000, kMostThreads = 4096;

bool all_greta(const Spec& spec) {
  return std::all_of(spec.engines.begin(), spec.engines.end(),
                     [](const EngineSpec& engine) { return engine.adapter.name == "greta"; });
}

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
bool check_flag_name(const std::string& name, const Place& place, const EngineSpec& engine,
                     Problems& problems) {
  const Adapter& adapter = engine.adapter;
  if (name == "GRETA_STORE") {
    problems.add(place, "`GRETA_STORE` is the runner's own and is never passed to an engine");
    return false;
  }
  if (adapter.name == "greta") {
    if (is_identifier(name) && name.starts_with("GRETA_")) return true;
    problems.add(place, "`" + printable(name) + "` is no flag: greta's begin with GRETA_" +
                            (is_identifier(name) ? "; other variables go under `env`" : ""));
    return false;
  }
  if (adapter.any_flags ? is_identifier(name) : adapter.flags.contains(name)) return true;
  std::vector<std::string> known;
  for (const auto& [flag, choices] : adapter.flags) known.push_back(flag);
  problems.add(place,
               "adapter `" + adapter.name + "` knows no flag `" + printable(name) + "`" +
                   did_you_mean(name, known) +
                   (engine.name.empty() ? "" : "; flags of one engine stand under `engines`"));
  return false;
}

// Flags of the spec and axes reach every engine.
bool check_flag_name(const std::string& name, const Place& place, const Spec& spec,
                     Problems& problems) {
  return std::all_of(spec.engines.begin(), spec.engines.end(), [&](const EngineSpec& engine) {
    return check_flag_name(name, place, engine, problems);
  });
}

void check_flag_value(const std::string& name, const YamlNode& value, const EngineSpec& engine,
                      Problems& problems) {
  const auto known = engine.adapter.flags.find(name);
  if (known == engine.adapter.flags.end() || known->second.empty()) return;
  read_choice(value, name, known->second, problems);
}

void check_flag_value(const std::string& name, const YamlNode& value, const Spec& spec,
                      Problems& problems) {
  for (const EngineSpec& engine : spec.engines) check_flag_value(name, value, engine, problems);
}

// A value of decode.KEY; used for the section and for axes.
bool check_decode_value(const std::string& key, const std::string& path, const YamlNode& value,
                        const Spec& spec, Problems& problems) {
  if (key == "threads") return read_whole(value, path, 1, kMostThreads, problems).has_value();
  if (key == "max_tokens") return read_whole(value, path, 1, kMostTokens, problems).has_value();
  if (!all_greta(spec)) return read_text_not_empty(value, path, problems).has_value();
  return read_choice(value, path, decode_choices(key), problems).has_value();
}

// Name of an axis: a flag, or decode.KEY.
bool check_axis(const std::string& axis, const Place& place, const Spec& spec, Problems& problems) {
  const auto& known = decode_axes();
  if (axis == kEngineAxis) return true;  // its values were read with the engines
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

void read_engine_flags(const YamlNode& root, Spec& spec, Problems& problems) {
  for (EngineSpec& engine : spec.engines) {
    const YamlNode* engines = engine.name.empty() ? nullptr : root.find("engines");
    const YamlNode* section = engines == nullptr ? nullptr : engines->find(engine.name);
    const YamlNode* flags = section == nullptr ? nullptr : section->find("flags");
    if (flags == nullptr) continue;
    const std::string path = "engines." + engine.name + ".flags";
    if (!expect_kind(*flags, YamlNode::Kind::map, path, "a map of flags to values", problems))
      continue;
    for (const auto& [name, place, value] : flags->entries) {
      if (!check_flag_name(name, place, engine, problems)) continue;
      const auto text = flag_value(value, path + "." + name, place, problems);
      if (!text) continue;
      check_flag_value(name, value, engine, problems);
      if (const auto fixed = spec.flag_places.find(name); fixed != spec.flag_places.end()) {
        problems.add(place, "`" + name + "` is a flag of `" + engine.name +
                                "` and also in `flags` (line " +
                                std::to_string(fixed->second.line) + "): say it once");
      }
      engine.flags[name] = *text;
      spec.places[path + "." + name] = place;
    }
  }
}

void read_secrets(const YamlNode& node, Spec& spec, Problems& problems) {
  spec.places["secrets"] = node.place;
  for (const std::string& name : read_texts(node, "secrets", OneIsEnough::yes, problems)) {
    if (!is_identifier(name)) {
      problems.add(node.place, "`" + printable(name) + "` is no name of an environment variable");
    } else if (name.starts_with("GRETA_")) {
      problems.add(node.place, "`" + printable(name) + "` is a flag, and flags are kept");
    } else if (spec.env.contains(name)) {
      problems.add(node.place, "`" + name + "` is a secret and also in `env`, which is kept");
    } else if (std::find(spec.secrets.begin(), spec.secrets.end(), name) != spec.secrets.end()) {
      problems.add(node.place, "`secrets` has `" + name + "` twice");
    } else {
      spec.secrets.push_back(name);
    }
  }
  std::sort(spec.secrets.begin(), spec.secrets.end());
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
    for (const EngineSpec& engine : spec.engines) {
      if (!engine.flags.contains(axis)) continue;
      problems.add(place, "`" + axis + "` is an axis of the matrix and also a flag of `" +
                              engine.name + "`: say it once");
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
      } else if (axis != kEngineAxis) {
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
