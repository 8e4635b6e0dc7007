#pragma once
// The `layer_delta` records: what each layer adds to the residual stream, and whether the sums that
// were shown are the sums of what was shown (GRETA_TRACE_LAYER_DELTA, _LAYERS, _PHASES,
// _POSITIONS).

#include <memory>

#include "forward/probe.h"
#include "io/flags.h"
#include "io/output.h"
#include "model/model_config.h"

namespace greta::engine {

// Null when GRETA_TRACE_LAYER_DELTA is off. `output` must outlive the probe.
std::unique_ptr<Probe> make_layer_delta_probe(const ModelConfig& config, const Flags& flags,
                                              Output& output);

}  // namespace greta::engine
