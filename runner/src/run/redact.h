#pragma once
// Secrets that an engine printed must not be kept: before an attempt is looked at, their bytes are
// replaced in everything that it left.

#include <filesystem>
#include <map>
#include <string>

#include "contract/result.h"

namespace greta::runner {

inline constexpr size_t kLeastSecretBytes = 6;  // a shorter one would be found everywhere

// `values`: name → bytes, from the environment of greta. In every regular file below the bundle
// each value, as it is and as JSON writes it, becomes "[secret NAME]"; a file or folder
// whose name holds one is removed. Returns how many places there were.
Result<int64_t> redact(const std::filesystem::path& bundle,
                       const std::map<std::string, std::string>& values);

}  // namespace greta::runner
