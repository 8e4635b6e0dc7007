#include "spec/adapter.h"

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "contract/text.h"
#include "spec/flat_spec.h"
#include "spec/spec_reader.h"
#include "spec/spec_text.h"
#include "spec/yaml_node.h"
#include "store/store.h"

namespace greta::runner {
namespace {

constexpr std::string_view kFlagPrefix = "flags.";

// Walks a template: literal text to `literal`, each {name} to `name`. Answers what is wrong, or "".
std::string walk_template(std::string_view text,
                          const std::function<void(std::string_view)>& literal,
                          const std::function<void(std::string_view)>& name) {
  for (size_t i = 0; i < text.size();) {
    const size_t brace = text.find_first_of("{}", i);
    literal(text.substr(i, brace - i));  // npos - i: to the end
    if (brace == text.npos) return {};
    if (text.substr(brace, 2) == "{{" || text.substr(brace, 2) == "}}") {
      literal(text.substr(brace, 1));
      i = brace + 2;
      continue;
    }
    const size_t end = text.find('}', brace);
    if (text[brace] == '}' || end == text.npos) {
      return "a brace that is no placeholder (a plain one is written `{{` or `}}`)";
    }
    name(text.substr(brace + 1, end - brace - 1));
    i = end + 1;
  }
  return {};
}

bool is_flag_placeholder(std::string_view name) {
  return name.starts_with(kFlagPrefix) && is_identifier(name.substr(kFlagPrefix.size()));
}

void check_template(const YamlNode& node, std::string_view path, Problems& problems) {
  const auto no_text = [](std::string_view) {};
  const auto check_name = [&](std::string_view name) {
    const auto& known = placeholder_names();
    if (is_flag_placeholder(name)) return;
    if (std::find(known.begin(), known.end(), name) != known.end()) return;
    problems.add(node.place, "unknown placeholder {" + printable(name) + "} in `" +
                                 std::string(path) + "`" + did_you_mean(name, known) +
                                 "; a plain brace is written `{{`");
  };
  const std::string wrong = walk_template(node.text, no_text, check_name);
  if (!wrong.empty()) problems.add(node.place, "`" + std::string(path) + "`: " + wrong);
}

void read_argv(const YamlNode& node, Adapter& adapter, Problems& problems) {
  const size_t before = problems.size();
  adapter.argv = read_texts(node, "argv", OneIsEnough::no, problems);
  if (problems.size() > before) return;
  for (const YamlNode& item : node.items) check_template(item, "argv", problems);
  if (adapter.argv.empty()) {
    problems.add(node.place, "`argv` is empty: nothing would run");
  } else if (adapter.argv[0].find("{engine}") == std::string::npos) {
    // Else the program that runs would not be the one that was built and hashed.
    const bool named = mentions(adapter, "engine");
    if (!named) problems.add(node.place, "`argv` does not mention {engine}, the program to run");
  }
}

void read_env(const YamlNode& node, Adapter& adapter, Problems& problems) {
  if (!expect_kind(node, YamlNode::Kind::map, "env", "a map of names to texts", problems)) return;
  for (const auto& [name, place, value] : node.entries) {
    if (!is_identifier(name)) {
      problems.add(place, "`" + printable(name) + "` is no name of an environment variable");
      continue;
    }
    if (const auto text = read_text(value, "env." + name, problems)) {
      check_template(value, "env." + name, problems);
      adapter.env[name] = *text;
    }
  }
}

void read_outputs(const YamlNode& node, Adapter& adapter, Problems& problems) {
  if (!expect_kind(node, YamlNode::Kind::list, "outputs", "a list of {glob, kind, optional}",
                   problems))
    return;
  for (size_t i = 0; i < node.items.size(); ++i) {
    const std::string name = "outputs[" + std::to_string(i) + "]";
    MapReader map(node.items[i], name, "output", problems);
    if (!map.valid()) continue;
    Adapter::OutputRule rule;
    const YamlNode* glob = map.get("glob");
    if (glob == nullptr) {
      if (!node.items[i].find("glob")) {
        problems.add(node.items[i].place, "missing key `glob` in `" + name + "`");
      }
      continue;
    }
    if (const auto text = read_text_not_empty(*glob, map.path("glob"), problems)) {
      if (text->starts_with("/") || ("/" + *text + "/").find("/../") != std::string::npos) {
        problems.add(glob->place, "`" + map.path("glob") + "` must stay below the output folder");
      }
      rule.glob = *text;
    }
    if (const YamlNode* kind = map.get("kind")) {
      if (kind->kind == YamlNode::Kind::scalar && is_identifier(kind->text)) {
        rule.kind = kind->text;
      } else {
        problems.add(kind->place, "`" + map.path("kind") +
                                      "` must be a name of letters, digits and `_`, got " +
                                      describe(*kind));
      }
    }
    if (const YamlNode* optional = map.get("optional")) {
      rule.optional = read_boolean(*optional, map.path("optional"), problems).value_or(false);
    }
    adapter.outputs.push_back(std::move(rule));
  }
}

void read_flags(const YamlNode& node, Adapter& adapter, Problems& problems) {
  if (!expect_kind(node, YamlNode::Kind::map, "flags", "a map of names to `any` or choices",
                   problems)) {
    return;
  }
  for (const auto& [name, place, value] : node.entries) {
    if (!is_identifier(name)) {
      problems.add(place, "`" + printable(name) + "` is no name of a flag: letters, digits, `_`");
      continue;
    }
    const std::string path = "flags." + name;
    auto& choices = adapter.flags[name];
    if (value.kind == YamlNode::Kind::scalar && value.text == "any") continue;
    if (!expect_kind(value, YamlNode::Kind::list, path, "`any` or a list of choices", problems))
      continue;
    choices = read_texts(value, path, OneIsEnough::no, problems);
    if (value.items.empty()) problems.add(value.place, "`" + path + "` has no choices (`any`?)");
  }
}

void read_program(const YamlNode& root, MapReader& map, Adapter& adapter, Problems& problems) {
  for (const auto& [key, value] :
       {std::pair{"image", &adapter.image}, std::pair{"program", &adapter.program}}) {
    const YamlNode* node = map.get(key);
    if (node != nullptr) {
      *value = read_text_not_empty(*node, map.path(key), problems).value_or("");
    }
  }
  const auto* image = root.find_entry("image");
  if (image != nullptr && root.find("program") == nullptr) {
    problems.add(image->place, "`" + map.path("image") + "` needs `program`, which of it to run");
  }
}

}  // namespace

Adapter adapter_of(const YamlNode& root, const std::string& path, Problems& problems) {
  Adapter adapter;
  MapReader map(root, path, "adapter", problems);
  if (!map.valid()) return adapter;
  if (const YamlNode* schema = map.get("schema")) read_whole(*schema, "schema", 1, 1, problems);
  if (const YamlNode* name = map.get("name")) {
    adapter.name = read_name(*name, "name", problems).value_or("");
    if (adapter.name == "greta") {
      problems.add(name->place, "`greta` is the built-in adapter; give this one another name");
    }
  } else if (!root.find("name")) {
    problems.add(root.place, "missing key `name`");
  }
  if (const YamlNode* argv = map.get("argv")) {
    read_argv(*argv, adapter, problems);
  } else if (!root.find("argv")) {
    problems.add(root.place, "missing key `argv`");
  }
  read_program(root, map, adapter, problems);
  if (const YamlNode* env = map.get("env")) read_env(*env, adapter, problems);
  if (const YamlNode* outputs = map.get("outputs")) read_outputs(*outputs, adapter, problems);
  if (const YamlNode* flags = map.get("flags")) read_flags(*flags, adapter, problems);
  if (const YamlNode* any = map.get("any_flags")) {
    adapter.any_flags = read_boolean(*any, "any_flags", problems).value_or(false);
  }
  if (const YamlNode* mode = map.get("requests")) {
    adapter.request_mode =
        read_choice(*mode, "requests", {"file", "one"}, problems).value_or("file");
  }
  if (adapter.request_mode == "file") {
    for (const char* name : {"prompt", "prompt_file", "prompt_id"}) {
      if (!mentions(adapter, name)) continue;
      problems.add(root.place,
                   std::string("{") + name + "} stands for one prompt and needs `requests: one`");
    }
  }
  // Not the file's bytes: a comment changes no result.
  const nlohmann::json sorted = texts_of(root);
  adapter.json = sorted.dump();
  adapter.sha256 = store::sha256_hex(adapter.json);
  return adapter;
}

const std::vector<std::string>& placeholder_names() {
  static const std::vector<std::string> kNames = {
      "engine",   "model",   "requests",   "out",    "threads",     "backend",
      "numerics", "kv_type", "max_tokens", "prompt", "prompt_file", "prompt_id"};
  return kNames;
}

Adapter builtin_adapter() {
  Adapter adapter;
  adapter.name = "greta";
  adapter.argv = {"{engine}",   "run",          "--model",     "{model}",   "--requests",
                  "{requests}", "--out",        "{out}",       "--backend", "{backend}",
                  "--numerics", "{numerics}",   "--kv-type",   "{kv_type}", "--threads",
                  "{threads}",  "--max-tokens", "{max_tokens}"};
  adapter.outputs = {{.glob = "*.jsonl", .kind = {}}};
  adapter.sha256 = store::sha256_hex(nlohmann::json(adapter.argv).dump());
  return adapter;
}

Result<Adapter> load_adapter(const std::filesystem::path& file, const std::string& shown) {
  TRY_ASSIGN(const std::string text, read_text_file(file, shown, kMostYamlBytes));
  Problems problems;
  const YamlNode root = parse_yaml(text, shown, problems);
  Adapter adapter;
  if (problems.empty()) adapter = adapter_of(root, "", problems);
  if (!problems.empty()) return tl::unexpected(problems.error());
  adapter.file = file;
  return adapter;
}

bool mentions(const Adapter& adapter, std::string_view name) {
  bool found = false;
  const auto no_text = [](std::string_view) {};
  const auto compare = [&](std::string_view placeholder) { found |= placeholder == name; };
  for (const std::string& argument : adapter.argv) walk_template(argument, no_text, compare);
  for (const auto& [variable, value] : adapter.env) walk_template(value, no_text, compare);
  return found;
}

Result<std::string> fill_template(std::string_view text,
                                  const std::map<std::string, std::string>& values) {
  std::string out, missing;
  const auto literal = [&](std::string_view part) { out += part; };
  const auto value = [&](std::string_view name) {
    const auto found = values.find(std::string(name));
    if (found != values.end()) {
      out += found->second;
    } else if (!is_flag_placeholder(name)) {
      missing = name;
    }
  };
  const std::string wrong = walk_template(text, literal, value);
  if (!wrong.empty()) return fail(Exit::usage, "`" + printable(text) + "`: " + wrong);
  if (!missing.empty()) {
    return fail(Exit::usage, "{" + printable(missing) + "} has no value here");
  }
  return out;
}

Result<std::vector<std::string>> fill_argv(const Adapter& adapter,
                                           const std::map<std::string, std::string>& values) {
  std::vector<std::string> argv;
  for (const std::string& argument : adapter.argv) {
    TRY_ASSIGN(std::string filled, fill_template(argument, values));
    const bool only_a_flag = argument.starts_with("{" + std::string(kFlagPrefix)) &&
                             argument.find('}') == argument.size() - 1;
    if (filled.empty() && only_a_flag) continue;
    argv.push_back(std::move(filled));
  }
  return argv;
}

}  // namespace greta::runner
