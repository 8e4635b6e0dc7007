#pragma once
// Where relative engine paths start, and where greta's own sources are.

#include <filesystem>
#include <string>

#include "spec/spec.h"

namespace greta::runner {

// Is it a greta source tree? (CMakeLists.txt and engine/contract/records.json)
bool is_greta_tree(const std::filesystem::path& folder);

// The nearest folder at or above `start` that has a .git, or that is a greta tree; "" when none is.
std::filesystem::path find_git_top(const std::filesystem::path& start);
std::filesystem::path find_greta_tree(const std::filesystem::path& start);

struct Roots {
  std::filesystem::path root;  // never empty
  std::filesystem::path tree;  // greta's sources; "" when none was found
  bool kept = false;           // the spec is one that an earlier run kept: its programs may be gone
};

enum class OwnEngine {
  no,    // the default engine, perhaps from another image or commit
  yes,   // the spec says how to build or run another engine
  repo,  // … and names its repository by a relative path
};

// The git top-level folder of the spec, if that is a greta tree or the spec has its own engine;
// else the greta tree around the spec, around the current folder, else around the running program
// (build/<preset>/bin/greta stands in one); else the spec's folder. A relative `repo` of a spec
// outside git is taken from the spec's folder.
Roots find_roots(const std::filesystem::path& spec_folder, OwnEngine own,
                 const LoadOptions& options);

// The path as a person in the working folder would write it: relative below it, else absolute.
std::string shown_path(const std::filesystem::path& file);

}  // namespace greta::runner
