// `perplexity`: how well the model predicts a text; what its logits are, and how far from
// another's.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/cli.h"
#include "cli/cli_input.h"
#include "cli/cli_interrupt.h"
#include "cli/cli_model.h"
#include "cli/cli_options.h"
#include "cli/cli_progress.h"
#include "contract/text.h"
#include "io/requests.h"
#include "session/logits_file.h"
#include "session/perplexity.h"

namespace greta::engine {
namespace {

using Json = nlohmann::ordered_json;

struct PerplexityOptions {
  ModelOptions model;
  std::string file, tokens_file, save_logits, against;
  std::optional<int64_t> context, stride;
  int64_t windows = 0;  // 0: all
  bool no_bos = false, no_special = false, json = false;
};

// What is scored: tokens, their windows, and what the run is held against.
struct Plan {
  LogitsHeader header;  // of this run
  std::vector<Window> windows;
  std::optional<LogitsReader> base;
};

class PerplexityRun {
 public:
  PerplexityRun(const PerplexityOptions& options, const LoadedModel& model, const Flags& flags,
                std::string backend, BackendOptions backend_opts)
      : options_(options),
        model_(model),
        flags_(flags),
        name_(std::move(backend)),
        backend_options_(backend_opts) {}

  Result<> run() {
    TRY_ASSIGN(Plan plan, make_plan());
    TRY(make_engine(plan.header.layout.context));
    const auto start = std::chrono::steady_clock::now();
    TRY(score(plan));
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    for (const auto& what : flags_.without_effect()) warn(what);
    return print(options_.json ? json(plan, seconds.count()) : text(plan, seconds.count()));
  }

 private:
  Result<std::vector<int32_t>> read_tokens() const {
    const std::string& path = options_.file.empty() ? options_.tokens_file : options_.file;
    TRY_ASSIGN(const auto text, read_input(path));
    if (options_.file.empty()) return parse_token_ids(text, path, model_.config.vocab);
    return model_.tokenizer->encode(text, model_.tokenizer->adds_bos() && !options_.no_bos,
                                    !options_.no_special);
  }

  int32_t bos() const {
    if (options_.no_bos) return -1;
    const auto ids = model_.tokenizer->encode("", model_.tokenizer->adds_bos(), false);
    return ids.empty() ? -1 : ids.front();
  }

  // A base says what the text was and how it was cut, unless the command line does; both must then
  // say the same.
  Result<Plan> make_plan() const {
    Plan plan;
    LogitsHeader& here = plan.header;
    here.vocab = model_.config.vocab;
    here.layout = {.context = std::min<int64_t>(512, model_.config.context), .bos = bos()};
    if (!options_.against.empty()) {
      TRY_ASSIGN(plan.base, LogitsReader::open(options_.against));
      here.layout.context = plan.base->header().layout.context;
      here.layout.stride = plan.base->header().layout.stride;
    }
    here.layout.context = options_.context.value_or(here.layout.context);
    here.layout.stride = options_.stride.value_or(here.layout.stride);
    if (here.layout.context > model_.config.context) {
      return fail(EngineExit::usage, "--context " + std::to_string(here.layout.context) +
                                         ": the model was trained for " +
                                         std::to_string(model_.config.context) + " positions");
    }
    if (options_.file.empty() && options_.tokens_file.empty()) {
      here.tokens = plan.base->header().tokens;
      if (!options_.no_bos) here.layout.bos = plan.base->header().layout.bos;
    } else {
      TRY_ASSIGN(here.tokens, read_tokens());
    }
    TRY(cut(plan));
    if (plan.base) TRY(check_comparable(plan.base->header(), here, plan.base->path()));
    if (plan.base || !options_.save_logits.empty()) {
      TRY_ASSIGN(here.model_hash, hash_of_file(options_.model.model));
    }
    return plan;
  }

  // The windows, and of the tokens only those that are in one of them.
  Result<> cut(Plan& plan) const {
    LogitsHeader& here = plan.header;
    TRY_ASSIGN(plan.windows, make_windows(static_cast<int64_t>(here.tokens.size()), here.layout));
    if (options_.windows > 0 && options_.windows < static_cast<int64_t>(plan.windows.size())) {
      plan.windows.resize(static_cast<size_t>(options_.windows));
    }
    here.tokens.resize(static_cast<size_t>(plan.windows.back().first + plan.windows.back().length));
    here.rows = scored_rows(plan.windows);
    return {};
  }

