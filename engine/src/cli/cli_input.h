#pragma once
// Files and prompts that a command line names.

#include <optional>
#include <string>
#include <string_view>

#include "contract/result.h"

namespace greta::engine {

// All bytes of a file, exactly; "-" is standard input. Errors are of EngineExit::input.
Result<std::string> read_input(const std::string& path);

// What looks like a slip in a prompt's text, as a warning; nothing if nothing does. typed: the text
// stood on the command line.
std::optional<std::string> prompt_warning(std::string_view text, bool typed);

}  // namespace greta::engine
