#pragma once
// The cells of a plan, executed: what is known already comes from the store, the rest runs, several
// attempts at once if asked. Several greta processes may do this on one store: a lock for each cell
// keeps two from running the same one.

#include <map>
#include <string>
#include <vector>

#include "run/attempt.h"
#include "store/store.h"
#include "system/progress.h"

namespace greta::runner {

struct CellsJob {
  const AttemptSetting& setting;
  std::string run;                                     // name of the run in the store
  std::vector<size_t> wanted;                          // indices into the plan's cells
  std::map<std::string, store::CachedCell> recovered;  // see recover.h
  int jobs = 1;
  bool force = false;      // run what is known, too
  bool fail_fast = false;  // nothing new after the first attempt that failed
};

struct CellsDone {
  std::vector<store::CellRow> rows;  // in the order of the plan; fewer than wanted when stopped
  bool interrupted = false;
  std::optional<Error> error;  // this machine's fault; what ran before it is kept
};

// Every cell that ended is in the store when this returns, whatever its status.
CellsDone run_cells(const CellsJob& job, store::Store& store, Progress& progress,
                    const Cancel& cancel);

}  // namespace greta::runner
