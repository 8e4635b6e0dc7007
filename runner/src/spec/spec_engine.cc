#include "spec/spec_engine.h"

#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "contract/text.h"
#include "spec/adapter.h"
#include "spec/spec_reader.h"
#include "system/environment.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

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

void read_binary(const YamlNode& node, Spec& spec, Problems& problems) {
  const auto name = read_text_not_empty(node, "engine.binary", problems);
  if (!name) return;
  std::vector<fs::path> candidates;
  add_candidate(candidates, folder_of(node) / *name);
  add_candidate(candidates, spec.root / *name);
  if (name->find('/') == std::string::npos) {
    std::istringstream folders(search_path());
    for (std::string folder; std::getline(folders, folder, ':');) {
      if (!folder.empty()) add_candidate(candidates, fs::path(folder) / *name);
    }
  }
  for (const fs::path& candidate : candidates) {
    if (!is_regular(candidate)) continue;
    if (access(candidate.c_str(), X_OK) != 0) {
      problems.add(node.place,
                   "`engine.binary`: " + shown_path(candidate) + " may not be executed");
    }
    spec.engine.binary = candidate;
    return;
  }
  problems.add(node.place, "`engine.binary`: no such program; looked at " + list_paths(candidates));
}

void read_adapter_file(const YamlNode& node, const Roots& roots, Spec& spec, Problems& problems) {
  const auto name = read_text_not_empty(node, "engine.adapter", problems);
  if (!name || *name == "greta") return;
  std::vector<fs::path> candidates;
  std::vector<std::string> known = {"greta"};
  for (const fs::path& folder :
       {folder_of(node), folder_of(node) / "adapters", spec.root / "experiments/adapters",
        roots.tree.empty() ? spec.root : roots.tree / "experiments/adapters"}) {
    add_candidate(candidates, folder / *name);
    if (fs::path(*name).extension() != ".yaml")
      add_candidate(candidates, folder / (*name + ".yaml"));
    if (folder.filename() != "adapters") continue;
    std::error_code ec;
    for (fs::directory_iterator it(folder, ec), end; !ec && it != end; it.increment(ec)) {
      if (it->path().extension() == ".yaml") known.push_back(it->path().stem().string());
    }
  }
  const auto found = std::find_if(candidates.begin(), candidates.end(), is_regular);
  if (found == candidates.end()) {
    problems.add(node.place, "`engine.adapter`: no such adapter `" + printable(*name) + "`" +
                                 did_you_mean(*name, known) + "; looked at " +
                                 list_paths(candidates));
    return;
  }
  auto adapter = load_adapter(*found, shown_path(*found));
  if (adapter) {
    spec.engine.adapter = std::move(*adapter);
  } else {
    problems.add(adapter.error());
  }
}

// What a build leaves is looked for inside the source tree.
void read_artifact(const YamlNode& node, Spec& spec, Problems& problems) {
  const auto text = read_text_not_empty(node, "engine.artifact", problems);
  if (!text) return;
  if (text->starts_with("/") || ("/" + *text + "/").find("/../") != std::string::npos) {
    problems.add(node.place,
                 "`engine.artifact` must be a path below the sources, got " + describe(node));
  }
  spec.engine.artifact = *text;
}

}  // namespace

OwnEngine own_engine(const YamlNode* engine) {
  if (engine == nullptr || engine->kind != YamlNode::Kind::map) return OwnEngine::no;
  const YamlNode* adapter = engine->find("adapter");
  const YamlNode* repo = engine->find("repo");
  if (repo != nullptr && !is_url(repo->text) && !repo->text.starts_with("/"))
    return OwnEngine::repo;
  const bool foreign = adapter != nullptr && adapter->text != "greta";
  const bool own = repo != nullptr || foreign || engine->find("build") != nullptr ||
                   engine->find("artifact") != nullptr || engine->find("binary") != nullptr;
  return own ? OwnEngine::yes : OwnEngine::no;
}

void read_engine(const YamlNode* engine, const Roots& roots, Spec& spec, Problems& problems) {
  EngineSpec& out = spec.engine;
  out.adapter = builtin_adapter();
  out.place = {shown_path(spec.file), 0, 0};
  // A spec that stands elsewhere still finds greta's own image recipe.
  if (!roots.tree.empty() && roots.tree != roots.root) out.image = roots.tree / out.image;
  if (engine == nullptr) return;
  out.place = engine->place;
  MapReader map(*engine, "engine", "engine", problems);
  if (!map.valid()) return;
  const auto read = [&](const char* key, std::string& value) {
    const YamlNode* node = map.get(key);
    if (node == nullptr) return;
    spec.places[map.path(key)] = node->place;
    if (auto text = read_text_not_empty(*node, map.path(key), problems)) value = std::move(*text);
  };
  read("repo", out.repo);
  read("commit", out.commit);
  read("image", out.image);
  if (const YamlNode* image = map.get("image")) {
    // A folder beside the spec comes before one at the root, as for models and adapters.
    const fs::path beside = (folder_of(*image) / out.image).lexically_normal();
    std::error_code ec;
    if (fs::is_directory(beside, ec)) out.image = fs::absolute(beside, ec).string();
  }
  if (const YamlNode* build = map.get("build")) {
    spec.places["engine.build"] = build->place;
    out.build = read_texts(*build, "engine.build", OneIsEnough::no, problems);
    if (build->items.empty()) problems.add(build->place, "`engine.build` is empty: nothing to run");
  }
  if (const YamlNode* artifact = map.get("artifact")) read_artifact(*artifact, spec, problems);
  if (const YamlNode* binary = map.get("binary")) {
    spec.places["engine.binary"] = binary->place;
    read_binary(*binary, spec, problems);
    for (const char* key : {"repo", "commit", "build", "artifact"}) {
      if (const auto* entry = engine->find_entry(key)) {
        problems.add(entry->place, std::string("`engine.") + key +
                                       "` has no use beside `engine.binary`, which is not built");
      }
    }
  }
  if (const YamlNode* adapter = map.get("adapter")) {
    spec.places["engine.adapter"] = adapter->place;
    read_adapter_file(*adapter, roots, spec, problems);
  }
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
