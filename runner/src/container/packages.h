#pragma once
// The lists of packages of images: kept by their hash in the store's home, so that two images can
// be compared; what they say of the compilers; what differs between two of them.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "contract/result.h"
#include "system/layout.h"

namespace greta::runner {

// packages/<sha256>.txt, one "name version architecture" a line, sorted. Keeping one twice is once.
Result<> keep_packages(const Layout& layout, std::string_view list);
std::optional<std::string> kept_packages(const Layout& layout, const std::string& sha256);

// image.rocm, image.hip and image.compiler, as far as the list has such packages.
std::map<std::string, std::string> tool_versions(std::string_view list);

// What is in one list and not in the other, "name version" each; where only the version differs it
// is in both.
struct PackageDifference {
  std::vector<std::string> only_a, only_b;
};
PackageDifference package_difference(std::string_view a, std::string_view b);

}  // namespace greta::runner
