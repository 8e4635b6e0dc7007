#pragma once
// The `attn_align` records: alignment of every address that the decode attention touches, counted
// over a request (GRETA_TRACE_ATTN_ALIGN or GRETA_TRACE_ATTN_DECODE_VERIFY). The first address of a
// request below what the kernel wants is named on stderr as well, in one line that starts with
// [ATTN_ALIGN].

#include <memory>

#include "forward/probe.h"
#include "io/flags.h"
#include "io/output.h"
#include "model/model_config.h"

namespace greta::engine {

// Null when both flags are off. `output` must outlive the probe.
std::unique_ptr<Probe> make_align_trace_probe(const ModelConfig& config, const Flags& flags,
                                              Output& output);

}  // namespace greta::engine
