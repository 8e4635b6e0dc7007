// `bench`: tokens per second of prefill and decode, each sample from an empty cache.
#include <algorithm>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/cli.h"
#include "cli/cli_model.h"

namespace greta::engine {
namespace {

struct BenchOptions {
  ModelOptions model;
  int64_t prompt_tokens = 128, decode_tokens = 32, repeat = 5;
  bool json = false;
};

struct Samples {
  std::vector<double> prefill_tok_s, decode_tok_s;
};

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

// Ids spread over the vocabulary; which ones does not matter to the speed.
int32_t token_at(int64_t position, int64_t vocab) {
  return static_cast<int32_t>((position * 7919 + 1) % vocab);
}

class Bench {
 public:
  Bench(Backend& backend, const ModelConfig& config, const BenchOptions& options)
      : backend_(backend),
        config_(config),
        options_(options),
        logits_(static_cast<size_t>(config.vocab)) {}

  Result<Samples> run() {
    Samples samples;
    TRY(once(nullptr));  // the first pass pays for page faults of the model file
    for (int64_t i = 0; i < options_.repeat; ++i) TRY(once(&samples));
    return samples;
  }

 private:
  Result<> once(Samples* samples) {
    backend_.reset();
    std::vector<int32_t> prompt;
    for (int64_t i = 0; i < options_.prompt_tokens; ++i)
      prompt.push_back(token_at(i, config_.vocab));
    TRY_ASSIGN(const double prefill_s,
               timed({.rows = options_.prompt_tokens, .traced = false}, prompt));
    double decode_s = 0;
    for (int64_t i = 0; i < options_.decode_tokens; ++i) {
      const int64_t position = options_.prompt_tokens + i;
      const int32_t token = token_at(position, config_.vocab);
      TRY_ASSIGN(
          const double pass_s,
          timed({.decode = true, .step = i + 1, .pos0 = position, .rows = 1, .traced = false},
                {&token, 1}));
      decode_s += pass_s;
    }
    if (samples == nullptr) return {};
    samples->prefill_tok_s.push_back(static_cast<double>(options_.prompt_tokens) / prefill_s);
    if (options_.decode_tokens > 0) {
      samples->decode_tok_s.push_back(static_cast<double>(options_.decode_tokens) / decode_s);
    }
    return {};
  }

  Result<double> timed(const Pass& pass, std::span<const int32_t> tokens) {
    const auto start = std::chrono::steady_clock::now();
    TRY(backend_.forward(pass, tokens, 1, logits_));
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  Backend& backend_;
  const ModelConfig& config_;
  const BenchOptions& options_;
  std::vector<float> logits_;
};

Result<> bench(const BenchOptions& options) {
  if (options.prompt_tokens < 1 || options.decode_tokens < 0 || options.repeat < 1) {
    return fail(EngineExit::usage,
                "--prompt-tokens and --repeat must be at least 1, --decode-tokens 0");
  }
  TRY_ASSIGN(const auto flags, Flags::from_process());
  TRY_ASSIGN(const auto faults, Faults::parse(flags.text("GRETA_INJECT")));
  TRY_ASSIGN(auto backend_opts, backend_options(options.model));
  TRY_ASSIGN(const auto name, resolve_backend(options.model.backend));
  TRY_ASSIGN(const auto model, load_model(options.model.model));
  const int64_t needed = options.prompt_tokens + options.decode_tokens;
  TRY_ASSIGN(backend_opts.max_seq, sequence_capacity(model.config, flags, needed));
  if (needed > backend_opts.max_seq) {
    return fail(EngineExit::usage, std::to_string(needed) + " tokens in all do not fit into the " +
                                       std::to_string(backend_opts.max_seq) +
                                       " positions of the model");
  }
  TRY_ASSIGN(const auto backend,
             make_backend(name, model.file, model.config, backend_opts, flags, faults));
  TRY_ASSIGN(const auto samples, Bench(*backend, model.config, options).run());
  if (options.json) {
    const nlohmann::ordered_json out = {{"prefill_tok_s", samples.prefill_tok_s},
                                        {"decode_tok_s", samples.decode_tok_s},
                                        {"prefill_tok_s_median", median(samples.prefill_tok_s)},
                                        {"decode_tok_s_median", median(samples.decode_tok_s)},
                                        {"prompt_tokens", options.prompt_tokens},
                                        {"decode_tokens", options.decode_tokens},
                                        {"threads", backend_opts.threads},
                                        {"backend", name},
                                        {"isa", backend->isa()},
                                        {"numerics", options.model.numerics},
                                        {"kv_type", options.model.kv_type}};
    return print(out.dump() + "\n");
  }
  char text[200];
  std::snprintf(text, sizeof text,
                "prefill %.1f tokens/s, decode %.1f tokens/s (medians of %lld, %d threads)\n",
                median(samples.prefill_tok_s), median(samples.decode_tok_s),
                static_cast<long long>(options.repeat), backend_opts.threads);
  return print(text);
}

}  // namespace

RunCommand register_bench(CLI::App& app) {
  const auto options = std::make_shared<BenchOptions>();
  add_model_options(app, options->model);
  app.add_option("-p,--prompt-tokens", options->prompt_tokens, "tokens in the prefill")
      ->type_name("N")
      ->capture_default_str();
  app.add_option("-d,--decode-tokens", options->decode_tokens, "decode steps after it")
      ->type_name("N")
      ->capture_default_str();
  app.add_option("-r,--repeat", options->repeat, "samples, after one pass that does not count")
      ->type_name("N")
      ->capture_default_str();
  app.add_flag("--json", options->json, "every sample and the medians as JSON");
  return [options] {
    const auto result = bench(*options);
    return result ? 0 : report(result.error());
  };
}

}  // namespace greta::engine
