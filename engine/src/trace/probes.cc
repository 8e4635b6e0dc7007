#include "trace/probes.h"

#include <iterator>
#include <utility>

#include "trace/align_trace.h"
#include "trace/landscape.h"
#include "trace/layer_delta.h"
#include "trace/post_wo.h"
#include "trace/readout.h"
#include "trace/stage_trace.h"
#include "trace/verify.h"

namespace greta::engine {

Result<std::vector<std::unique_ptr<Probe>>> make_probes(const ProbeParts& p) {
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
