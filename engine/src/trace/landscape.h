#pragma once
// The `landscape` record of each pass: how the logits lie around the answer (GRETA_TRACE_LANDSCAPE,
// _PHASES).

#include <memory>

#include "forward/probe.h"
#include "io/flags.h"
#include "io/output.h"
#include "model/model_config.h"

namespace greta::engine {

// Null when GRETA_TRACE_LANDSCAPE is off. `output` must outlive the probe.
std::unique_ptr<Probe> make_landscape_probe(const ModelConfig& config, const Flags& flags,
                                            Output& output);

}  // namespace greta::engine
