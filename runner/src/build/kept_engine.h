#pragma once
// Engines by their build key: engines/<key>/ has the program, build.json (its hash, argv, commit,
// tree), sources.txt (the listing that the tree's hash covers), sources.tar.gz (those files) and,
// for a changed working tree, worktree-<commit>.diff. Packages and repositories move on; what was
// kept can run, and be built, again.

#include <filesystem>
#include <optional>
#include <string>

#include "contract/result.h"
#include "system/layout.h"

namespace greta::runner {

struct KeptEngine {
  std::filesystem::path folder, binary;
  std::string sha256;  // of the binary
  std::string tree;    // of its sources; "" for a ready program
};

// Nothing when it was never kept, or is damaged. Looks into the store's own folder first, then into
// the user's cache, where every store's builds are; one found there is copied.
std::optional<KeptEngine> find_kept_engine(const Layout& layout, const std::string& key);

// Moves a finished folder (program and build.json) into place, and copies it to the user's cache.
Result<KeptEngine> keep_engine(const std::filesystem::path& finished, const Layout& layout,
                               const std::string& key);

// A ready program is copied, so that it is there when its file has changed.
Result<KeptEngine> keep_program(const std::filesystem::path& binary, const std::string& sha256,
                                const Layout& layout, const std::string& key);

}  // namespace greta::runner
