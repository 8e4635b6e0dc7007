// `run`: requests in, text on stdout, records in --out.
#include <chrono>
#include <memory>

#include "cli/cli.h"
#include "cli/cli_input.h"
#include "cli/cli_interrupt.h"
#include "cli/cli_model.h"
#include "cli/cli_options.h"
#include "contract/text.h"
#include "io/output.h"
#include "io/requests.h"
#include "session/session.h"
#include "tokenizer/unicode.h"
#include "trace/logits_dump.h"

namespace greta::engine {
namespace {

struct RunOptions {
  ModelOptions model;
  std::string prompt, prompt_file, tokens_file, requests_file, out;
  bool has_prompt = false, no_stop_at_eos = false, dump_logits = false, greedy = false;
  int64_t max_tokens = 32;
  Sampling sampling;
};

// One run of the process: what it needs, and what it has to tell at its end.
class Run {
 public:
  Run(const RunOptions& options, Flags flags, BackendOptions backend_opts, std::string backend,
      std::unique_ptr<Output> output)
      : options_(options),
        flags_(std::move(flags)),
        backend_options_(backend_opts),
        output_(std::move(output)) {
    effective_.backend = std::move(backend);
    effective_.numerics = options.model.numerics;
    effective_.kv_type = options.model.kv_type;
    effective_.threads = backend_opts.threads;
    effective_.model_file = options.model.model;
    effective_.sampling = options.sampling;
  }

  // The exit code. effective.json is written whatever happened, so that a failed run says what it
  // read.
  int run() {
    int code = 0;
    const auto done = load_and_serve();
    if (done) {
      for (const auto& what : flags_.without_effect()) warn(what);
    } else {
      code = report(done.error());
    }
    if (first_failure_ != 0) code = first_failure_;
    if (session_) effective_.kernels = backend_->launches();
    if (const auto written =
            output_->write_file("effective.json", effective_json(effective_, flags_));
        !written) {
      const int failed = report(written.error());
      if (code == 0) code = failed;
    }
    return code;
  }

 private:
  Result<> load_and_serve() {
    const auto start = std::chrono::steady_clock::now();
    TRY_ASSIGN(const auto faults, Faults::parse(flags_.text("GRETA_INJECT")));
    TRY(flags_.apply_output_names(*output_));
    TRY_ASSIGN(auto model, load_model(options_.model));
    model_ = std::make_unique<LoadedModel>(std::move(model));
    effective_.model = model_->config;
    TRY(flags_.fits(model_->config.layers, model_->config.heads));
    TRY(faults.fits(model_->config.layers, model_->config.heads));
    TRY_ASSIGN(const auto requests, read_requests());
    TRY(make_session(requests, faults, start));
    return serve(requests);
  }

  Result<std::vector<Prompt>> read_prompts() const {
    Prompt prompt;
    prompt.id = "prompt";
    if (!options_.requests_file.empty()) {
      TRY_ASSIGN(const auto text, read_input(options_.requests_file));
      return parse_requests(text, options_.requests_file, model_->config.vocab);
    }
    if (!options_.tokens_file.empty()) {
      TRY_ASSIGN(const auto text, read_input(options_.tokens_file));
      TRY_ASSIGN(prompt.token_ids,
                 parse_token_ids(text, options_.tokens_file, model_->config.vocab));
    } else if (!options_.prompt_file.empty()) {
      TRY_ASSIGN(prompt.text, read_input(options_.prompt_file));
    } else {
      prompt.text = options_.prompt;
    }
    return std::vector<Prompt>{prompt};
  }

  Result<std::vector<Request>> read_requests() const {
    TRY_ASSIGN(const auto prompts, read_prompts());
    std::vector<Request> requests;
    for (const Prompt& prompt : prompts) {
      Request request{.id = prompt.id,
                      .prompt_tokens = prompt.token_ids.value_or(std::vector<int32_t>{}),
                      .max_tokens = prompt.max_tokens.value_or(options_.max_tokens),
                      .stop_at_eos = !options_.no_stop_at_eos,
                      .sampling = options_.sampling};
      if (prompt.text) {
        if (const auto doubt = prompt_warning(*prompt.text, options_.has_prompt)) {
          warn(prompts.size() > 1 ? "request `" + printable(prompt.id) + "`: " + *doubt : *doubt);
        }
        request.prompt_tokens = model_->tokenizer->encode(
            *prompt.text, model_->tokenizer->adds_bos(), /*parse_special=*/true);
      }
      requests.push_back(std::move(request));
    }
    return requests;
  }

  Result<> make_session(const std::vector<Request>& requests, const Faults& faults,
                        std::chrono::steady_clock::time_point start) {
    int64_t needed = 0;
    for (const Request& request : requests) {
      needed =
          std::max(needed, static_cast<int64_t>(request.prompt_tokens.size()) + request.max_tokens);
    }
    TRY_ASSIGN(backend_options_.max_seq, sequence_capacity(model_->config, flags_, needed));
    TRY(read_weights(model_->file, options_.model));
    TRY_ASSIGN(backend_, make_backend(effective_.backend, model_->file, model_->config,
                                      backend_options_, flags_, faults));
    effective_.isa = backend_->isa();
    effective_.device = backend_->device_name();
    std::vector<std::unique_ptr<Probe>> probes;
    if (options_.dump_logits) probes.push_back(make_logits_dump(*output_));
    probes.push_back(make_interrupt_probe());
    const std::chrono::duration<double> load = std::chrono::steady_clock::now() - start;
    TRY_ASSIGN(session_, Session::create({.backend = *backend_,
                                          .file = model_->file,
                                          .tokenizer = *model_->tokenizer,
                                          .config = model_->config,
                                          .options = backend_options_,
                                          .flags = flags_,
                                          .output = *output_,
                                          .load_s = load.count(),
                                          .probes = std::move(probes)}));
    return {};
  }

