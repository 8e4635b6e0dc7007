// greta replay M|RUN: run it again from its lock and say what changed.

#include <unistd.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "replay/replay.h"
#include "system/context.h"

namespace greta::runner {
namespace {

constexpr size_t kRows = 20;

std::string as_json(const Replayed& replayed) {
  auto out = nlohmann::ordered_json::parse(store::to_json(replayed.diff));
  out["replay"] = {{"of", replayed.of},
                   {"run", replayed.run},
                   {"complete", replayed.complete},
                   {"same_program", replayed.same_program}};
  return out.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string as_text(const Replayed& replayed) {
  std::string out = "replay of " + replayed.of + ": " + replayed.run + "\n";
  if (!replayed.same_program) out += "the engine is another program than it was then\n";
  if (!replayed.complete) out += "not every cell ended ok: greta show " + replayed.run + "\n";
  return out + "\n" + store::to_markdown(replayed.diff, kRows);
}

Result<> run_replay(Context& context, const ReplayOptions& options) {
  install_signal_handlers();
  Progress progress(
      {.terminal = isatty(STDERR_FILENO) == 1, .json = false, .verbosity = context.verbosity});
  const auto replayed_or = replay(context, options, progress, process_cancel());
  if (!replayed_or) {
    // The answer "not replayable" is data as much as a verdict is.
    if (context.json && replayed_or.error().exit_code == static_cast<int>(Exit::not_comparable)) {
      const nlohmann::ordered_json out = {{"verdict", "not_replayable"},
                                          {"reason", replayed_or.error().message}};
      std::cout << out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n"
                << std::flush;
    }
    return tl::unexpected(replayed_or.error());
  }
  const Replayed& replayed = *replayed_or;
  std::cout << (context.json ? as_json(replayed) : as_text(replayed)) << std::flush;
  if (!std::cout) return fail(Exit::infrastructure, "standard output cannot be written");
  const int code = store::exit_code(replayed.diff);
  context.exit_code =
      replayed.complete ? code : worse(code, static_cast<int>(Exit::infrastructure));
  return {};
}

}  // namespace

void register_replay(CLI::App& app, Context& context) {
  CLI::App* const command = app.add_subcommand(
      "replay", "run an earlier run again from what it pinned, and say what changed");
  const auto options = std::make_shared<ReplayOptions>();
  command->add_option("run", options->selector, "a milestone (B3.21), or a run's name")->required();
  command->add_option("--executor", options->executor,
                      "podman, docker or host; default: that of the earlier run");
  command->add_option("--model", options->model, "where the model is now; its hash must agree");
  command->add_option("-j,--jobs", options->jobs, "attempts at once")->check(CLI::Range(1, 256));
  command->add_flag("--rebuild", options->rebuild,
                    "build the engine from its sources, even where the program was kept");
  command->footer(
      "Commit, program, image, model, prompts and flags are those of the earlier run. What could\n"
      "not be had again, and what of the machine is different, is listed before the figures.\n"
      "exit: 0 identical or within floor, 1 diverged (the place is named), 3 there was nothing to\n"
      "      compare, 4 a cell failed, 5 not replayable (what is missing) or not comparable");
  command->callback([&context, options] {
    if (const auto done = run_replay(context, *options); !done) context.fail(done.error());
  });
}

}  // namespace greta::runner
