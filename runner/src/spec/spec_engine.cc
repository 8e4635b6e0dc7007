#include "spec/spec_engine.h"

#include <unistd.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "contract/text.h"
#include "spec/adapter.h"
#include "spec/spec_reader.h"
#include "system/environment.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

// The value of the axis `engine` that stands for the engine of the key `engine`.
constexpr const char* kOwnEngineName = "greta-infer";

bool is_regular(const fs::path& file) {
  std::error_code ec;
  return fs::is_regular_file(file, ec);
}

fs::path absolute_normal(const fs::path& file) {
  std::error_code ec;
  return fs::absolute(file, ec).lexically_normal();
}

// The folder of the file in which a value stands: what its relative paths start from.
fs::path folder_of(const YamlNode& node) {
  return absolute_normal(fs::path(node.place.file)).parent_path();
}

std::string list_paths(const std::vector<fs::path>& paths) {
  std::string out;
  for (const fs::path& path : paths) out += (out.empty() ? "" : ", ") + shown_path(path);
  return out;
}

// Candidates without repetitions, in order.
void add_candidate(std::vector<fs::path>& candidates, const fs::path& path) {
  const fs::path normal = path.lexically_normal();
  if (std::find(candidates.begin(), candidates.end(), normal) == candidates.end()) {
    candidates.push_back(normal);
  }
}

bool is_url(std::string_view text) {
  return text.find("://") != text.npos ||
         (text.find('@') != text.npos && text.find(':') != text.npos);
}

void read_binary(const YamlNode& node, const std::string& path, const Roots& roots, EngineSpec& out,
                 Problems& problems) {
  const auto name = read_text_not_empty(node, path, problems);
  if (!name) return;
  std::vector<fs::path> candidates;
  add_candidate(candidates, folder_of(node) / *name);
  add_candidate(candidates, roots.root / *name);
  if (name->find('/') == std::string::npos) {
    std::istringstream folders(search_path());
    for (std::string folder; std::getline(folders, folder, ':');) {
      if (!folder.empty()) add_candidate(candidates, fs::path(folder) / *name);
    }
  }
  for (const fs::path& candidate : candidates) {
    if (!is_regular(candidate)) continue;
    if (access(candidate.c_str(), X_OK) != 0) {
      problems.add(node.place, "`" + path + "`: " + shown_path(candidate) + " may not be executed");
    }
    out.binary = candidate;
    return;
  }
  if (roots.kept) {  // a copy was kept by its hash
    out.binary = *name;
    return;
  }
  problems.add(node.place, "`" + path + "`: no such program; looked at " + list_paths(candidates));
}

struct AdapterSearch {
  std::vector<fs::path> tried;
  std::vector<std::string> known = {"greta"};  // names that would have been found
  std::optional<fs::path> found;
};

// Beside the file that names it, in the `adapters` folder there, in experiments/adapters.
AdapterSearch find_adapter(const fs::path& beside, const std::string& name, const Roots& roots) {
  AdapterSearch out;
  for (const fs::path& folder :
       {beside, beside / "adapters", roots.root / "experiments/adapters",
        roots.tree.empty() ? roots.root : roots.tree / "experiments/adapters"}) {
    add_candidate(out.tried, folder / name);
    if (fs::path(name).extension() != ".yaml") add_candidate(out.tried, folder / (name + ".yaml"));
    if (folder.filename() != "adapters") continue;
    std::error_code ec;
    for (fs::directory_iterator it(folder, ec), end; !ec && it != end; it.increment(ec)) {
      if (it->path().extension() == ".yaml") out.known.push_back(it->path().stem().string());
    }
  }
  const auto found = std::find_if(out.tried.begin(), out.tried.end(), is_regular);
  if (found != out.tried.end()) out.found = *found;
  return out;
}

