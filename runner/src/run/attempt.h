#pragma once
// One engine process that serves some cells of one variant, from its request file to a sealed
// bundle.
//
// When is a cell ok? An attempt that ended well and left whole outputs makes all its cells ok. When
// the process failed (crash, timeout, a stop by us) the cells that were complete before stay good:
// those with a request_end record, if effective.json is there and no line but a file's last is
// damaged. The others get the attempt's status and reason. (Such a cell counts in its run; a later
// run executes it again, since only a bundle that is ok as a whole serves the cache.) An engine
// behind an adapter file has no request_end: its cells are ok only if the attempt is.

#include <functional>
#include <string>
#include <vector>

#include "build/engine_build.h"
#include "container/executor.h"
#include "container/machine.h"
#include "contract/result.h"
#include "run/bundle.h"
#include "spec/plan.h"
#include "system/layout.h"

namespace greta::runner {

// What all attempts of a run share.
struct AttemptSetting {
  const Spec& spec;
  const Plan& plan;
  const std::vector<Engine>& engines;  // as in the spec
  const Executor& executor;
  const Machine& machine;
  const Layout& layout;
  ResolvedInputs inputs;
  std::string lock_json;                            // what the run resolved its spec to
  std::map<std::string, std::string> secrets = {};  // name → value
};

struct Attempt {
  std::filesystem::path bundle;  // sealed
  Manifest manifest;
};

// `cells` are indices into the plan, all of one variant and repeat. An engine that fails is an
// Attempt with that status; errors are those of this machine (no container, disk full). Where the
// container tool failed it is tried again, from an empty output folder, and `say` hears why; what
// an engine did is never tried again. An attempt that may use a GPU waits for every other one on
// this machine, whatever its store.
Result<Attempt> run_attempt(const AttemptSetting& setting, const std::vector<size_t>& cells,
                            const std::function<void(const std::string&)>& say,
                            const Cancel& cancel);

// "a past bug injected on purpose": what the flags ask for, for manifest and run.
std::string provenance_of(const std::map<std::string, std::string>& flags);

// One JSON object a line: {"id": …, "text" | "tokens": …}. An error for a text that is no UTF-8.
Result<std::string> requests_jsonl(const std::vector<const Prompt*>& prompts);

}  // namespace greta::runner
