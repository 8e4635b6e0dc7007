#pragma once
// git as a program: never a question to a person, never what a repository's configuration names.

#include <filesystem>
#include <string>
#include <vector>

#include "system/process.h"

namespace greta::runner {

// What `git -C top WORDS` printed; "" for no folder. `environment` is added to ours.
Result<std::string> git(const std::filesystem::path& top, const std::vector<std::string>& words,
                        const Cancel& cancel, double timeout_s = 120,
                        const std::vector<std::string>& environment = {});

std::string without_newline(std::string text);
// The parts that are not empty.
std::vector<std::string> split(const std::string& text, char separator);

}  // namespace greta::runner
