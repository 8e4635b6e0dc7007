#include "session/session.h"

#include <algorithm>
#include <chrono>

#include "contract/records.gen.h"
#include "session/sampler.h"
#include "trace/consistency.h"
#include "trace/probes.h"

namespace greta::engine {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double rate(int64_t tokens, double seconds) {
  return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
}

}  // namespace

struct Session::Impl {
  Parts parts;
  PrefillAgainstDecode prefill_against;
  std::vector<float> logits = {};

  Result<> check(const Request& request) const;
  Result<Generation> generate(const Request& request, const OnToken& on_token);
  Result<> write_records(const Request& request, const Generation& generation);
};

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::~Session() { impl_->parts.backend.detach_all(); }

Result<std::unique_ptr<Session>> Session::create(Parts parts) {
  TRY(parts.flags.fits(parts.config.layers, parts.config.heads));
  TRY_ASSIGN(auto probes, make_probes({.backend = parts.backend,
                                       .file = parts.file,
                                       .tokenizer = parts.tokenizer,
                                       .config = parts.config,
                                       .options = parts.options,
                                       .flags = parts.flags,
                                       .output = parts.output}));
  std::move(parts.probes.begin(), parts.probes.end(), std::back_inserter(probes));
  parts.probes = std::move(probes);
  for (const auto& probe : parts.probes) parts.backend.attach(probe.get());

  const bool one_order =
      parts.options.numerics == Numerics::strict && parts.backend.prefill_goes_as_decode();
  const double bound = consistency_bound(one_order, parts.options.kv_type);
  const PrefillAgainstDecode against(parts.config, parts.flags, bound);
  auto impl = std::make_unique<Impl>(Impl{.parts = std::move(parts), .prefill_against = against});
  impl->logits.resize(static_cast<size_t>(impl->parts.config.vocab));
  return std::unique_ptr<Session>(new Session(std::move(impl)));
}

Result<Generation> Session::run(const Request& request, const OnToken& on_token) {
  TRY(impl_->check(request));
  TRY_ASSIGN(Generation generation, impl_->generate(request, on_token));
  TRY(impl_->write_records(request, generation));
  return generation;
}

Result<> Session::Impl::check(const Request& request) const {
  const auto prompt = static_cast<int64_t>(request.prompt_tokens.size());
  if (prompt == 0) return fail(EngineExit::input, "the prompt has no token");
  if (prompt > parts.options.max_seq) {
    return fail(EngineExit::input, "the prompt has " + std::to_string(prompt) +
                                       " tokens, the context holds " +
                                       std::to_string(parts.options.max_seq));
  }
  for (size_t i = 0; i < request.prompt_tokens.size(); ++i) {
    const int32_t token = request.prompt_tokens[i];
    if (token >= 0 && token < parts.config.vocab) continue;
    return fail(EngineExit::input, "token " + std::to_string(i) + " has id " +
                                       std::to_string(token) + ", outside the vocabulary (0 to " +
                                       std::to_string(parts.config.vocab - 1) + ")");
  }
  if (request.max_tokens < 0) {
    return fail(EngineExit::usage,
                "max_tokens is " + std::to_string(request.max_tokens) + ", below 0");
  }
  return {};
}

Result<Generation> Session::Impl::generate(const Request& request, const OnToken& on_token) {
  Backend& backend = parts.backend;
  backend.reset();
  for (const auto& probe : parts.probes) probe->begin_request(request.id);

  Generation out;
  auto start = Clock::now();
  TRY(backend.forward({}, request.prompt_tokens, 1, logits));
  out.prefill_s = seconds_since(start);

  start = Clock::now();
  Sampler sampler(request.sampling);
  auto position = static_cast<int64_t>(request.prompt_tokens.size());
  out.stop_reason = "max_tokens";
  while (static_cast<int64_t>(out.tokens.size()) < request.max_tokens) {
    if (!out.tokens.empty()) {
      // The token before is fed only now that another one is wanted.
      if (position == parts.options.max_seq) {
        out.stop_reason = "context_full";
        break;
      }
      const Pass pass = {.decode = true, .step = out.decode_passes + 1, .pos0 = position};
      TRY(backend.forward(pass, {&out.tokens.back(), 1}, 1, logits));
      ++out.decode_passes;
      ++position;
    }
    TRY_ASSIGN(const int32_t token, sampler.next(logits));
    out.tokens.push_back(token);
    const std::string piece = parts.tokenizer.piece(token, false);
    out.text += piece;
    if (on_token) on_token(token, piece);
    if (request.stop_at_eos && parts.tokenizer.is_end(token)) {
      out.stop_reason = "eos";
      break;
    }
  }
  out.decode_s = seconds_since(start);
  for (const auto& probe : parts.probes) TRY(probe->end_request());
  return out;
}

Result<> Session::Impl::write_records(const Request& request, const Generation& generation) {
  std::vector<int32_t> sequence = request.prompt_tokens;
  sequence.insert(sequence.end(), generation.tokens.begin(), generation.tokens.end());
  for (size_t i = 0; i < sequence.size(); ++i) {
    record::Tokens token;
    token.index = static_cast<int64_t>(i);
    token.source = i < request.prompt_tokens.size() ? "prompt" : "generated";
    token.token_id = sequence[i];
    token.text = parts.tokenizer.piece(sequence[i], true);
    TRY(parts.output.record(request.id, token));
  }

  // The last token was never fed; it fits only if the context has room for it.
  sequence.resize(std::min(sequence.size(), static_cast<size_t>(parts.options.max_seq)));
  TRY(prefill_against.run(parts.backend, sequence, request.id, parts.output));

  record::Timing timing;
  timing.load_s = parts.load_s;
  timing.prefill_s = generation.prefill_s;
  timing.decode_s = generation.decode_s;
  timing.prefill_tok_s =
      rate(static_cast<int64_t>(request.prompt_tokens.size()), generation.prefill_s);
  timing.decode_tok_s = rate(generation.decode_passes, generation.decode_s);
  timing.threads = parts.options.threads;
  TRY(parts.output.record(request.id, timing));

  record::RequestEnd end;
  end.prompt_tokens = static_cast<int64_t>(request.prompt_tokens.size());
  end.generated_tokens = static_cast<int64_t>(generation.tokens.size());
  end.stop_reason = generation.stop_reason;
  end.text = generation.text;
  return parts.output.record(request.id, end);
}

}  // namespace greta::engine
