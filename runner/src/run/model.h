#pragma once
// The model file: found, hashed once, and the one that the spec asked for.

#include <string>

#include "contract/result.h"
#include "spec/spec.h"
#include "system/progress.h"

namespace greta::runner {

// The file's SHA-256 ("" for a spec without a model); remembered by path, size, times and inode.
// Errors (usage, with the place in the spec): missing (every place tried is named), not readable,
// another hash than the spec pins (both are named).
Result<std::string> check_model(const Spec& spec, Progress& progress);

}  // namespace greta::runner
