// `bench`: tokens per second of prefill and decode, each sample from an empty cache. With --traces
// every sample is followed by one with the traces that the GRETA_ flags turn on, so that their cost
// is a ratio within one run.
#include <algorithm>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/cli.h"
#include "cli/cli_model.h"
#include "cli/cli_options.h"
#include "io/output.h"
#include "trace/probes.h"

namespace greta::engine {
namespace {

struct BenchOptions {
  ModelOptions model;
  int64_t prompt_tokens = 128, decode_tokens = 32, repeat = 5;
  std::string traces;  // folder for their records; empty: without
  bool json = false;
};

struct Samples {
  std::vector<double> prefill_tok_s, decode_tok_s;
};
struct Measured {
  Samples plain, traced;
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
  Bench(Backend& backend, const ModelConfig& config, const BenchOptions& options,
        std::span<const std::unique_ptr<Probe>> probes)
      : backend_(backend),
        config_(config),
        options_(options),
        probes_(probes),
        logits_(static_cast<size_t>(config.vocab)) {
    for (const auto& probe : probes) backend.attach(probe.get());
  }
  ~Bench() { backend_.detach_all(); }

  Result<Measured> run() {
    Measured measured;
    TRY(once(false, nullptr));  // the first pass pays for page faults of the model file
    for (int64_t i = 0; i < options_.repeat; ++i) {
      TRY(once(false, &measured.plain));
      if (!options_.traces.empty()) TRY(once(true, &measured.traced));
    }
    return measured;
  }

 private:
  Result<> once(bool traced, Samples* samples) {
    backend_.reset();
    const std::string request = "bench" + std::to_string(requests_++);
    for (const auto& probe : probes_) probe->begin_request(request);
    std::vector<int32_t> prompt;
    for (int64_t i = 0; i < options_.prompt_tokens; ++i)
      prompt.push_back(token_at(i, config_.vocab));
    TRY_ASSIGN(const double prefill_s,
               timed({.rows = options_.prompt_tokens, .traced = traced}, prompt));
    double decode_s = 0;
    for (int64_t i = 0; i < options_.decode_tokens; ++i) {
      const int64_t position = options_.prompt_tokens + i;
      const int32_t token = token_at(position, config_.vocab);
      TRY_ASSIGN(
          const double pass_s,
          timed({.decode = true, .step = i + 1, .pos0 = position, .rows = 1, .traced = traced},
                {&token, 1}));
      decode_s += pass_s;
    }
    for (const auto& probe : probes_) TRY(probe->end_request());
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
  const std::span<const std::unique_ptr<Probe>> probes_;
  std::vector<float> logits_;
  int64_t requests_ = 0;
};

// How much longer a decode step takes with traces: the median over the pairs of neighbours.
double trace_cost(const Measured& measured) {
  std::vector<double> costs;
  for (size_t i = 0; i < measured.traced.decode_tok_s.size(); ++i) {
    costs.push_back(measured.plain.decode_tok_s[i] / measured.traced.decode_tok_s[i] - 1);
  }
  return median(costs);
}

Result<> bench(const BenchOptions& options) {
  TRY_ASSIGN(const auto flags, Flags::from_process());
  TRY_ASSIGN(const auto faults, Faults::parse(flags.text("GRETA_INJECT")));
  TRY_ASSIGN(auto backend_opts, backend_options(options.model));
  TRY_ASSIGN(const auto name, resolve_backend(options.model.backend, flags));
  TRY_ASSIGN(const auto model, load_model(options.model));
  const int64_t needed = options.prompt_tokens + options.decode_tokens;
  TRY_ASSIGN(backend_opts.max_seq, sequence_capacity(model.config, flags, needed));
  if (needed > backend_opts.max_seq) {
    return fail(EngineExit::usage, std::to_string(needed) + " tokens in all do not fit into the " +
                                       std::to_string(backend_opts.max_seq) +
                                       " positions of the model");
  }
  TRY(read_weights(model.file, options.model));
  TRY_ASSIGN(const auto backend,
             make_backend(name, model.file, model.config, backend_opts, flags, faults));
  TRY_ASSIGN(const auto output, Output::open(options.traces));
  std::vector<std::unique_ptr<Probe>> probes;
  if (!options.traces.empty()) {
    TRY(flags.fits(model.config.layers, model.config.heads));
    TRY(flags.apply_output_names(*output));
    TRY_ASSIGN(probes, make_probes({.backend = *backend,
                                    .file = model.file,
                                    .tokenizer = *model.tokenizer,
                                    .config = model.config,
                                    .options = backend_opts,
                                    .flags = flags,
                                    .output = *output}));
  }
  TRY_ASSIGN(const auto measured, Bench(*backend, model.config, options, probes).run());
  for (const auto& what : flags.without_effect()) warn(what);
  const Samples& samples = measured.plain;
  if (options.json) {
    nlohmann::ordered_json out = {{"prefill_tok_s", samples.prefill_tok_s},
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
    if (!options.traces.empty()) {
      out["traced_prefill_tok_s"] = measured.traced.prefill_tok_s;
      out["traced_decode_tok_s"] = measured.traced.decode_tok_s;
      out["trace_cost_decode"] = trace_cost(measured);
    }
    return print(out.dump() + "\n");
  }
  char text[200];
  std::snprintf(
      text, sizeof text,
      "prefill %.1f tokens/s, decode %.1f tokens/s (medians of %lld, %d threads, backend %s)\n",
      median(samples.prefill_tok_s), median(samples.decode_tok_s),
      static_cast<long long>(options.repeat), backend_opts.threads, name.c_str());
  TRY(print(text));
  if (options.traces.empty()) return {};
  std::snprintf(text, sizeof text, "with traces: decode %.1f tokens/s, %.1f %% more time\n",
                median(measured.traced.decode_tok_s), 100 * trace_cost(measured));
  return print(text);
}

}  // namespace

RunCommand register_bench(CLI::App& app) {
  const auto options = std::make_shared<BenchOptions>();
  add_model_options(app, options->model);
  app.footer(
      "Each sample starts from an empty cache; the decode steps follow the prefill. Examples\n"
      "  greta-infer bench -m greta-tiny.gguf -t 2\n"
      "  greta-infer bench -m 1b.gguf -p 512 -d 64 -r 3 --json");
  add_number(app, "-p,--prompt-tokens", options->prompt_tokens, {1, kMostPositions},
             "tokens in the prefill");
  add_number(app, "-d,--decode-tokens", options->decode_tokens, {0, kMostPositions},
             "decode steps after it");
  add_number(app, "-r,--repeat", options->repeat, {1, 1'000'000},
             "samples, after one pass that does not count");
  add_path(app, "--traces", options->traces,
           "measure also with the traces that the GRETA_ flags turn on (prefill against "
           "decode, which runs after a request, aside); their records go into this folder")
      ->type_name("DIR");
  app.add_flag("--json", options->json, "every sample and the medians as JSON");
  return [options] {
    const auto result = bench(*options);
    return result ? 0 : report(result.error());
  };
}

}  // namespace greta::engine
