#pragma once
// The only place where the runner reads its own environment.

#include <filesystem>
#include <optional>
#include <string>

namespace greta::runner {

std::string search_path();             // PATH, or the usual one
std::string home_folder();             // HOME, or "/"
std::filesystem::path cache_folder();  // $XDG_CACHE_HOME/greta, else ~/.cache/greta
std::string store_variable();          // GRETA_STORE, or ""
// A variable that a spec names as a secret; nothing when it is not set or empty.
std::optional<std::string> secret_variable(const std::string& name);
bool colour_unwanted();  // NO_COLOR is set and not empty
bool unicode_wanted();   // the locale (LC_ALL, else LC_CTYPE, else LANG) is one of UTF-8

}  // namespace greta::runner
