#pragma once
// From logits to the next token.

#include <cstdint>
#include <span>

#include "contract/result.h"

namespace greta::engine {

// The token with the largest logit, the smallest id among equals. EngineExit::numeric when every
// logit is NaN: there is no answer to choose.
Result<int32_t> greedy(std::span<const float> logits);

}  // namespace greta::engine
