// The command that makes a model of a real shape with random weights.
#include <unistd.h>

#include <cstdio>
#include <memory>

#include "cli/cli.h"
#include "cli/cli_options.h"
#include "synth/synth.h"

namespace greta::engine {
namespace {

struct Options {
  SynthOptions synth;
  std::string out;
  bool list = false;
};

std::string table() {
  std::string out =
      "shape           layers    dim  heads  kv_heads  head_dim    ffn   vocab  doc\n";
  for (const auto& s : synth_shapes()) {
    char line[160];
    std::snprintf(line, sizeof line, "%-14s  %6lld  %5lld  %5lld  %8lld  %8lld  %5lld  %6lld  %s\n",
                  std::string(s.name).c_str(), static_cast<long long>(s.layers),
                  static_cast<long long>(s.dim), static_cast<long long>(s.heads),
                  static_cast<long long>(s.kv_heads), static_cast<long long>(s.head_dim),
                  static_cast<long long>(s.ffn), static_cast<long long>(s.vocab),
                  std::string(s.doc).c_str());
    out += line;
  }
  out += "types:";
  for (const auto& type : synth_types()) out += " " + std::string(type);
  return out + "\n";
}

void show_progress(int64_t done, int64_t total) {
  static const bool terminal = isatty(STDERR_FILENO) == 1;
  if (!terminal) return;
  std::fprintf(stderr, "\rwriting %3.0f %% of %.2f GB%s",
               100 * static_cast<double>(done) / static_cast<double>(total),
               static_cast<double>(total) / 1e9, done == total ? "\n" : "");
}

Result<> synth(Options& options) {
  if (options.list) return print(table());
  if (options.out.empty())
    return fail(EngineExit::usage, "no file to write; see greta-infer synth --help");
  return write_synthetic_model(options.synth, options.out, show_progress);
}

}  // namespace

RunCommand register_synth(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  add_path(app, "OUT", options->out, "GGUF file to write");
  app.add_option("--shape", options->synth.shape, "a model's shape (--list)")
      ->capture_default_str();
  app.add_option("--type", options->synth.type, "how the matrices are stored (--list)")
      ->capture_default_str();
  add_number(app, "--seed", options->synth.seed, {0, UINT64_MAX},
             "names the weights: same seed, same bytes");
  add_number(app, "--layers", options->synth.layers, {1, 1000}, "instead of the shape's");
  add_number(app, "--vocab", options->synth.vocab, {512, kMostPositions},
             "instead of the shape's, 512 or more");
  add_number(app, "--context", options->synth.context, {1, kMostPositions},
             "instead of the shape's");
  app.add_flag("--list", options->list, "show the shapes and types");
  app.footer(
      "The weights are random: what it says is noise, what it costs is real. Example:\n"
      "  greta-infer synth --shape llama3-1b --type Q8_0 1b.gguf");
  return [options] {
    const auto done = synth(*options);
    return done ? 0 : report(done.error());
  };
}

}  // namespace greta::engine
