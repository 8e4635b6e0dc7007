#pragma once
// Flags against what the engine says of itself.

#include <nlohmann/json_fwd.hpp>

#include "contract/result.h"
#include "spec/spec.h"

namespace greta::runner {

// Checks every flag and every matrix value that reaches the engine against the flag table of
// `describe` (ENGINE describe --json). Errors carry the place in the spec and the nearest name or
// choice; all mistakes are in one Error, a line each. An adapter with a table of its own is checked
// by load_spec.
Result<> check_flags(const Spec& spec, const EngineSpec& engine, const nlohmann::json& describe);

}  // namespace greta::runner
