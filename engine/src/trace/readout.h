#pragma once
// The `readout` record of each pass: final residual stream, final norm and logits of the last
// position.

#include <memory>

#include "forward/probe.h"
#include "io/flags.h"
#include "io/output.h"
#include "model/model_config.h"
#include "tokenizer/tokenizer.h"

namespace greta::engine {

// Null when GRETA_TRACE_READOUT is off. The references must outlive the probe.
std::unique_ptr<Probe> make_readout_probe(const ModelConfig& config, const Tokenizer& tokenizer,
                                          const Flags& flags, Output& output);

}  // namespace greta::engine
