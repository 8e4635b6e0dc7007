#pragma once
// greta bisect: which commit, or which settings, made a good run bad. Probes are runs like any
// other: cells that are known do not run again.

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "replay/judge.h"
#include "run/run.h"

namespace greta::runner {

struct BisectOptions {
  std::string good, bad;      // selectors of runs; RUN#AXIS=VALUE chooses one variant of a run
  std::string gate = {};      // that decides; "" finds what tells the two apart
  std::string executor = {};  // "" takes that of the bad run
  int jobs = 1;
};

struct Probe {
  std::string what;  // "commit 0123456789ab subject", "GRETA_X=1"
  std::string run;   // its name; "" when it could not run
  Judged judged;
};

struct Setting {
  std::string name;       // "GRETA_X", "decode.backend"
  std::string good, bad;  // "" where it is not set
};

struct Bisected {
  enum class Found { commit, settings, undecided } found = Found::undecided;
  std::string how;  // what made a probe good or bad
  // commit: the first bad one and its parent in the search; undecided: those that are left.
  std::string commit, subject;
  std::vector<std::string> left;
  std::vector<Setting>
      settings;               // a smallest set that makes it bad: without any of them it is good
  std::vector<Probe> probes;  // in the order they ran
};

Result<Bisected> bisect(const Context& context, const BisectOptions& options, Progress& progress,
                        const Cancel& cancel);

// Delta debugging (Zeller and Hildebrandt 2002, ddmin): a subset of 0 … n − 1 that is bad while
// none of it can be left out. `is_bad` of the whole must be true, of the empty set false; what it
// cannot judge counts as not bad.
Result<std::vector<size_t>> smallest_bad_set(
    size_t n, const std::function<Result<bool>(const std::vector<size_t>&)>& is_bad);

}  // namespace greta::runner