  Result<> make_engine(int64_t context) {
    TRY_ASSIGN(const auto faults, Faults::parse(flags_.text("GRETA_INJECT")));
    TRY_ASSIGN(backend_options_.max_seq, sequence_capacity(model_.config, flags_, context));
    if (context > backend_options_.max_seq) {
      return fail(EngineExit::usage, "--context " + std::to_string(context) +
                                         " is more than GRETA_MAX_SEQ_LEN=" +
                                         std::to_string(backend_options_.max_seq));
    }
    TRY(read_weights(model_.file, options_.model));
    TRY_ASSIGN(backend_,
               make_backend(name_, model_.file, model_.config, backend_options_, flags_, faults));
    interrupt_ = make_interrupt_probe();
    backend_->attach(interrupt_.get());
    return {};
  }

  Result<> score(Plan& plan) {
    std::optional<LogitsWriter> writer;
    if (!options_.save_logits.empty()) {
      TRY_ASSIGN(auto made, LogitsWriter::create(options_.save_logits, plan.header));
      writer.emplace(std::move(made));
    }
    std::vector<float> base_row(plan.base ? static_cast<size_t>(plan.header.vocab) : 0);
    const auto on_row = [&](int32_t target, std::span<const float> logits) -> Result<> {
      nll_.add(negative_log_likelihood(logits, target));
      if (writer) TRY(writer->row(logits));
      if (!plan.base) return {};
      TRY(plan.base->row(base_row));
      divergence_.add(base_row, logits, target);
      return {};
    };
    Progress progress(options_.model.progress);
    const auto on_progress = [&](double done, size_t windows) {
      std::string unit = windows == 1 ? "window" : "windows";
      if (nll_.count() > 0) unit += ", perplexity so far " + std::to_string(std::exp(nll_.mean()));
      progress.show("scored", done, static_cast<double>(windows), unit);
    };
    TRY(score_windows(*backend_, plan.header.vocab, plan.header.tokens, plan.windows,
                      plan.header.layout.bos, on_row, on_progress));
    return writer ? writer->finish() : Result<>();
  }

  std::string json(const Plan& plan, double seconds) const {
    const double perplexity = std::exp(nll_.mean());
    Json out = {{"tokens", plan.header.tokens.size()},
                {"context", plan.header.layout.context},
                {"stride", plan.header.layout.stride},
                {"windows", plan.windows.size()},
                {"scored", nll_.count()},
                {"nll", nll_.mean()},
                {"nll_standard_error", nll_.standard_error()},
                {"perplexity", perplexity},
                {"perplexity_standard_error", perplexity * nll_.standard_error()},
                {"seconds", seconds},
                {"threads", backend_options_.threads},
                {"backend", name_},
                {"isa", backend_->isa()},
                {"numerics", options_.model.numerics},
                {"kv_type", options_.model.kv_type}};
    if (plan.base) out["against"] = against_json(plan);
    return out.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }

  // Null: the file does not say of which model it is.
  static Json same_model(const Plan& plan) {
    const uint64_t base = plan.base->header().model_hash;
    return base == 0 ? Json() : Json(base == plan.header.model_hash);
  }

  Json against_json(const Plan& plan) const {
    const auto s = divergence_.summary();
    const double base = std::exp(s.base_nll.mean());
    return {{"file", plan.base->path()},
            {"same_model", same_model(plan)},
            {"perplexity", base},
            {"perplexity_delta", std::exp(nll_.mean()) - base},
            {"nll_delta", s.nll_delta.mean()},
            {"nll_delta_standard_error", s.nll_delta.standard_error()},
            {"kl_mean", s.kl.mean()},
            {"kl_mean_standard_error", s.kl.standard_error()},
            {"kl_median", s.kl_median},
            {"kl_p99", s.kl_p99},
            {"kl_max", s.kl_max},
            {"top1_agreement", s.top1_agreement},
            {"delta_logit_mean", s.delta_mean},
            {"delta_logit_max", s.delta_max},
            {"delta_logit_rms_over_std", s.delta_rms_over_std},
            {"delta_logit_max_over_std", s.delta_max_over_std}};
  }

  std::string text(const Plan& plan, double seconds) const {
    char line[600];
    const double perplexity = std::exp(nll_.mean());
    std::snprintf(line, sizeof line,
                  "%lld of %zu tokens scored in %zu windows of %lld, %.1f s\n"
                  "perplexity %.6g ± %.2g, NLL %.6g ± %.2g nats a token\n",
                  static_cast<long long>(nll_.count()), plan.header.tokens.size(),
                  plan.windows.size(), static_cast<long long>(plan.header.layout.context), seconds,
                  perplexity, perplexity * nll_.standard_error(), nll_.mean(),
                  nll_.standard_error());
    std::string out = line;
    if (!plan.base) return out;
    const auto s = divergence_.summary();
    const Json same = same_model(plan);
    std::snprintf(line, sizeof line,
                  "of %s model file, with perplexity %.6g\n"
                  "Δperplexity %+.3g, ΔNLL %+.3g ± %.2g\n"
                  "KL divergence, nats: mean %.3g ± %.2g, median %.3g, 99th percentile %.3g, "
                  "largest %.3g\n"
                  "the same most likely token at %.4g %% of the positions\n"
                  "|Δlogit|: mean %.3g, largest %.3g; over the logits' standard deviation: rms "
                  "%.3g, largest %.3g\n",
                  same.is_null()     ? "an unknown"
                  : same.get<bool>() ? "the same"
                                     : "another",
                  std::exp(s.base_nll.mean()), perplexity - std::exp(s.base_nll.mean()),
                  s.nll_delta.mean(), s.nll_delta.standard_error(), s.kl.mean(),
                  s.kl.standard_error(), s.kl_median, s.kl_p99, s.kl_max, 100 * s.top1_agreement,
                  s.delta_mean, s.delta_max, s.delta_rms_over_std, s.delta_max_over_std);
    return out + "against " + plan.base->path() + ", " + line;
  }

