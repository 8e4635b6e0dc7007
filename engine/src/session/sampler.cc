#include "session/sampler.h"

#include "kernels/kernels.h"

namespace greta::engine {

Result<int32_t> greedy(std::span<const float> logits) {
  const kernels::Top2 top = kernels::top2(logits);
  if (top.id[0] >= 0) return static_cast<int32_t>(top.id[0]);
  return fail(EngineExit::numeric, "all " + std::to_string(logits.size()) + " logits are NaN");
}

}  // namespace greta::engine
