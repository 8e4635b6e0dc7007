#pragma once
// The traces that judge what ran by an fp64 computation of their own, as probes. Implemented in
// engine/reference, which shares no code with what it judges.
//
// The decode attention, and what it wrote into the KV cache:
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
#include "model/gguf.h"
#include "model/model_config.h"

namespace greta::engine {

// Each is null when the flags ask for nothing: attach nothing then, a run without checks pays
// nothing. References must outlive the probes.
Result<std::unique_ptr<Probe>> make_verify_probe(const ModelConfig& config, const Flags& flags,
                                                 const BackendOptions& options, Output& output);

// mfma_vs_valu (GRETA_ATTN_DECODE_MFMA_SHADOW), for the layers, heads, phases and positions of
// GRETA_TRACE_ATTN_….
std::unique_ptr<Probe> make_shadow_probe(const ModelConfig& config, const Flags& flags,
                                         const BackendOptions& options, Output& output);

// attn_softmax_trace, attn_vacc_trace, attn_precision_ref, v_addr_trace: the steps of the attention
// one by one (GRETA_TRACE_ATTN_SOFTMAX, _VACC, _REF, GRETA_TRACE_V_ADDR), for the layers, heads,
// phases and positions of GRETA_TRACE_ATTN_….
std::unique_ptr<Probe> make_attention_trace_probe(const ModelConfig& config, const Flags& flags,
                                                  const BackendOptions& options, Output& output);

// qkv_w_verify, wo_verify, lmhead_w_verify, embed_verify, lmhead_cpu_probe: weights as the backend
// reads them against the bytes of the file, and products with them against fp64.
struct WeightTraceParts {
  const Backend& backend;
  const GgufFile& file;
  const ModelConfig& config;
  const BackendOptions& options;
  const Flags& flags;
  Output& output;
};
Result<std::unique_ptr<Probe>> make_weight_trace_probe(const WeightTraceParts& parts);

// rmsnorm_trace (GRETA_TRACE_RMSNORM, with fp64 where GRETA_TRACE_RMS_VERIFY is on).
Result<std::unique_ptr<Probe>> make_norm_trace_probe(const ModelConfig& config,
                                                     const GgufFile& file, const Flags& flags,
                                                     Output& output);

}  // namespace greta::engine
