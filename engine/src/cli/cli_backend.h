#pragma once
// Which backends this program has, and the making of the one that was asked for.

#include <memory>
#include <string>
#include <vector>

#include "forward/backend.h"

namespace greta::engine {

struct BackendEntry {
  std::string name;
  std::string isa;      // of an available one
  std::string why_not;  // "" when it is available
};
std::vector<BackendEntry> backend_table();

// "auto" → hip or cuda where there is such a device; else cpu+emu where flags speak of attention
// kernels of a device, else cpu. A backend that is not here is an error of EngineExit::device, an
// unknown name one of EngineExit::usage.
Result<std::string> resolve_backend(const std::string& name, const Flags& flags);

Result<std::unique_ptr<Backend>> make_backend(const std::string& resolved, const GgufFile& file,
                                              const ModelConfig& config,
                                              const BackendOptions& options, const Flags& flags,
                                              const Faults& faults);

}  // namespace greta::engine
