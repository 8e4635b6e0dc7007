#include "system/environment.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace greta::runner {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

}  // namespace

std::string search_path() {
  const std::string path = variable("PATH");
  return path.empty() ? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" : path;
}

std::string home_folder() {
  const std::string home = variable("HOME");
  return home.empty() ? "/" : home;
}

std::filesystem::path cache_folder() {
  const std::filesystem::path xdg = variable("XDG_CACHE_HOME");
  // The XDG specification: a relative path is to be ignored.
  if (xdg.is_absolute()) return xdg / "greta";
  return std::filesystem::path(home_folder()) / ".cache" / "greta";
}

std::string store_variable() { return variable("GRETA_STORE"); }

std::optional<std::string> secret_variable(const std::string& name) {
  std::string value = variable(name.c_str());
  return value.empty() ? std::nullopt : std::optional(std::move(value));
}

bool unicode_wanted() {
  std::string locale;
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"})
    if (locale.empty()) locale = variable(name);
  std::transform(locale.begin(), locale.end(), locale.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return locale.find("utf-8") != std::string::npos || locale.find("utf8") != std::string::npos;
}

bool colour_unwanted() { return !variable("NO_COLOR").empty(); }

}  // namespace greta::runner