void read_adapter_key(const YamlNode& node, const std::string& path, const Roots& roots,
                      EngineSpec& out, Problems& problems) {
  if (node.kind == YamlNode::Kind::map) {  // written in place
    out.adapter = adapter_of(node, path, problems);
    out.adapter.file = node.place.file;
    return;
  }
  const auto name = read_text_not_empty(node, path, problems);
  if (!name || *name == "greta") return;
  const AdapterSearch search = find_adapter(folder_of(node), *name, roots);
  if (!search.found) {
    problems.add(node.place, "`" + path + "`: no such adapter `" + printable(*name) + "`" +
                                 did_you_mean(*name, search.known) + "; looked at " +
                                 list_paths(search.tried));
    return;
  }
  auto adapter = load_adapter(*search.found, shown_path(*search.found));
  if (adapter) {
    out.adapter = std::move(*adapter);
  } else {
    problems.add(adapter.error());
  }
}

// What a build leaves is looked for inside the source tree.
void read_artifact(const YamlNode& node, const std::string& path, EngineSpec& out,
                   Problems& problems) {
  const auto text = read_text_not_empty(node, path, problems);
  if (!text) return;
  if (text->starts_with("/") || ("/" + *text + "/").find("/../") != std::string::npos) {
    problems.add(node.place,
                 "`" + path + "` must be a path below the sources, got " + describe(node));
  }
  out.artifact = *text;
}

// A folder beside the file that names it comes before one at the root, as for models and adapters.
std::string image_beside(const fs::path& folder, const std::string& image) {
  const fs::path beside = (folder / image).lexically_normal();
  std::error_code ec;
  return fs::is_directory(beside, ec) ? fs::absolute(beside, ec).string() : image;
}

// An adapter may say where its engine comes from; what the spec says goes before.
void take_program_of_adapter(EngineSpec& out, const Roots& roots, bool image_given) {
  const Adapter& adapter = out.adapter;
  out.program = adapter.program;
  if (adapter.program.empty() || image_given || adapter.image.empty()) return;
  out.image = image_beside(adapter.file.parent_path(), adapter.image);
  std::error_code ec;
  if (out.image == adapter.image && !roots.tree.empty() &&
      fs::is_directory(roots.tree / adapter.image, ec)) {
    out.image = roots.tree / adapter.image;
  }
}

EngineSpec default_engine(const Roots& roots, const Spec& spec) {
  EngineSpec out;
  out.adapter = builtin_adapter();
  out.place = {shown_path(spec.file), 0, 0};
  // A spec that stands elsewhere still finds greta's own image recipe.
  if (!roots.tree.empty() && roots.tree != roots.root) out.image = roots.tree / out.image;
  return out;
}

// `path` is where the section stands: "engine", "engines.llama.cpp".
EngineSpec read_engine(const YamlNode& engine, const std::string& path, const Roots& roots,
                       Spec& spec, Problems& problems) {
  EngineSpec out = default_engine(roots, spec);
  out.place = engine.place;
  const bool named = path != "engine";
  MapReader map(engine, path, named ? "engines" : "engine", problems);
  if (!map.valid()) return out;
  const auto get = [&](const char* key) {
    const YamlNode* node = map.get(key);
    if (node != nullptr) spec.places[map.path(key)] = node->place;
    return node;
  };
  const auto read = [&](const char* key, std::string& value) {
    const YamlNode* node = get(key);
    if (node == nullptr) return;
    if (auto text = read_text_not_empty(*node, map.path(key), problems)) value = std::move(*text);
  };
  read("repo", out.repo);
  read("commit", out.commit);
  read("image", out.image);
  read("base", out.base);
  read("program", out.program);
  const YamlNode* image = get("image");
  if (image != nullptr) out.image = image_beside(folder_of(*image), out.image);
  if (out.base.starts_with("-")) {
    problems.add(engine.find("base")->place,
                 "`" + map.path("base") +
                     "` is a Debian suite (trixie, forky) or an image's name, "
                     "got `" +
                     printable(out.base) + "`");
  }
  if (const YamlNode* build = get("build")) {
    out.build = read_texts(*build, map.path("build"), OneIsEnough::no, problems);
    if (build->items.empty()) {
      problems.add(build->place, "`" + map.path("build") + "` is empty: nothing to run");
    }
  }
  if (const YamlNode* artifact = get("artifact")) {
    read_artifact(*artifact, map.path("artifact"), out, problems);
  }
  if (const YamlNode* binary = get("binary")) {
    read_binary(*binary, map.path("binary"), roots, out, problems);
  }
  if (const YamlNode* adapter = get("adapter")) {
    read_adapter_key(*adapter, map.path("adapter"), roots, out, problems);
  }
  const bool built = engine.find("repo") != nullptr || engine.find("commit") != nullptr ||
                     engine.find("build") != nullptr || engine.find("artifact") != nullptr;
  for (const char* ready : {"binary", "program"}) {
    if (engine.find(ready) == nullptr) continue;
    for (const char* key : {"repo", "commit", "build", "artifact"}) {
      if (const auto* entry = engine.find_entry(key)) {
        problems.add(entry->place, "`" + map.path(key) + "` has no use beside `" + map.path(ready) +
                                       "`, which is not built");
      }
    }
  }
  if (const auto* entry = engine.find_entry("program"); entry && engine.find("binary") != nullptr) {
    problems.add(entry->place, "`" + map.path("program") + "` has no use beside `" +
                                   map.path("binary") + "`: one of them is the engine");
  }
  if (!built && !out.binary && out.program.empty()) {
    take_program_of_adapter(out, roots, image != nullptr);
  }
  return out;
}

