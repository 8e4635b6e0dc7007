#pragma once
// The `post_wo_trace` records: the output projection of the attention and the residual sum after it
// (GRETA_TRACE_POST_WO, _LAYERS, _PHASES, _POSITIONS, _SAMPLE).

#include <memory>

#include "forward/probe.h"
#include "io/flags.h"
#include "io/output.h"
#include "model/model_config.h"

namespace greta::engine {

// Null when GRETA_TRACE_POST_WO is off. `output` must outlive the probe.
std::unique_ptr<Probe> make_post_wo_probe(const ModelConfig& config, const Flags& flags,
                                          Output& output);

}  // namespace greta::engine
