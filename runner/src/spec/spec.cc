#include "spec/spec.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "contract/text.h"
#include "spec/adapter.h"
#include "spec/flat_spec.h"
#include "spec/prompts.h"
#include "spec/spec_engine.h"
#include "spec/spec_expect.h"
#include "spec/spec_extends.h"
#include "spec/spec_keys.h"
#include "spec/spec_matrix.h"
#include "spec/spec_reader.h"
#include "spec/spec_root.h"
#include "spec/vars.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kMostRepeats = 10'000, kMostPids = 1 << 20;

// Reads the merged tree key by key into one Spec.
class SpecReader {
 public:
  SpecReader(const YamlNode& root, const LoadOptions& options, Spec& spec, Problems& problems)
      : root_(root),
        options_(options),
        spec_(spec),
        problems_(problems),
        map_(root, "", "spec", problems) {}

  void read() {
    if (!map_.valid()) return;
    read_milestone();
    read_prose();
    if (const YamlNode* baseline = map_.get("baseline")) read_baseline(*baseline);

    map_.get("engine");
    map_.get("engines");
    const OwnEngine own = own_engines(root_);
    const Roots roots = find_roots(spec_.file.parent_path(), own, options_);
    spec_.root = roots.root;
    read_engines(root_, roots, spec_, problems_);
    if (roots.tree.empty() && own == OwnEngine::no) {
      warn(root_.place,
           "no greta source tree around the spec, the current folder or this program; "
           "name an engine under `engine`");
    }
    if (const YamlNode* model = map_.get("model")) {
      read_model(*model, roots, spec_, problems_);
    } else if (any_mentions({"model"})) {
      missing("model");
    }
    read_prompt_list(roots);

    if (const YamlNode* decode = map_.get("decode")) read_decode(*decode, spec_, problems_);
    if (const YamlNode* flags = map_.get("flags")) read_flags(*flags, spec_, problems_);
    read_engine_flags(root_, spec_, problems_);
    if (const YamlNode* env = map_.get("env")) read_env(*env, spec_, problems_);
    if (const YamlNode* v = map_.get("secrets")) read_secrets(*v, spec_, problems_);
    if (const YamlNode* matrix = map_.get("matrix")) read_matrix(*matrix, spec_, problems_);
    if (const YamlNode* v = map_.get("include")) {
      read_points(*v, "include", spec_.include, spec_, problems_);
    }
    if (const YamlNode* v = map_.get("exclude")) {
      read_points(*v, "exclude", spec_.exclude, spec_, problems_);
    }
    read_execution();
    if (const YamlNode* expect = map_.get("expect")) read_gates(*expect);
  }

 private:
  void warn(const Place& place, const std::string& message) {
    spec_.warnings.push_back(to_string(place) + ": " + message);
  }

  bool any_mentions(std::initializer_list<const char*> names) const {
    return std::any_of(spec_.engines.begin(), spec_.engines.end(), [&](const EngineSpec& engine) {
      return std::any_of(names.begin(), names.end(),
                         [&](const char* name) { return mentions(engine.adapter, name); });
    });
  }

  void missing(const std::string& key) {
    if (root_.find(key) == nullptr) problems_.add(root_.place, "missing key `" + key + "`");
  }

  void read_milestone() {
    const YamlNode* milestone = map_.get("milestone");
    if (milestone == nullptr) return missing("milestone");
    spec_.places["milestone"] = milestone->place;
    spec_.milestone = read_name(*milestone, "milestone", problems_).value_or("");
  }

  // A text, or {en, es}. A text alone is taken for English, the report's fallback.
  nlohmann::json localized(const YamlNode& node, const std::string& key) {
    nlohmann::json out = nlohmann::json::object();
    if (node.kind == YamlNode::Kind::scalar) {
      out["en"] = node.text;
      return out;
    }
    if (node.kind != YamlNode::Kind::map) {
      problems_.add(node.place, "`" + key + "` must be a text or {en, es}, got " + describe(node));
      return out;
    }
    MapReader map(node, key, "prose", problems_);
    for (const std::string& language : keys_of("prose")) {
      const YamlNode* text = map.get(language);
      if (text == nullptr) continue;
      if (auto value = read_text(*text, map.path(language), problems_)) out[language] = *value;
    }
    return out;
  }

  void read_prose() {
    if (const YamlNode* title = map_.get("title"))
      spec_.title_json = localized(*title, "title").dump();
    nlohmann::json prose = nlohmann::json::object();
    for (const std::string& key : prose_keys()) {
      if (const YamlNode* node = map_.get(key)) prose[key] = localized(*node, key);
    }
    spec_.prose_json = prose.dump();
  }

