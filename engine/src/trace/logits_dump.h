#pragma once
// The logits of a request as a file of its own, for comparisons outside of greta (--dump-logits).

#include <memory>

#include "forward/probe.h"
#include "io/output.h"

namespace greta::engine {

// Writes logits-<n>.f32 for the n-th request (from 0) and a `logits_dump` record that names it. The
// rows of a request are kept in memory until it ends: vocab × 4 bytes × passes.
std::unique_ptr<Probe> make_logits_dump(Output& output);

}  // namespace greta::engine
