#pragma once
// greta run: from a spec to cells in the store, gates, a report and the verdict against its
// baselines.
//
// Exit codes, the worst of all specs given: 130 interrupted; 2 usage or spec; 4 a cell is not ok
// (its engine failed, or this machine); 1 a gate failed; 3 a gate measured nothing; 0. A failed
// cell outranks a failed gate: what did not run whole has no verdict, and the code must not depend
// on what the rest happens to say.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "contract/result.h"
#include "run/lock.h"
#include "spec/plan.h"
#include "store/gates.h"
#include "system/context.h"
#include "system/process.h"
#include "system/progress.h"

namespace greta::runner {

struct RunOptions {
  std::vector<std::string> specs;
  std::string executor;  // "" chooses
  int jobs = 1;
  std::vector<std::string> only;  // "KEY=VALUE"
  bool force = false, dry_run = false, fail_fast = false;
  bool lock = false, locked = false;  // write SPEC.lock.json, obey it
  std::map<std::string, std::string> vars;
};

// A spec that is loaded, and in what way it is to run.
struct RunTask {
  Spec spec;
  std::vector<EnginePin> pins;  // none, or one an engine
  std::optional<Lock> locked;   // what must be as it was
  std::string purpose = "run";  // run; replay, probe: these print no gates and write no report
  std::string replay_of;
  // (variant, prompt id, repeat) of the cells to run; none: those that the options leave.
  std::set<std::tuple<std::string, std::string, int64_t>> cells;
};
struct RunDone {
  std::string run;  // its name in the store
  int exit_code = 0;
};
Result<RunDone> run_task(const Context& context, const RunOptions& options, RunTask task,
                         Progress& progress, const Cancel& cancel);

// Runs one spec; the exit code of what happened, or an error that kept it from running.
Result<int> run_spec(const Context& context, const RunOptions& options, const std::string& spec,
                     Progress& progress, const Cancel& cancel);

// The cells that --only leaves: KEY is an axis of the matrix, `variant`, `prompt` or `repeat` (from
// 0). Several values of one key are alternatives, several keys must all hold. Errors name the
// nearest key or value.
Result<std::vector<size_t>> select_cells(const Spec& spec, const Plan& plan,
                                         const std::vector<std::string>& only);

int exit_code_of(bool interrupted, bool all_cells_ok, const std::vector<store::GateOutcome>& gates);
// The one of two exit codes that is worse news.
int worse(int a, int b);

}  // namespace greta::runner
