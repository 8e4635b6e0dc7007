#pragma once
// What a run resolved its spec to: the whole spec in one piece, and of every engine what it was
// built from and where it ran. Kept with the run and in its bundles; `greta run --lock` writes it
// beside the spec too (SPEC.lock.json, experiments/README.md), `--locked` and `greta replay` read
// it.

#include <filesystem>
#include <string>
#include <vector>

#include "build/engine_build.h"
#include "contract/result.h"

namespace greta::runner {

struct LockedEngine {
  std::string name;
  std::map<std::string, std::string> facts;
};

struct Lock {
  std::string spec;  // JSON that load_spec reads as it reads YAML
  std::vector<LockedEngine> engines;
  std::string model_sha256;  // "" without a model
  std::string executor;      // podman, docker, host
};

// Reads what resolved_json (prepare.h) or SPEC.lock.json has. Errors (usage): what is missing.
Result<Lock> read_lock(std::string_view json);

EnginePin pin_of(const LockedEngine& engine);

std::filesystem::path lock_file_of(const std::filesystem::path& spec);

// Errors (usage) with what of the spec, an engine or the model is not as it was locked.
Result<> check_spec_is_locked(const Lock& lock, const Spec& spec,
                              const std::filesystem::path& file);
Result<> check_engines_are_locked(const Lock& lock, const std::vector<Engine>& engines,
                                  const std::string& model_sha256,
                                  const std::filesystem::path& file);

}  // namespace greta::runner
