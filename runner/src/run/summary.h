#pragma once
// What a run ends with, for people.

#include <string>
#include <vector>

#include "run/run_cells.h"
#include "store/gates.h"

namespace greta::runner {

// Cells a variant, the reasons of those that are not ok.
std::string cells_text(const std::vector<store::CellRow>& rows, size_t wanted);
// One line a gate: "pass", "FAIL", "none" (measured nothing), "error".
std::string gates_text(const std::vector<store::GateOutcome>& gates);

}  // namespace greta::runner
