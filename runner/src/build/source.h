#pragma once
// The engine's sources at the pinned commit: what they are (one hash over modes, blobs and paths,
// the same for a commit and for an equal working tree), and a clean copy of them.

#include <filesystem>
#include <string>
#include <vector>

#include "contract/result.h"
#include "spec/spec.h"
#include "system/layout.h"
#include "system/process.h"

namespace greta::runner {

struct Source {
  std::filesystem::path top;       // of the repository, or of its mirror
  std::string commit;              // full id; "" where there is no git history
  std::string asked;               // as in the spec: worktree, HEAD, v1.2, …
  bool worktree = false;           // the files as they are, not those of `commit`
  bool dirty = false;              // worktree: its files differ from `commit`
  std::string tree;                // SHA-256 of `listing`
  std::string listing;             // "mode blob-id\tpath" a line, sorted: what `tree` covers
  std::vector<std::string> paths;  // what of the repository belongs to the engine; empty: all
  // Files, and folders with a '/' at their end, that greta itself writes there: no source.
  std::vector<std::string> not_source;
  std::filesystem::path archive;  // kept by an earlier build: then the repository is not asked
};

// In a greta source tree only what the engine is built from counts, so that a changed README
// rebuilds nothing; any other repository counts whole. Errors: no repository, unknown commit (with
// the place in the spec), HEAD over a dirty tree (with the files).
Result<Source> resolve_source(const EngineSpec& engine, const std::filesystem::path& root,
                              const Layout& layout, const Cancel& cancel);

// The sources that an earlier build kept in its folder, and keeping them there: `files` is where
// they were exported to.
Result<Source> kept_source(const std::filesystem::path& folder);
Result<> keep_source(const Source& source, const std::filesystem::path& files,
                     const std::filesystem::path& folder, const Cancel& cancel);

// How a working tree differs from its commit, new files too, as a patch for `git apply`.
Result<std::string> worktree_diff(const Source& source, const Layout& layout, const Cancel& cancel);

// Writes the files into an empty folder. An error if the working tree changed since it was
// resolved.
Result<> export_source(const Source& source, const std::filesystem::path& to, const Cancel& cancel);

}  // namespace greta::runner