  // A request that cannot be answered does not take the others with it; a device, a disk or a
  // signal does.
  Result<> serve(const std::vector<Request>& requests) {
    for (const Request& request : requests) {
      const auto answered = answer(request, requests.size() > 1);
      if (answered) continue;
      Error error = answered.error();
      const bool only_this_one = error.exit_code == static_cast<int>(EngineExit::input) ||
                                 error.exit_code == static_cast<int>(EngineExit::numeric);
      if (!only_this_one) return answered;
      if (!options_.requests_file.empty()) {
        error.message = "request `" + printable(request.id) + "`: " + error.message;
      }
      const int code = report(error);
      if (first_failure_ == 0) first_failure_ = code;
    }
    return {};
  }

  Result<> answer(const Request& request, bool one_of_several) {
    if (one_of_several) TRY(print("## " + printable(request.id, 400) + "\n"));
    Utf8Stream stream;
    Result<> printed;
    const auto done = session_->run(request, [&](int32_t, const std::string& piece) {
      if (printed) printed = print(stream.push(piece));
    });
    if (printed) printed = print(stream.finish() + "\n");
    if (!done) return tl::unexpected(done.error());
    return printed;
  }

  const RunOptions& options_;
  Flags flags_;
  BackendOptions backend_options_;
  std::unique_ptr<Output> output_;
  EffectiveRun effective_;
  std::unique_ptr<LoadedModel> model_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Session> session_;
  int first_failure_ = 0;
};

Result<int> run(const RunOptions& options) {
  const int inputs = static_cast<int>(options.has_prompt) +
                     static_cast<int>(!options.prompt_file.empty()) +
                     static_cast<int>(!options.tokens_file.empty()) +
                     static_cast<int>(!options.requests_file.empty());
  if (inputs != 1) {
    return fail(EngineExit::usage,
                std::string(inputs == 0 ? "no prompt" : "more than one prompt") +
                    "; give one of --prompt, --prompt-file, --tokens, --requests");
  }
  if (options.model.model.empty())
    return fail(EngineExit::usage, "no model; give one with --model FILE");
  if (options.dump_logits && options.out.empty()) {
    return fail(EngineExit::usage, "--dump-logits writes into --out, which is not given");
  }
  TRY(check(options.sampling));
  if (options.greedy && options.sampling.temperature > 0) {
    return fail(EngineExit::usage, "--greedy and --temperature above 0 contradict each other");
  }
  TRY_ASSIGN(auto flags, Flags::from_process());
  TRY_ASSIGN(const auto backend_opts, backend_options(options.model));
  TRY_ASSIGN(auto backend, resolve_backend(options.model.backend, flags));
  TRY_ASSIGN(auto output, Output::open(options.out));
  catch_interrupts();
  return Run(options, std::move(flags), backend_opts, std::move(backend), std::move(output)).run();
}

}  // namespace

RunCommand register_run(CLI::App& app) {
  const auto options = std::make_shared<RunOptions>();
  auto* const prompt =
      app.add_option("-p,--prompt", options->prompt, "the prompt itself")->type_name("TEXT");
  add_path(app, "-f,--prompt-file", options->prompt_file,
           "a file whose bytes are the prompt, the last line break too; - is standard input");
  add_path(app, "--tokens", options->tokens_file, "a file of token ids: 1 2 3 or [1,2,3]");
  add_path(app, "-r,--requests", options->requests_file,
           "JSON Lines, one {\"id\":…, \"text\":… or \"tokens\":…, \"max_tokens\":…} a line");
  add_number(app, "-n,--max-tokens", options->max_tokens, {0, kMostTokens},
             "tokens to generate; 2 is one by the prefill and one by decode0");
  add_path(app, "-o,--out", options->out, "folder for records and effective.json; absent or empty")
      ->type_name("DIR");
  add_model_options(app, options->model);
  app.add_flag("--greedy", options->greedy, "take the token with the largest logit (the default)");
  app.add_option("--temperature", options->sampling.temperature,
                 "draw from softmax(logits / T); 0 takes the largest")
      ->type_name("T")
      ->capture_default_str();
  add_number(app, "--top-k", options->sampling.top_k, {0, kMostPositions},
             "draw from the K most likely; 0: from all")
      ->type_name("K");
  app.add_option("--top-p", options->sampling.top_p,
                 "draw from the fewest most likely tokens that have probability P together")
      ->type_name("P")
      ->capture_default_str();
  add_number(app, "--seed", options->sampling.seed, {0, UINT64_MAX},
             "of the draws: the same seed, the same text");
  app.add_flag("--no-stop-at-eos", options->no_stop_at_eos, "go on after an end token");
  app.add_flag("--dump-logits", options->dump_logits,
               "write the logits of each request as fp32 into --out");
  app.footer(
      "Special tokens written in a prompt (<|eot_id|>) are recognised, and a begin-of-text token "
      "is\n"
      "put in front unless the prompt starts with it.\n\nExamples\n"
      "  greta-infer run -m greta-tiny.gguf -p 'The capital of Peru is' -n 6\n"
      "  greta-infer run -m greta-tiny.gguf -r requests.jsonl -n 2 -o out --threads 2\n"
      "  GRETA_FORCE_ATTN_DECODE_KERNEL=manual GRETA_TRACE_ATTN_DECODE_VERIFY=1 \\\n"
      "    GRETA_ATTN_DECODE_REF=1 greta-infer run -m greta-tiny.gguf -p Hi -n 2 -o out");
  return [options, prompt] {
    options->has_prompt = prompt->count() > 0;
    const auto code = run(*options);
    return code ? *code : report(code.error());
  };
}

}  // namespace greta::engine
