#pragma once
// Everything that is known before the first cell: engines built and asked, the model hashed, the
// plan with its identities.

#include <string>
#include <vector>

#include "build/engine_build.h"
#include "run/lock.h"
#include "spec/plan.h"

namespace greta::runner {

struct Prepared {
  Spec spec;
  Machine machine;
  Executor executor;
  std::vector<Engine> engines;  // as in the spec
  ResolvedInputs inputs;
  Plan plan;
  std::map<std::string, std::string> secrets;  // name → value
};

// `pins`: one an engine, or none: see ready_engine.
Result<Prepared> prepare(Spec spec, const Executor& executor, const std::vector<EnginePin>& pins,
                         const Layout& layout, Progress& progress, const Cancel& cancel);

// What lock.h reads, with what a run wants to say of itself besides: device, prompts, variants, and
// the facts of the first engine at the top.
std::string resolved_json(const Prepared& prepared);

}  // namespace greta::runner
