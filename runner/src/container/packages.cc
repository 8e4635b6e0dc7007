#include "container/packages.h"

#include <algorithm>
#include <regex>
#include <set>
#include <sstream>

#include "store/store.h"
#include "system/files.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

// "name version" of a line; the architecture is the same for a whole image.
std::set<std::string> packages_in(std::string_view list) {
  std::set<std::string> out;
  std::istringstream in{std::string(list)};
  for (std::string line; std::getline(in, line);) {
    const size_t first = line.find(' ');
    const size_t second = first == std::string::npos ? first : line.find(' ', first + 1);
    out.insert(line.substr(0, second));
  }
  return out;
}

// The versions of all packages whose whole name matches, with their names where several may.
std::string versions_of(const std::set<std::string>& packages, const char* pattern,
                        bool with_name) {
  const std::regex name(pattern);
  std::string out;
  for (const std::string& package : packages) {
    const size_t space = package.find(' ');
    if (space == std::string::npos || !std::regex_match(package.substr(0, space), name)) continue;
    out += (out.empty() ? "" : ", ") + (with_name ? package : package.substr(space + 1));
  }
  return out;
}

}  // namespace

Result<> keep_packages(const Layout& layout, std::string_view list) {
  const fs::path file = layout.packages() / (store::sha256_hex(list) + ".txt");
  std::error_code error;
  return fs::exists(file, error) ? Result<>() : write_file(file, list);
}

std::optional<std::string> kept_packages(const Layout& layout, const std::string& sha256) {
  const auto list = read_file(layout.packages() / (sha256 + ".txt"));
  if (!list || store::sha256_hex(*list) != sha256) return std::nullopt;
  return *list;
}

std::map<std::string, std::string> tool_versions(std::string_view list) {
  // The first of a row that is there: AMD's packages before Debian's.
  struct Known {
    const char* fact;
    std::vector<const char*> patterns;
    bool with_name;
  };
  const Known kTools[] = {
      {"image.rocm", {"rocm-core", "libhsa-runtime64-[0-9]+"}, false},
      {"image.hip", {"hip-runtime-amd", "libamdhip64-[0-9]+", "libamdhip64-dev"}, false},
      {"image.compiler",
       {"g\\+\\+-[0-9]+|clang-[0-9]+|rocm-llvm|hipcc", "g\\+\\+|gcc|clang"},
       true},
  };
  const std::set<std::string> packages = packages_in(list);
  std::map<std::string, std::string> out;
  for (const Known& tool : kTools) {
    for (const char* pattern : tool.patterns) {
      const std::string found = versions_of(packages, pattern, tool.with_name);
      if (found.empty()) continue;
      out[tool.fact] = found;
      break;
    }
  }
  return out;
}

PackageDifference package_difference(std::string_view a, std::string_view b) {
  const std::set<std::string> in_a = packages_in(a), in_b = packages_in(b);
  PackageDifference out;
  std::set_difference(in_a.begin(), in_a.end(), in_b.begin(), in_b.end(),
                      std::back_inserter(out.only_a));
  std::set_difference(in_b.begin(), in_b.end(), in_a.begin(), in_a.end(),
                      std::back_inserter(out.only_b));
  return out;
}

}  // namespace greta::runner
