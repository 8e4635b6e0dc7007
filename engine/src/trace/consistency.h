#pragma once
// Prefill against decode: the whole token sequence of a request, teacher-forced. Its last `span`
// positions are computed by decode, one given token after another, and again by one prefill; what
// lies at the same positions is compared. The probes of the session do not see these passes.
//   GRETA_TRACE_PREFILL_DECODE        logits: prefill_decode_consistency
//   GRETA_TRACE_HIDDEN_EQUIV          the tensors that its flags select: hidden_equiv
//   GRETA_TRACE_PREFILL_DECODE_DELTA  what a position comes to, and where it starts to differ

#include <cstdint>
#include <span>
#include <string>

#include "contract/result.h"
#include "forward/backend.h"
#include "io/flags.h"
#include "io/output.h"
#include "model/model_config.h"
#include "trace/selection.h"

namespace greta::engine {

// The rel_l2 that a correct engine cannot exceed. one_order: 0, prefill and decode add up every sum
// in one order and round K and V alike (strict numerics, where both go by the same kernels). Else
// 1e-5 for fp32 KV; with 16-bit KV a difference in the last fp32 place may round an element of K or
// V to its other neighbour, a relative change of 2u (u = 2⁻¹¹ fp16, 2⁻⁹ bf16) for each of K and V:
// 4u.
double consistency_bound(bool one_order, KvType kv_type);

class PrefillAgainstDecode {
 public:
  // `config` must outlive the check.
  PrefillAgainstDecode(const ModelConfig& config, const Flags& flags, double bound);
  bool wanted() const { return logits_ || hidden_equiv_ || delta_; }
  // Leaves the backend reset. Fewer than two tokens: nothing to compare, no record.
  Result<> run(Backend& backend, std::span<const int32_t> tokens, const std::string& request,
               Output& output) const;

 private:
  const ModelConfig& config_;
  bool logits_, hidden_equiv_, delta_;
  int64_t span_ = 0;
  double bound_;
  Selection selection_;
};

}  // namespace greta::engine
