#pragma once
// Injected faults of how weights are laid out or read: the view of a matrix is replaced by one of a
// wrong copy, so that the kernels that multiply with it are those of a clean run.

#include "forward/faults.h"
#include "forward/weights.h"

namespace greta::engine {

void place_weight_faults(const Faults& faults, Weights& weights);

}  // namespace greta::engine
