#include "forward/check_pass.h"

#include <string>

namespace greta::engine {

Result<> check_pass(const ModelConfig& config, const KvCache& cache, const Pass& pass,
                    std::span<const int32_t> tokens, int64_t logit_rows,
                    std::span<const float> logits) {
  const auto vocab = static_cast<size_t>(config.vocab);
  if (tokens.empty()) return fail(EngineExit::input, "forward pass without a token");
  if (pass.decode && tokens.size() != 1) {
    return fail(EngineExit::input,
                "a decode pass takes one token, not " + std::to_string(tokens.size()));
  }
  if (pass.pos0 != cache.length) {
    return fail(EngineExit::input, "position " + std::to_string(pass.pos0) +
                                       " is not the next one, " + std::to_string(cache.length));
  }
  if (pass.pos0 + pass.rows > cache.capacity) {
    return fail(EngineExit::input, "the KV cache holds " + std::to_string(cache.capacity) +
                                       " positions, position " +
                                       std::to_string(pass.pos0 + pass.rows - 1) + " is outside");
  }
  for (const int32_t token : tokens) {
    if (token >= 0 && token < config.vocab) continue;
    return fail(EngineExit::input, "token id " + std::to_string(token) +
                                       " is outside the vocabulary (0 to " +
                                       std::to_string(config.vocab - 1) + ")");
  }
  if (logit_rows < 0 || logit_rows > pass.rows ||
      logits.size() != static_cast<size_t>(logit_rows) * vocab) {
    return fail(EngineExit::input, "room for " + std::to_string(logits.size() / vocab) +
                                       " rows of logits, asked for " + std::to_string(logit_rows) +
                                       " of " + std::to_string(pass.rows));
  }
  return {};
}

}  // namespace greta::engine
