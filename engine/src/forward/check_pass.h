#pragma once
// What every backend asks of a pass before it computes.

#include <cstdint>
#include <span>

#include "contract/result.h"
#include "forward/kv_cache.h"
#include "forward/probe.h"
#include "model/model_config.h"

namespace greta::engine {

// EngineExit::input for tokens or positions that cannot be fed, or room of another size.
Result<> check_pass(const ModelConfig& config, const KvCache& cache, const Pass& pass,
                    std::span<const int32_t> tokens, int64_t logit_rows,
                    std::span<const float> logits);

}  // namespace greta::engine
