#pragma once
// One gate against one run. The arithmetic is SQL over the scoped views, so that the query kept
// with the outcome is the one that was judged. Only where a partner takes part (gates_pairs.h) are
// records copied out; the query then gives the worst figure and its partner's.

#include <string>
#include <vector>

#include "compare/run_info.h"
#include "store/gates.h"

namespace greta::store {

struct GateInput {
  Store& store;
  int64_t run = 0;
  const std::vector<KindInfo>& kinds;  // all that the store knows
};

// Never fails: what goes wrong becomes GateStatus::error with the message.
GateOutcome measure_gate(const GateInput& input, const Gate& gate);

}  // namespace greta::store