// The engine that a value of the axis `engine` names.
std::optional<EngineSpec> engine_named(const YamlNode& value, const YamlNode& root,
                                       const Roots& roots, Spec& spec, Problems& problems) {
  const std::string& name = value.text;
  const YamlNode* engines = root.find("engines");
  std::vector<std::string> known = {kOwnEngineName};
  if (engines != nullptr && engines->kind == YamlNode::Kind::map) {
    for (const auto& entry : engines->entries) known.push_back(entry.key);
    if (const auto* entry = engines->find_entry(name)) {
      const std::string path = "engines." + name;
      if (entry->value.kind != YamlNode::Kind::null) {
        return read_engine(entry->value, path, roots, spec, problems);
      }
      EngineSpec out = default_engine(roots, spec);
      out.place = entry->place;
      return out;
    }
  }
  if (name == kOwnEngineName) {
    const YamlNode* engine = root.find("engine");
    return engine == nullptr ? default_engine(roots, spec)
                             : read_engine(*engine, "engine", roots, spec, problems);
  }
  const AdapterSearch search = find_adapter(folder_of(value), name, roots);
  known.insert(known.end(), search.known.begin() + 1, search.known.end());
  EngineSpec out = default_engine(roots, spec);
  out.place = value.place;
  if (search.found) {
    auto adapter = load_adapter(*search.found, shown_path(*search.found));
    if (!adapter) {
      problems.add(adapter.error());
      return std::nullopt;
    }
    out.adapter = std::move(*adapter);
    take_program_of_adapter(out, roots, false);
    if (!out.program.empty()) return out;
    problems.add(value.place, "adapter `" + printable(name) +
                                  "` names no `program`: say under `engines` which program it "
                                  "drives");
    return std::nullopt;
  }
  problems.add(value.place, "no engine `" + printable(name) +
                                "`: it is neither under `engines` nor an adapter with a `program`" +
                                did_you_mean(name, known));
  return std::nullopt;
}

void check_engines_are_used(const YamlNode& root, const YamlNode* axis, Problems& problems) {
  const YamlNode* engines = root.find("engines");
  const auto in_axis = [&](const std::string& name) {
    return axis != nullptr && std::any_of(axis->items.begin(), axis->items.end(),
                                          [&](const auto& item) { return item.text == name; });
  };
  if (engines != nullptr) {
    if (!expect_kind(*engines, YamlNode::Kind::map, "engines", "a map of names to engines",
                     problems)) {
      return;
    }
    for (const auto& entry : engines->entries) {
      if (in_axis(entry.key)) continue;
      problems.add(entry.place, "`engines." + printable(entry.key) +
                                    "` is no value of the axis `engine`: `matrix: {engine: [" +
                                    printable(entry.key) + ", …]}`");
    }
  }
  const auto* own = root.find_entry("engine");
  if (axis == nullptr || own == nullptr) return;
  const bool redefined = engines != nullptr && engines->find_entry(kOwnEngineName) != nullptr;
  if (!redefined && in_axis(kOwnEngineName)) return;
  problems.add(own->place, std::string("`engine` has no use: the axis `engine` ") +
                               (redefined ? "takes its values from `engines`"
                                          : "does not name `greta-infer`, which it describes"));
}

