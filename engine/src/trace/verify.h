#pragma once
// The checks of the decode attention while it runs: fp64 oracle and KV invariants, as one probe.
// Implemented in engine/reference, which shares no code with what it judges.
//
// GRETA_TRACE_ATTN_DECODE_VERIFY=1 turns the probe on: one `attn_decode_verify` record a decode
// step,
//   layer and query head, layers from GRETA_TRACE_ATTN_LAYERS, statistics from
//   GRETA_TRACE_ATTN_POINTS.
// GRETA_ATTN_DECODE_REF=1 adds the comparison with the oracle, GRETA_TRACE_KV_INVARIANTS=1 the
//   invariants of the KV cache; fields of a check that did not run are absent from the record.
//
// What the probe needs from the forward pass, in every traced pass, prefill included: k_pre and
// v_pre of a layer before before_kv_update(), both hooks around whatever writes the cache (one
// kernel or several), decode_attention() and attn_out once a layer. Passes that are not traced are
// invisible to it, so they must not change the cache between the traced passes of one request.

#include <memory>

#include "contract/result.h"
#include "forward/backend.h"
#include "forward/probe.h"
#include "io/flags.h"
#include "io/output.h"
#include "model/model_config.h"

namespace greta::engine {

// Null when the flags ask for nothing: attach nothing then, a run without checks pays nothing.
// `output` must outlive the probe.
Result<std::unique_ptr<Probe>> make_verify_probe(const ModelConfig& config, const Flags& flags,
                                                 const BackendOptions& options, Output& output);

}  // namespace greta::engine
