#include "trace/probes.h"

#include <iterator>
#include <string>
#include <utility>

#include "trace/align_trace.h"
#include "trace/landscape.h"
#include "trace/layer_delta.h"
#include "trace/post_wo.h"
#include "trace/readout.h"
#include "trace/stage_trace.h"
#include "trace/verify.h"

namespace greta::engine {
namespace {

// Traces that look into the cache itself: without one they would say nothing, and a record that
// lacks a check looks like one that was not asked for.
Result<> check_cache(const Backend& backend, const Flags& flags) {
  if (backend.kv_cache() != nullptr) return {};
  const char* flag = nullptr;
  if (flags.boolean("GRETA_TRACE_ATTN_DECODE_VERIFY") &&
      flags.boolean("GRETA_TRACE_KV_INVARIANTS")) {
    flag = "GRETA_TRACE_KV_INVARIANTS";
  }
  if (flags.boolean("GRETA_TRACE_V_ADDR")) flag = "GRETA_TRACE_V_ADDR";
  if (flag == nullptr) return {};
  return fail(
      EngineExit::device,
      std::string(flag) + "=1: this backend has no KV cache to look into; --backend cpu has");
}

}  // namespace

Result<std::vector<std::unique_ptr<Probe>>> make_probes(const ProbeParts& p) {
  TRY(check_cache(p.backend, p.flags));
  std::vector<std::unique_ptr<Probe>> probes;
  probes.push_back(make_readout_probe(p.config, p.tokenizer, p.flags, p.output));
  probes.push_back(make_landscape_probe(p.config, p.flags, p.output));
  probes.push_back(make_stage_trace_probe(p.config, p.flags, p.output));
  probes.push_back(make_layer_delta_probe(p.config, p.flags, p.output));
  probes.push_back(make_post_wo_probe(p.config, p.flags, p.output));
  probes.push_back(make_align_trace_probe(p.config, p.flags, p.output));
  TRY_ASSIGN(auto verify, make_verify_probe(p.config, p.flags, p.options, p.output));
  probes.push_back(std::move(verify));
  probes.push_back(make_shadow_probe(p.config, p.flags, p.options, p.output));
  probes.push_back(make_attention_trace_probe(p.config, p.flags, p.options, p.output));
  TRY_ASSIGN(auto weights, make_weight_trace_probe({.backend = p.backend,
                                                    .file = p.file,
                                                    .config = p.config,
                                                    .options = p.options,
                                                    .flags = p.flags,
                                                    .output = p.output}));
  probes.push_back(std::move(weights));
  TRY_ASSIGN(auto norms, make_norm_trace_probe(p.config, p.file, p.flags, p.output));
  probes.push_back(std::move(norms));
  std::erase(probes, nullptr);
  return probes;
}

}  // namespace greta::engine
