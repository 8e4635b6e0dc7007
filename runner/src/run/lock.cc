#include "run/lock.h"

#include "contract/text.h"
#include "spec/spec_root.h"
#include "system/json.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

tl::unexpected<Error> no_lock(const std::string& what) {
  return fail(Exit::usage, "no lock: " + what);
}

}  // namespace

Result<Lock> read_lock(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return no_lock("not a JSON object");
  if (json.value("lock", Json()) != 1) return no_lock("`lock` is not 1, the version of this greta");
  Lock out;
  const auto spec = json.find("spec"), engines = json.find("engines");
  if (spec == json.end() || !spec->is_object()) return no_lock("`spec` is missing");
  if (engines == json.end() || !engines->is_array() || engines->empty()) {
    return no_lock("`engines` is missing");
  }
  out.spec = spec->dump();
  for (const auto& entry : *engines) {
    LockedEngine engine;
    if (!entry.is_object() || !entry.contains("facts") || !entry["facts"].is_object()) {
      return no_lock("an engine without `facts`");
    }
    engine.name = entry.value("name", "");
    for (const auto& [key, value] : entry["facts"].items()) {
      if (!value.is_string()) return no_lock("`" + key + "` of an engine is no text");
      engine.facts[key] = value.get<std::string>();
    }
    out.engines.push_back(std::move(engine));
  }
  if (const auto model = json.find("model"); model != json.end() && model->is_object()) {
    out.model_sha256 = model->value("sha256", "");
  }
  const std::string executor = json.value("executor", "");
  out.executor = executor.substr(0, executor.find(' '));
  return out;
}

EnginePin pin_of(const LockedEngine& engine) {
  const auto fact = [&](const char* name) {
    const auto found = engine.facts.find(name);
    return found == engine.facts.end() ? std::string() : found->second;
  };
  const std::string kept = fact("engine.kept");
  return {.commit = fact("commit"),
          .tree = fact("tree"),
          .build_key = kept.empty() ? fact("build_key") : kept,
          .binary_sha256 = fact("binary_sha256"),
          .image = fact("image"),
          .image_recipe = fact("image.recipe"),
          .image_name = fact("image.name"),
          .image_base = fact("image.base"),
          .dirty = fact("dirty") == "true"};
}

fs::path lock_file_of(const fs::path& spec) {
  return spec.parent_path() / (spec.stem().string() + ".lock.json");
}

Result<> check_spec_is_locked(const Lock& lock, const Spec& spec, const fs::path& file) {
  Json then = Json::parse(lock.spec), now = Json::parse(spec.flat);
  std::vector<std::string> changed;
  for (const auto& [key, value] : now.items()) {
    if (!then.contains(key) || then[key] != value) changed.push_back(key);
  }
  for (const auto& [key, value] : then.items()) {
    if (!now.contains(key)) changed.push_back(key);
  }
  if (changed.empty()) return {};
  return fail(Exit::usage, "--locked: " + shown_path(spec.file) + " has changed since " +
                               shown_path(file) + " was written (" + joined(changed) +
                               "): `greta run --lock` writes it anew");
}

Result<> check_engines_are_locked(const Lock& lock, const std::vector<Engine>& engines,
                                  const std::string& model_sha256, const fs::path& file) {
  if (lock.engines.size() != engines.size()) {
    return fail(Exit::usage, "--locked: " + shown_path(file) + " has another number of engines");
  }
  std::vector<std::string> changed;
  for (size_t i = 0; i < engines.size(); ++i) {
    for (const char* fact :
         {"commit", "tree", "binary_sha256", "image.recipe", "image.packages_sha256"}) {
      const auto then = lock.engines[i].facts.find(fact), now = engines[i].facts.find(fact);
      const std::string a = then == lock.engines[i].facts.end() ? "" : then->second;
      const std::string b = now == engines[i].facts.end() ? "" : now->second;
      if (a != b)
        changed.push_back(std::string(fact) + " was " + (a.empty() ? "none" : a) + ", is " +
                          (b.empty() ? "none" : b));
    }
  }
  if (lock.model_sha256 != model_sha256) {
    changed.push_back("the model's SHA-256 was " + lock.model_sha256 + ", is " + model_sha256);
  }
  if (changed.empty()) return {};
  return fail(Exit::usage, "--locked: not what " + shown_path(file) + " says: " + joined(changed));
}

}  // namespace greta::runner
