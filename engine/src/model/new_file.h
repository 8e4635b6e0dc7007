#pragma once
// Files that appear whole: they are written beside their place and renamed.

#include <filesystem>

#include "contract/result.h"

namespace greta::engine {

// Where a file named `path` is to be renamed to: the target of a symbolic link, not the link.
// Errors (EngineExit::usage): there is something that is no regular file (a device, a folder).
Result<std::filesystem::path> place_of_new_file(const std::filesystem::path& path);

}  // namespace greta::engine
