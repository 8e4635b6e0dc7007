#pragma once
// From an engine of the spec to a program that can run: built once per build key and kept by hash,
// a ready binary, or a program of its image; and what it says of itself (describe).

#include <filesystem>
#include <map>
#include <string>

#include "container/executor.h"
#include "container/machine.h"
#include "spec/spec.h"
#include "system/layout.h"
#include "system/progress.h"

namespace greta::runner {

struct Engine {
  std::filesystem::path binary;  // on this machine; "" for a program of the image
  std::string program;           // path in the image
  std::string binary_sha256;     // "" for a program of the image
  std::string build_key;         // sources, build argv, image recipe and packages or host compiler
  std::string image;          // id of the image that its containers are made from; "" on the host
  std::string describe_json;  // "" for an engine behind an adapter file
  int contract_version = 1;
  std::filesystem::path worktree_diff;  // how its sources differ from the commit; "" if they do not
  std::map<std::string, std::string>
      facts;  // for the manifest's environment: commit, tree, image, …

  Executor on(const Executor& executor) const;  // with the engine's image
  // Its path as the job sees it; mounts the binary.
  std::string placed(const Executor& executor, Job& job) const;
  std::string shown() const;  // for messages: the program's name
};

// What an earlier run used of an engine, to be used again.
struct EnginePin {
  std::string commit, tree;                                 // "" for what is not built from sources
  std::string build_key, binary_sha256;                     // of the kept program
  std::string image, image_recipe, image_name, image_base;  // "" on the host
  bool dirty = false;    // the sources were a changed working tree
  bool rebuild = false;  // build it anew from the sources even where the program was kept
};

// Without a pin: resolves image and sources, builds what is not built yet (one greta at a time),
// asks the engine to describe itself. With one: the image by its id, the commit, the program that
// was kept; where they are gone what can be had instead, down to a build from kept sources (facts
// say so, as the confounders of a comparison). Errors: the spec's place for what the spec got
// wrong, infrastructure with the end of the build log, not_replayable for a pin of which nothing is
// left.
Result<Engine> ready_engine(const Spec& spec, const EngineSpec& engine_spec,
                            const Executor& executor, const Machine& machine, const Layout& layout,
                            Progress& progress, const Cancel& cancel,
                            const EnginePin* pin = nullptr);

}  // namespace greta::runner
