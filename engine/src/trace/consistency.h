#pragma once
// prefill_decode_consistency (GRETA_TRACE_PREFILL_DECODE): the whole token sequence of a request,
// teacher-forced. Its last `span` positions are computed by decode, one given token after another,
// and again by one prefill; logits at the same positions are compared. Probes do not see these
// passes.

#include <cstdint>
#include <span>
#include <string>

#include "contract/result.h"
#include "forward/backend.h"
#include "io/output.h"
#include "model/model_config.h"

namespace greta::engine {

// The rel_l2 that a correct engine cannot exceed. strict: 0, every reduction order is fixed and
// both ways round K and V alike. fast: 1e-5 for fp32 KV; with 16-bit KV a difference in the last
// fp32 place may round an element of K or V to its other neighbour, a relative change of 2u (u =
// 2⁻¹¹ fp16, 2⁻⁹ bf16) for each of K and V: 4u.
double consistency_bound(Numerics numerics, KvType kv_type);

// Leaves the backend reset. Fewer than two tokens: nothing to compare, no record.
Result<> check_consistency(Backend& backend, const ModelConfig& config, double bound,
                           std::span<const int32_t> tokens, int64_t span,
                           const std::string& request, Output& output);

}  // namespace greta::engine
