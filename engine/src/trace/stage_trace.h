#pragma once
// The `stage_trace` records: hash and statistics of named tensors (GRETA_TRACE_STAGE, _LAYERS,
// _POINTS, _PHASES, _POSITIONS, _HEADS, _SAMPLE).

#include <memory>

#include "forward/probe.h"
#include "io/flags.h"
#include "io/output.h"
#include "model/model_config.h"

namespace greta::engine {

// Null when GRETA_TRACE_STAGE is off. `config` and `output` must outlive the probe.
std::unique_ptr<Probe> make_stage_trace_probe(const ModelConfig& config, const Flags& flags,
                                              Output& output);

}  // namespace greta::engine
