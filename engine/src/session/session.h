#pragma once
// One loaded model answering requests: prefill, decode, records.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "contract/result.h"
#include "forward/backend.h"
#include "forward/probe.h"
#include "io/flags.h"
#include "io/output.h"
#include "model/gguf.h"
#include "model/model_config.h"
#include "session/sampler.h"
#include "tokenizer/tokenizer.h"

namespace greta::engine {

struct Request {
  std::string id;
  std::vector<int32_t> prompt_tokens;
  int64_t max_tokens = 0;  // 2: prefill gives token 1, decode0 gives token 2
  bool stop_at_eos = true;
  Sampling sampling = {};
};

struct Generation {
  std::vector<int32_t> tokens;  // an end token included
  std::string text;             // without control tokens
  std::string stop_reason;      // max_tokens, eos or context_full
  double prefill_s = 0, decode_s = 0;
  int64_t decode_passes = 0;
};

class Session {
 public:
  // The references must outlive the session.
  struct Parts {
    Backend& backend;
    const GgufFile& file;  // that the backend was made from
    const Tokenizer& tokenizer;
    const ModelConfig& config;
    const BackendOptions& options;
    const Flags& flags;
    Output& output;
    double load_s = 0;                                // goes into the timing record
    std::vector<std::unique_ptr<Probe>> probes = {};  // besides those of the flags (probes.h)
  };
  // Attaches the probes that the flags ask for, then those of `parts`.
  static Result<std::unique_ptr<Session>> create(Parts parts);
  ~Session();

  // Called with each generated token and its text as soon as it is known.
  using OnToken = std::function<void(int32_t token, const std::string& piece)>;

  // Errors (EngineExit::input): empty prompt, prompt longer than the context, token id outside the
  // vocabulary; (EngineExit::usage) max_tokens below 0; (EngineExit::numeric) no finite logit.
  // `request_end` is the last record of a request that succeeded.
  Result<Generation> run(const Request& request, const OnToken& on_token = {});

 private:
  struct Impl;
  explicit Session(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace greta::engine
