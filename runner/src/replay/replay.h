#pragma once
// greta replay: an earlier run once more, from its lock, and what differs.

#include <string>

#include "run/run.h"
#include "store/diff.h"

namespace greta::runner {

struct ReplayOptions {
  std::string selector;       // a milestone, or a run's name
  std::string executor = {};  // "" takes the one of the earlier run
  std::string model = {};     // file to use where the model has moved
  int jobs = 1;
  bool rebuild = false;  // build the engine from its sources even where the program was kept
};

struct Replayed {
  std::string of, run;       // names in the store
  bool complete = false;     // every cell ended ok
  bool same_program = true;  // the engine has the hash that it had
  store::Diff diff;          // a: the earlier run, b: this one
};

// Runs every cell of the earlier run again, whatever is known of it. Errors: not_comparable ("not
// replayable") with what is missing; what run_task answers.
Result<Replayed> replay(const Context& context, const ReplayOptions& options, Progress& progress,
                        const Cancel& cancel);

}  // namespace greta::runner
