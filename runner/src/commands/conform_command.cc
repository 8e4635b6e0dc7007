// greta conform ENGINE: does a program keep the contract of engine/ENGINE.md?

#include <unistd.h>

#include <iostream>

#include "conform/conform.h"
#include "contract/text.h"
#include "system/context.h"

namespace greta::runner {
namespace {

Result<> check(Context& context, ConformOptions& options, const std::vector<std::string>& flags) {
  if (options.engine.empty() && options.adapter.empty()) {
    return fail(Exit::usage, "which ENGINE? (a program, or --adapter FILE that names its program)");
  }
  for (const std::string& flag : flags) {
    const size_t equals = flag.find('=');
    if (equals == std::string::npos || equals == 0) {
      return fail(Exit::usage, "--flag: `" + printable(flag) + "` is not NAME=VALUE");
    }
    options.flags[flag.substr(0, equals)] = flag.substr(equals + 1);
  }
  install_signal_handlers();
  Progress progress(
      {.terminal = isatty(STDERR_FILENO) == 1, .json = false, .verbosity = context.verbosity});
  const auto show = [&](const CheckResult& one) {
    if (!context.json) std::cout << conform_line(one) << std::flush;
  };
  TRY_ASSIGN(const ConformReport report, conform(options, progress, process_cancel(), show));
  std::cout << (context.json ? conform_json(report) : conform_summary(report)) << std::flush;
  if (!std::cout) return fail(Exit::infrastructure, "standard output cannot be written");
  context.exit_code = static_cast<int>(report.ok() ? Exit::ok : Exit::diverged);
  return {};
}

}  // namespace

void register_conform(CLI::App& app, Context& context) {
  CLI::App* const command =
      app.add_subcommand("conform", "does a program keep the engine contract? One line a check");
  const auto options = std::make_shared<ConformOptions>();
  const auto flags = std::make_shared<std::vector<std::string>>();
  command->add_option(
      "ENGINE", options->engine,
      "the program: a path, a name on the PATH, or with --image one of the image's; "
      "an adapter may name it instead");
  command->add_option("--model", options->model,
                      "model file; default: greta-tiny of the greta tree around");
  command->add_option("--adapter", options->adapter,
                      "adapter file or name, for an engine with a command line of its own");
  command->add_option("--executor", options->executor,
                      "podman, docker or host; default: host, with --image the first that works");
  command->add_option("--image", options->image,
                      "folder with a Dockerfile, or name@sha256:…; default with a container: "
                      "docker/rocm");
  command->add_option("--flag", *flags, "NAME=VALUE: a flag of every run")->allow_extra_args(false);
  command->add_option("--check", options->only, "only this check (may be given again)")
      ->allow_extra_args(false);
  command->add_option("--timeout", options->timeout_s, "seconds that one process may take")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_option("--keep", options->keep,
                      "an empty folder that keeps everything that was run");
  command->footer(
      "exit: 0 all checks pass, 1 one failed, 2 usage, 4 this machine failed\n"
      "examples:\n"
      "  greta conform ./my-engine --model model.gguf\n"
      "  greta conform ./my-engine --check unknown_flag --keep /tmp/look\n"
      "what is asked, and a complete engine in 40 lines: engine/ENGINE.md");
  command->callback([&context, options, flags] {
    if (const auto done = check(context, *options, *flags); !done) context.fail(done.error());
  });
}

}  // namespace greta::runner
