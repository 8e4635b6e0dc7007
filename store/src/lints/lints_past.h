#pragma once
// Lints of past runs: no kernel ids, no flags that say whether they were read, no bounds; what can
// be told is told by the figures alone.

#include "lints/lints_arms.h"

namespace greta::store {

Result<> past_lints(LintRun& run);

}  // namespace greta::store
