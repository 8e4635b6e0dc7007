#pragma once
// What `run` and `bench` share: the options that say which model runs how, and its loading.

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "cli/cli_backend.h"
#include "cli/cli_progress.h"
#include "cli/effective.h"
#include "forward/backend.h"
#include "forward/faults.h"
#include "io/flags.h"
#include "model/gguf.h"
#include "model/model_config.h"
#include "tokenizer/tokenizer.h"

namespace greta::engine {

struct ModelOptions {
  std::string model, backend = "auto", numerics = "strict", kv_type = "f32";
  int threads = 0;  // 0: as many as this process may use
  Progress::Show progress = Progress::Show::on_terminal;
};
void add_model_options(CLI::App& app, ModelOptions& options);

// The options of a backend, all but max_seq. Errors of EngineExit::usage name the nearest value.
Result<BackendOptions> backend_options(const ModelOptions& options);

// The model without the numbers to run it: enough to turn prompts into tokens.
struct LoadedModel {
  GgufFile file;
  ModelConfig config;
  std::unique_ptr<Tokenizer> tokenizer;
};
Result<LoadedModel> load_model(const ModelOptions& options);

// Reads the file into memory, with the progress that the options ask for: to be called when nothing
// but the forward pass is left to do.
Result<> read_weights(const GgufFile& file, const ModelOptions& options);

// Positions to keep room for: what the longest request needs, in steps of 1024 so that the layout
// of the cache does not follow the prompt's length, and at most what GRETA_MAX_SEQ_LEN, else the
// model's context, allows. Errors (EngineExit::usage) when the flag asks for more than the model
// was trained for.
Result<int64_t> sequence_capacity(const ModelConfig& config, const Flags& flags, int64_t needed);

}  // namespace greta::engine
