#pragma once
// From logits to the next token.

#include <cstdint>
#include <random>
#include <span>

#include "contract/result.h"

namespace greta::engine {

// The token with the largest logit, the smallest id among equals. EngineExit::numeric when every
// logit is NaN: there is no answer to choose.
Result<int32_t> greedy(std::span<const float> logits);

struct Sampling {
  double temperature = 0;  // 0: greedy, and nothing below is used
  int64_t top_k = 0;       // the k most likely tokens; 0: all
  double top_p = 1;        // the fewest most likely ones that have this probability together
  uint64_t seed = 0;
};
// EngineExit::usage: a value that means nothing, or one that greedy decoding would ignore.
Result<> check(const Sampling& sampling);

// Draws from softmax(logits / temperature), cut by top_k, then by top_p of what is left. The draws
// of a request depend on the seed and on its own logits alone, never on other requests.
class Sampler {
 public:
  explicit Sampler(const Sampling& sampling) : sampling_(sampling), random_(sampling.seed) {}
  // Errors as greedy().
  Result<int32_t> next(std::span<const float> logits);

 private:
  Sampling sampling_;
  std::mt19937_64 random_;
};

}  // namespace greta::engine