  void read_baseline(const YamlNode& node) {
    spec_.baseline = read_texts(node, "baseline", OneIsEnough::yes, problems_);
    spec_.places["baseline"] = node.place;
    for (const std::string& selector : spec_.baseline) {
      const size_t at = selector.find('@');
      const bool named = is_name(selector.substr(0, at));
      if (named && (at == std::string::npos || is_name(selector.substr(at + 1)))) continue;
      problems_.add(node.place,
                    "`baseline` names milestones such as `B3.20` or `B3.20@recorded`, got `" +
                        printable(selector) + "`");
    }
  }

  void read_prompt_list(const Roots& roots) {
    const YamlNode* list = map_.get("prompts");
    if (list == nullptr) {
      if (any_mentions({"requests", "prompt", "prompt_file", "prompt_id"})) {
        return missing("prompts");
      }
      // An engine that takes no prompt still needs one cell to hold its records.
      Prompt none;
      none.id = "none";
      none.text = "";
      none.place = root_.place;
      hash_prompt(none);
      spec_.prompts.push_back(std::move(none));
      return;
    }
    const fs::path folder = spec_.file.parent_path();
    std::vector<PromptLibrary::File> files;
    const fs::path tree = roots.tree.empty() ? spec_.root : roots.tree;
    // The list may come from a file that this one extends.
    const fs::path list_folder = fs::absolute(list->place.file).lexically_normal().parent_path();
    for (const fs::path& path :
         {list_folder / "prompts.yaml", folder / "prompts.yaml",
          spec_.root / "experiments/prompts.yaml", tree / "experiments/prompts.yaml"}) {
      const auto same = [&](const PromptLibrary::File& file) { return file.path == path; };
      if (std::none_of(files.begin(), files.end(), same)) files.push_back({path, shown_path(path)});
    }
    PromptLibrary library(std::move(files), problems_);
    spec_.prompts = read_prompts(*list, library, {folder, spec_.root}, problems_, spec_.warnings);
  }

  void read_execution() {
    if (const YamlNode* isolation = map_.get("isolation")) {
      const auto text = read_choice(*isolation, "isolation", {"process", "request"}, problems_);
      spec_.isolation = text == "request" ? Isolation::request : Isolation::process;
    }
    for (const EngineSpec& engine : spec_.engines) {
      if (engine.adapter.request_mode == "one") spec_.isolation = Isolation::request;
    }
    if (const YamlNode* repeat = map_.get("repeat")) {
      spec_.repeat = read_whole(*repeat, "repeat", 1, kMostRepeats, problems_).value_or(1);
    }
    Limits& limits = spec_.limits;
    if (const YamlNode* v = map_.get("timeout")) {
      limits.timeout_s = read_duration(*v, "timeout", problems_).value_or(limits.timeout_s);
    }
    const YamlNode* node = map_.get("limits");
    if (node == nullptr) return;
    MapReader map(*node, "limits", "limits", problems_);
    if (const YamlNode* v = map.get("memory")) {
      limits.memory_bytes = read_size(*v, "limits.memory", problems_).value_or(limits.memory_bytes);
    }
    if (const YamlNode* v = map.get("pids")) {
      limits.pids = read_whole(*v, "limits.pids", 1, kMostPids, problems_).value_or(limits.pids);
    }
    if (const YamlNode* v = map.get("output")) {
      limits.output_bytes = read_size(*v, "limits.output", problems_).value_or(limits.output_bytes);
    }
  }

  void read_gates(const YamlNode& node) {
    const bool known =
        std::all_of(spec_.engines.begin(), spec_.engines.end(),
                    [](const EngineSpec& engine) { return engine.adapter.name == "greta"; });
    const auto records = known ? RecordsKnown::yes : RecordsKnown::no;
    spec_.expect = read_expect(node, spec_.matrix, records, problems_, spec_.warnings);
    for (size_t i = 0; i < spec_.expect.size(); ++i)
      spec_.places["expect." + spec_.expect[i].id] = node.items[i].place;
  }

  const YamlNode& root_;
  const LoadOptions& options_;
  Spec& spec_;
  Problems& problems_;
  MapReader map_;
};

}  // namespace

Result<Spec> load_spec(const fs::path& file, const LoadOptions& options) {
  Spec spec;
  std::error_code ec;
  spec.file = fs::absolute(file, ec).lexically_normal();
  Problems problems;
  SpecTree tree = load_spec_tree(file, file.string(), options.text, problems);
  // What is missing because a file could not be read is no mistake of its own.
  if (!tree.complete) return tl::unexpected(problems.error());
  spec.text = std::move(tree.text);
  const size_t before = problems.size();
  apply_vars(tree.root, options.vars, problems, spec.warnings);
  if (problems.size() > before) return tl::unexpected(problems.error());  // values are not known
  SpecReader(tree.root, options, spec, problems).read();
  if (!problems.empty()) return tl::unexpected(problems.error());
  spec.flat = flat_spec(tree.root, spec).dump();
  return spec;
}

}  // namespace greta::runner
