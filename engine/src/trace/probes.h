#pragma once
// Every trace that the GRETA_TRACE_ flags turn on, as probes in the order in which they are to be
// attached. The one place that knows them all.

#include <memory>
#include <vector>

#include "contract/result.h"
#include "forward/backend.h"
#include "forward/probe.h"
#include "io/flags.h"
#include "io/output.h"
#include "model/gguf.h"
#include "model/model_config.h"
#include "tokenizer/tokenizer.h"

namespace greta::engine {

// The references must outlive the probes.
struct ProbeParts {
  const Backend& backend;
  const GgufFile& file;  // what the checks of weights read for themselves
  const Tokenizer& tokenizer;
  const ModelConfig& config;
  const BackendOptions& options;
  const Flags& flags;
  Output& output;
};
Result<std::vector<std::unique_ptr<Probe>>> make_probes(const ProbeParts& parts);

}  // namespace greta::engine
