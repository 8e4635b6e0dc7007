#pragma once
// A run of the store as something that can run again: its lock, its spec, its cells.

#include <set>
#include <string>
#include <tuple>

#include "run/lock.h"
#include "store/store.h"
#include "system/context.h"

namespace greta::runner {

struct EarlierRun {
  int64_t id = 0;
  std::string name, milestone;
  Lock lock;
  Spec spec;  // from the lock; engines of the kept programs, whose files may be gone
  std::set<std::tuple<std::string, std::string, int64_t>> cells;  // variant, prompt, repeat
};

// Errors: not_comparable with what is missing ("not replayable: …") for recorded figures and for
// runs without a lock; usage where the selector chooses nothing.
Result<EarlierRun> earlier_run(store::Store& store, const std::string& selector);

// What the kept spec cannot have any more is no mistake of the command line. Errors of this machine
// stay what they are.
Error as_not_replayable(Error error, const std::string& run);

}  // namespace greta::runner
