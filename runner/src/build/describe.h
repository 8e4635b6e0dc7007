#pragma once
// What an engine says of itself: ENGINE describe --json (engine/ENGINE.md).

#include "build/engine_build.h"

namespace greta::runner {

// Fills describe_json and contract_version. Asked once for a program, a place to run and a machine:
// which backends there are depends on all three. Errors: it cannot be run (infrastructure), prints
// no JSON object, speaks another version of the contract (usage).
Result<> describe_engine(const Executor& executor, const Machine& machine, const Devices& devices,
                         const Layout& layout, Engine& engine, const Cancel& cancel);

}  // namespace greta::runner
