#pragma once
// From the spec's engine to a program that can run: built once per build key and kept by hash, or a
// ready binary; what it says of itself (describe).

#include <filesystem>
#include <map>
#include <string>

#include "container/executor.h"
#include "container/machine.h"
#include "contract/result.h"
#include "spec/spec.h"
#include "system/layout.h"
#include "system/progress.h"

namespace greta::runner {

struct Engine {
  std::filesystem::path binary;  // on this machine
  std::string binary_sha256;
  std::string build_key;      // sources, build argv, image recipe and packages or host compiler
  std::string describe_json;  // "" for an engine behind an adapter file
  int contract_version = 1;
  std::map<std::string, std::string>
      facts;  // for the manifest's environment: commit, tree, image, …
};

// Resolves image and sources, builds what is not built yet (one greta at a time), asks the engine
// to describe itself. `executor.image` is set. Errors: the spec's place for what the spec got
// wrong, infrastructure with the end of the build log for the rest.
Result<Engine> ready_engine(const Spec& spec, Executor& executor, const Machine& machine,
                            const Layout& layout, Progress& progress, const Cancel& cancel);

// Where a container sees the engine.
std::string engine_inside(const std::filesystem::path& binary);

}  // namespace greta::runner
