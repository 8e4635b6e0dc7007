#pragma once
// How faults name places.

#include <cstring>
#include <string>

#include "gpu/emu/emu.h"

namespace greta::kernels::gpu::emu {

// A file's name may lie in memory once per translation unit.
inline bool same_site(Site a, Site b) {
  return a.line == b.line && (a.file == b.file || std::strcmp(a.file, b.file) == 0);
}

// "matmul.h:12": paths of the machine that compiled would make texts differ.
inline std::string place(Site site) {
  const char* const slash = std::strrchr(site.file, '/');
  return std::string(slash != nullptr ? slash + 1 : site.file) + ":" + std::to_string(site.line);
}

}  // namespace greta::kernels::gpu::emu
