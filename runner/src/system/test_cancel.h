#pragma once
// For what nobody interrupts while it is tested.

#include "system/process.h"

namespace greta::runner {

inline const Cancel kNever;

}  // namespace greta::runner