  const PerplexityOptions& options_;
  const LoadedModel& model_;
  const Flags& flags_;
  std::string name_;
  BackendOptions backend_options_;
  std::unique_ptr<Probe> interrupt_;
  std::unique_ptr<Backend> backend_;
  Mean nll_;
  Divergence divergence_;
};

// The file to save must not be one of those that are read.
Result<> keep_inputs(const PerplexityOptions& options) {
  if (options.save_logits.empty()) return {};
  for (const std::string& input :
       {options.model.model, options.file, options.tokens_file, options.against}) {
    std::error_code ignored;
    if (!input.empty() && std::filesystem::equivalent(input, options.save_logits, ignored)) {
      return fail(EngineExit::usage, "--save-logits " + printable(options.save_logits) +
                                         " would replace a file that is read");
    }
  }
  return {};
}

Result<> perplexity(const PerplexityOptions& options) {
  const bool has_text = !options.file.empty(), has_tokens = !options.tokens_file.empty();
  if (has_text && has_tokens) {
    return fail(EngineExit::usage, "more than one text; give one of --file, --tokens");
  }
  if (!has_text && !has_tokens && options.against.empty()) {
    return fail(EngineExit::usage,
                "no text; give one with --file or --tokens, or --against FILE, which has its own");
  }
  TRY(keep_inputs(options));
  TRY_ASSIGN(const auto flags, Flags::from_process());
  if (const auto& injected = flags.text("GRETA_INJECT"); !injected.empty()) {
    std::fprintf(stderr, "greta-infer: GRETA_INJECT=%s is on: a fault of a prefill shows here\n",
                 printable(injected).c_str());
  }
  TRY_ASSIGN(const auto backend_opts, backend_options(options.model));
  TRY_ASSIGN(auto backend, resolve_backend(options.model.backend, flags));
  TRY_ASSIGN(const auto model, load_model(options.model));
  catch_interrupts();
  return PerplexityRun(options, model, flags, std::move(backend), backend_opts).run();
}

}  // namespace

RunCommand register_perplexity(CLI::App& app) {
  const auto options = std::make_shared<PerplexityOptions>();
  add_path(app, "-f,--file", options->file, "the text, byte for byte; - is standard input");
  add_path(app, "--tokens", options->tokens_file, "a file of token ids: 1 2 3 or [1,2,3]");
  add_number(app, "-c,--context", options->context, {2, kMostPositions},
             "tokens of a window (default: 512, or the model's context if that is less)");
  add_number(app, "--stride", options->stride, {0, kMostPositions},
             "a window starts N tokens after the one before and scores its last N (default: 0, "
             "windows side by side, the second half of each scored, as llama.cpp does)");
  add_number(app, "--windows", options->windows, {0, kMostTokens},
             "the first N windows alone (default: 0, all)", /*show_default=*/false);
  app.add_flag("--no-bos", options->no_bos, "put no begin-of-text token at a window's start");
  app.add_flag("--no-special", options->no_special,
               "control tokens written in the text are plain text");
  add_path(app, "--save-logits", options->save_logits,
           "keep the fp32 logits of every scored position (LOGITS.md): 4 bytes × positions × "
           "vocabulary");
  add_path(app, "--against", options->against,
           "compare with logits that were kept: KL divergence, agreement, differences; its "
           "text is used where none is given");
  app.add_flag("--json", options->json, "print one line of JSON");
  add_model_options(app, options->model);
  app.footer(
      "NLL is the mean of −log p(token | those before it), perplexity its exponential; ± is the\n"
      "standard error. KL is that of the kept distribution from this one, in nats.\n\nExamples\n"
      "  greta-infer perplexity -m greta-tiny.gguf -f text.txt\n"
      "  greta-infer perplexity -m f16.gguf -f text.txt --save-logits f16.logits\n"
      "  greta-infer perplexity -m q4.gguf --against f16.logits --json");
  return [options] {
    const auto done = perplexity(*options);
    return done ? 0 : report(done.error());
  };
}

}  // namespace greta::engine
