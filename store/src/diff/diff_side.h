#pragma once
// The two sides of a diff, each cut down to the arms that were asked for, and its runs put
// together.

#include <map>
#include <vector>

#include "compare/pairing.h"
#include "compare/run_info.h"
#include "store/diff.h"

namespace greta::store {

struct LoadedSide {
  RunInfo info;               // of all runs together: one that differs from the others adds to it
  std::vector<RunInfo> runs;  // each of them
  std::map<std::string, int64_t> groups;  // run's name → group of runs that agree in everything
  std::vector<Mixed> mixed;               // what those do not agree in
  Reason incomparable;                    // why its runs cannot be put together
};
struct SidePair {
  LoadedSide a, b;
};

// Chosen axes are taken off the variants' axes and labels, so that what is left tells which arms
// belong together; an axis that only one side chose, and the other has, stays.
Result<SidePair> load_sides(Store& store, const Side& a, const Side& b);

// Whether runs, of either side, have other bytes under the name of this prompt.
bool other_prompt(const SidePair& sides, const std::string& prompt);

}  // namespace greta::store
