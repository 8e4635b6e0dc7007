#include "cli/cli_model.h"

#include <sched.h>

#include <algorithm>

#include "cli/cli_interrupt.h"
#include "cli/cli_options.h"
#include "contract/text.h"

namespace greta::engine {
namespace {

int usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

}  // namespace

void add_model_options(CLI::App& app, ModelOptions& options) {
  add_path(app, "-m,--model", options.model, "GGUF file of a llama model (" + usable_names() + ")");
  app.add_option("--backend", options.backend,
                 "auto, cpu (fast), ref (fp64, slow), emu (GPU kernels emulated, slow), cpu+emu "
                 "(their attention alone), cuda, hip")
      ->type_name("NAME")
      ->capture_default_str();
  add_number(app, "-t,--threads", options.threads, {1, 1024},
             "threads (default: all that this process may use)", /*show_default=*/false);
  app.add_option("--numerics", options.numerics,
                 "strict: one order of every sum, the same bits for any number of threads, prefill "
                 "and decode; fast: activations in eight bits where weights are quantised")
      ->type_name("MODE")
      ->capture_default_str();
  app.add_option("--kv-type", options.kv_type, "elements of the KV cache: f32, f16 or bf16")
      ->type_name("TYPE")
      ->capture_default_str();
  app.add_flag_callback(
      "--progress", [&options] { options.progress = Progress::Show::always; },
      "say on stderr what is being done; a terminal is told without");
}

Result<BackendOptions> backend_options(const ModelOptions& options) {
  BackendOptions out;
  out.threads = options.threads == 0 ? usable_cpus() : options.threads;
  const auto unknown = [](const char* option, const std::string& value,
                          const std::vector<std::string>& values) {
    return fail(EngineExit::usage, std::string(option) + " " + printable(value) +
                                       ": expected one of " + joined(values) +
                                       did_you_mean(value, values));
  };
  if (options.numerics == "fast") {
    out.numerics = Numerics::fast;
  } else if (options.numerics != "strict") {
    return unknown("--numerics", options.numerics, {"strict", "fast"});
  }
  if (options.kv_type == "f16") {
    out.kv_type = KvType::f16;
  } else if (options.kv_type == "bf16") {
    out.kv_type = KvType::bf16;
  } else if (options.kv_type != "f32") {
    return unknown("--kv-type", options.kv_type, {"f32", "f16", "bf16"});
  }
  return out;
}

Result<LoadedModel> load_model(const ModelOptions& options) {
  if (options.model.empty()) return fail(EngineExit::usage, "no model; give one with --model FILE");
  catch_cut_files();
  TRY_ASSIGN(auto file, GgufFile::open(options.model));
  TRY_ASSIGN(const auto config, read_model_config(file));
  TRY_ASSIGN(auto tokenizer, Tokenizer::from_gguf(file));
  return LoadedModel{std::move(file), config, std::move(tokenizer)};
}

Result<> read_weights(const GgufFile& file, const ModelOptions& options) {
  Progress progress(options.progress);
  constexpr double kGigabyte = 1e9;
  return file.read_ahead([&](uint64_t done) {
    progress.show("reading the model", static_cast<double>(done) / kGigabyte,
                  static_cast<double>(file.bytes()) / kGigabyte, "GB");
  });
}

Result<int64_t> sequence_capacity(const ModelConfig& config, const Flags& flags, int64_t needed) {
  constexpr int64_t kStep = 1024;
  const int64_t asked = flags.integer("GRETA_MAX_SEQ_LEN");
  if (asked > config.context) {
    return fail(EngineExit::usage, "GRETA_MAX_SEQ_LEN=" + std::to_string(asked) +
                                       ": the model was trained for " +
                                       std::to_string(config.context) + " positions");
  }
  if (asked > 0) return asked;
  return std::min(config.context, (std::max<int64_t>(needed, 1) + kStep - 1) / kStep * kStep);
}

}  // namespace greta::engine
