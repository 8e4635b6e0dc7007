// The command `greta run`: its options, and one spec after the other.

#include <unistd.h>

#include "run/plan_command.h"
#include "run/run.h"
#include "system/context.h"
#include "system/progress.h"

namespace greta::runner {
namespace {

constexpr int kMostJobs = 256;

void run_all(Context& context, const RunOptions& options) {
  install_signal_handlers();
  Progress progress({.terminal = isatty(STDERR_FILENO) == 1,
                     .json = context.json,
                     .verbosity = context.verbosity});
  Cancel& cancel = process_cancel();
  // A mistake in the last spec is said before the first one takes its hour.
  for (const auto& spec : options.specs) {
    LoadOptions load;
    load.vars = options.vars;
    if (const auto loaded = load_spec(spec, load); !loaded) return context.fail(loaded.error());
  }
  for (const auto& spec : options.specs) {
    const auto code = run_spec(context, options, spec, progress, cancel);
    if (cancel.requested()) {
      if (!code) progress.say("interrupted before any cell ran");
      context.exit_code = static_cast<int>(Exit::interrupted);
      return;
    }
    const int before = context.exit_code;
    if (!code) context.fail(code.error());
    context.exit_code = worse(before, code ? *code : code.error().exit_code);
  }
}

}  // namespace

void register_run(CLI::App& app, Context& context) {
  auto options = std::make_shared<RunOptions>();
  auto vars = std::make_shared<std::vector<std::string>>();
  CLI::App* run =
      app.add_subcommand("run", "run experiments: what is known already is not run again");
  run->add_option("SPEC", options->specs, "experiment files (YAML)")->required();
  run->add_option("--executor", options->executor,
                  "podman, docker, or host (no isolation); default: the first that works here");
  run->add_option("-j,--jobs", options->jobs, "attempts at once; those on a GPU run alone")
      ->check(CLI::Range(1, kMostJobs));
  run->add_option("--only", options->only,
                  "KEY=VALUE: only these cells; KEY is an axis, variant, prompt or repeat")
      ->allow_extra_args(false);
  run->add_option("--var", *vars, "NAME=VALUE: a value for the spec's `vars:`")
      ->allow_extra_args(false);
  run->add_flag("--force", options->force, "run cells again that are known already");
  CLI::Option* lock = run->add_flag(
      "--lock", options->lock, "write what B3.21.yaml resolves to beside it, as B3.21.lock.json");
  run->add_flag("--locked", options->locked,
                "run what that file says: commit, program, image; else stop and say what changed")
      ->excludes(lock);
  run->add_flag("--dry-run", options->dry_run, "show the plan and stop");
  run->add_flag("--fail-fast", options->fail_fast, "start nothing after the first failed attempt");
  run->footer(
      "examples:\n"
      "  greta run experiments/B3.21.yaml\n"
      "  greta run B3.21.yaml --only prompt=p4_sys --only GRETA_FORCE_ATTN_DECODE_KERNEL=fused\n"
      "exit: 0 all gates hold, 1 a gate failed, 2 spec or usage, 3 a gate measured nothing,\n"
      "      4 a cell failed or this machine did, 130 interrupted (run again to go on)");
  run->callback([options, vars, &context] {
    auto parsed = parse_vars(*vars);
    if (!parsed) return context.fail(parsed.error());
    options->vars = std::move(*parsed);
    run_all(context, *options);
  });
}

}  // namespace greta::runner
