#pragma once
// What a killed greta leaves, and what the next one makes of it: sealed bundles that never reached
// the store are taken in, half attempts and orphaned processes and containers are removed, runs
// that nobody runs any more are closed.

#include <map>
#include <string>
#include <vector>

#include "container/executor.h"
#include "contract/result.h"
#include "store/store.h"
#include "system/layout.h"

namespace greta::runner {

struct Recovered {
  int bundles = 0;    // taken into the store
  int leftovers = 0;  // temporary folders of dead owners
  int processes = 0;  // engines on the host that outlived their greta
  int containers = 0;
  int runs = 0;  // marked interrupted
  // Ok cells of bundles that no run refers to: their greta died between sealing and its next line.
  std::map<std::string, store::CachedCell> cells;
  // Bundles that the store would not take (a damaged disk, another hand): left where they are.
  std::vector<std::string> problems;
  bool anything() const { return bundles + leftovers + processes + containers + runs > 0; }
};

Result<Recovered> recover(store::Store& store, const Layout& layout, const Executor& executor,
                          const Cancel& cancel);

}  // namespace greta::runner
