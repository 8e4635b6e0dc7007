#pragma once
// The only place where the runner reads its own environment.

#include <filesystem>
#include <string>

namespace greta::runner {

std::string search_path();             // PATH, or the usual one
std::string home_folder();             // HOME, or "/"
std::filesystem::path cache_folder();  // $XDG_CACHE_HOME/greta, else ~/.cache/greta
std::string store_variable();          // GRETA_STORE, or ""
bool colour_unwanted();                // NO_COLOR is set and not empty

}  // namespace greta::runner