OwnEngine own_engine(const YamlNode* engine) {
  if (engine == nullptr || engine->kind != YamlNode::Kind::map) return OwnEngine::no;
  const YamlNode* adapter = engine->find("adapter");
  const YamlNode* repo = engine->find("repo");
  if (repo != nullptr && !is_url(repo->text) && !repo->text.starts_with("/"))
    return OwnEngine::repo;
  const bool foreign = adapter != nullptr && adapter->text != "greta";
  const bool own = repo != nullptr || foreign || engine->find("build") != nullptr ||
                   engine->find("artifact") != nullptr || engine->find("binary") != nullptr ||
                   engine->find("program") != nullptr;
  return own ? OwnEngine::yes : OwnEngine::no;
}

}  // namespace

OwnEngine own_engines(const YamlNode& root) {
  std::vector<OwnEngine> found = {own_engine(root.find("engine"))};
  if (const YamlNode* engines = root.find("engines")) {
    for (const auto& entry : engines->entries) found.push_back(own_engine(&entry.value));
  }
  for (const OwnEngine own : {OwnEngine::repo, OwnEngine::yes}) {
    if (std::find(found.begin(), found.end(), own) != found.end()) return own;
  }
  return OwnEngine::no;
}

void read_engines(const YamlNode& root, const Roots& roots, Spec& spec, Problems& problems) {
  const YamlNode* matrix = root.find("matrix");
  const YamlNode* axis = matrix == nullptr ? nullptr : matrix->find("engine");
  check_engines_are_used(root, axis, problems);
  if (axis != nullptr && axis->kind == YamlNode::Kind::list) {
    std::set<std::string> seen;  // a value given twice is said where the matrix is read
    for (const YamlNode& value : axis->items) {
      if (value.kind != YamlNode::Kind::scalar || !seen.insert(value.text).second) continue;
      auto engine = engine_named(value, root, roots, spec, problems);
      if (!engine) continue;
      engine->name = value.text;
      spec.engines.push_back(std::move(*engine));
    }
  }
  if (!spec.engines.empty()) return;
  const YamlNode* engine = root.find("engine");
  spec.engines.push_back(engine == nullptr ? default_engine(roots, spec)
                                           : read_engine(*engine, "engine", roots, spec, problems));
}

void read_model(const YamlNode& model, const Roots& roots, Spec& spec, Problems& problems) {
  spec.has_model = true;
  spec.model_place = model.place;
  MapReader map(model, "model", "model", problems);
  if (!map.valid()) return;
  if (const YamlNode* sha256 = map.get("sha256")) {
    spec.model_sha256 = read_sha256(*sha256, "model.sha256", problems).value_or("");
  }
  const YamlNode* file = map.get("file");
  if (file == nullptr) {
    if (model.find("file") == nullptr) problems.add(model.place, "missing key `file` in `model`");
    return;
  }
  spec.model_place = file->place;
  const auto name = read_text_not_empty(*file, "model.file", problems);
  if (!name) return;
  spec.model_file = *name;
  const fs::path spec_folder = spec.file.parent_path();
  for (const fs::path& folder :
       {folder_of(*file), folder_of(*file) / "models", spec_folder, spec_folder / "models",
        spec.root, spec.root / "experiments/models",
        roots.tree.empty() ? spec.root : roots.tree / "experiments/models"}) {
    add_candidate(spec.model_tried, folder / *name);
  }
  const auto found = std::find_if(spec.model_tried.begin(), spec.model_tried.end(), is_regular);
  if (found != spec.model_tried.end()) spec.model_file = *found;
}

}  // namespace greta::runner
