// greta bisect GOOD BAD: the commit, or the settings, between them that made it bad.

#include <unistd.h>

#include <iostream>

#include "replay/bisect.h"
#include "system/context.h"
#include "system/json.h"

namespace greta::runner {
namespace {

const char* found_name(Bisected::Found found) {
  switch (found) {
    case Bisected::Found::commit:
      return "commit";
    case Bisected::Found::settings:
      return "settings";
    case Bisected::Found::undecided:
      break;
  }
  return "undecided";
}

std::string value_text(const std::string& value) { return value.empty() ? "not set" : value; }

std::string as_text(const Bisected& result) {
  std::string out = "judged " + result.how + "\n";
  for (const Probe& probe : result.probes) {
    out += "  " + to_string(probe.judged.judgement) + "  " + probe.what;
    out += probe.run.empty() ? "\n" : "  (" + probe.run + ")\n";
    out += "        " + probe.judged.why + "\n";
  }
  switch (result.found) {
    case Bisected::Found::commit:
      return out + "first bad commit: " + result.commit + " " + result.subject + "\n";
    case Bisected::Found::settings:
      out += "bad with no fewer than these settings:\n";
      for (const Setting& setting : result.settings) {
        out += "  " + setting.name + ": " + value_text(setting.good) + " → " +
               value_text(setting.bad) + "\n";
      }
      return out;
    case Bisected::Found::undecided:
      break;
  }
  out += "the first bad commit is one of these, of which some could not be judged:\n";
  for (const auto& commit : result.left) out += "  " + commit + "\n";
  return out;
}

std::string as_json(const Bisected& result) {
  Json out = {{"found", found_name(result.found)}, {"judged", result.how}};
  if (result.found == Bisected::Found::commit) {
    out["commit"] = result.commit;
    out["subject"] = result.subject;
  }
  if (result.found == Bisected::Found::undecided) out["left"] = result.left;
  out["settings"] = Json::array();
  for (const Setting& setting : result.settings) {
    out["settings"].push_back(
        {{"name", setting.name}, {"good", setting.good}, {"bad", setting.bad}});
  }
  out["probes"] = Json::array();
  for (const Probe& probe : result.probes) {
    out["probes"].push_back({{"what", probe.what},
                             {"run", probe.run},
                             {"judgement", to_string(probe.judged.judgement)},
                             {"why", probe.judged.why}});
  }
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<> run_bisect(Context& context, const BisectOptions& options) {
  install_signal_handlers();
  Progress progress(
      {.terminal = isatty(STDERR_FILENO) == 1, .json = false, .verbosity = context.verbosity});
  TRY_ASSIGN(const Bisected result, bisect(context, options, progress, process_cancel()));
  std::cout << (context.json ? as_json(result) : as_text(result)) << std::flush;
  if (!std::cout) return fail(Exit::infrastructure, "standard output cannot be written");
  if (result.found == Bisected::Found::undecided) {
    context.exit_code = static_cast<int>(Exit::not_measured);
  }
  return {};
}

}  // namespace

void register_bisect(CLI::App& app, Context& context) {
  CLI::App* const command = app.add_subcommand(
      "bisect", "the commit, or the flags, between a good run and a bad one that made it bad");
  const auto options = std::make_shared<BisectOptions>();
  command
      ->add_option("good", options->good,
                   "a milestone or a run's name; with #AXIS=VALUE,… one variant of it")
      ->required();
  command->add_option("bad", options->bad, "the same, of the bad run")->required();
  command->add_option("--gate", options->gate,
                      "the gate that decides; default: those that pass in the good run and fail in "
                      "the bad one, else the figures");
  command->add_option("--executor", options->executor,
                      "podman, docker or host; default: that of the bad run");
  command->add_option("-j,--jobs", options->jobs, "attempts at once")->check(CLI::Range(1, 256));
  command->footer(
      "Probes are kept as runs, and cells that are known do not run again: a second bisection\n"
      "costs nothing. Commits that do not build or run are gone around.\n"
      "examples:\n"
      "  greta bisect B3.20 B3.21\n"
      "  greta bisect 'B3.21#GRETA_FORCE_ATTN_DECODE_KERNEL=manual' \\\n"
      "               'B3.21#GRETA_FORCE_ATTN_DECODE_KERNEL=fused'\n"
      "exit: 0 found, 2 there is nothing to find, 3 the commits left cannot be judged, 4 this\n"
      "      machine failed, 5 the two cannot be compared");
  command->callback([&context, options] {
    if (const auto done = run_bisect(context, *options); !done) context.fail(done.error());
  });
}

}  // namespace greta::runner
