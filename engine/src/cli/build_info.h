#pragma once
// What this program was built from; filled in by CMake (build_info.cc.in).

#include <string_view>

namespace greta::engine {

struct BuildInfo {
  std::string_view version;   // of the project
  std::string_view commit;    // GRETA_BUILD_COMMIT at configure time; empty where nobody said
  std::string_view dirty;     // GRETA_BUILD_DIRTY: "true", "false" or empty
  std::string_view compiler;  // "GNU 12.2.0"
  std::string_view flags;     // of the build type
};
const BuildInfo& build_info();

}  // namespace greta::engine
