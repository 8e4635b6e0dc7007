// The command that makes a model of a real shape with random weights.
#include <unistd.h>

#include <cstdio>
#include <memory>

#include "cli/cli.h"
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
  app.add_option("OUT", options->out, "GGUF file to write")->type_name("FILE");
  app.add_option("--shape", options->synth.shape, "a model's shape (--list)")
      ->capture_default_str();
  app.add_option("--type", options->synth.type, "how the matrices are stored (--list)")
      ->capture_default_str();
  app.add_option("--seed", options->synth.seed, "names the weights: same seed, same bytes")
      ->capture_default_str();
  app.add_option("--layers", options->synth.layers, "instead of the shape's")->type_name("N");
  app.add_option("--vocab", options->synth.vocab, "instead of the shape's, 512 or more")
      ->type_name("N");
  app.add_option("--context", options->synth.context, "instead of the shape's")->type_name("N");
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
