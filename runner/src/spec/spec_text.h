#pragma once
// Files as text: read whole, with a limit, and known to be UTF-8.

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "contract/result.h"

namespace greta::runner {

// The exact bytes. Errors (place: `shown`): no such file (with the nearest name in its folder), not
// a regular file, unreadable, larger than `most_bytes`.
Result<std::string> read_text_file(const std::filesystem::path& file, const std::string& shown,
                                   size_t most_bytes);

// Offset of the first byte that is not UTF-8 (overlong forms and surrogates included).
std::optional<size_t> first_invalid_utf8(std::string_view text);

}  // namespace greta::runner
