// greta: the command line. Each command registers itself; nothing is done before one was chosen, so
// that --help costs nothing.

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "commands/option_checks.h"
#include "contract/text.h"
#include "system/context.h"
#include "system/environment.h"

namespace greta::runner {
namespace {

constexpr struct {
  const char* group;
  RegisterCommand add;
} kCommands[] = {
    {"Run", register_run},        {"Run", register_plan},       {"Run", register_doctor},
    {"Run", register_replay},     {"Run", register_bisect},     {"Run", register_conform},
    {"History", register_list},   {"History", register_query},  {"History", register_history},
    {"History", register_sql},    {"History", register_diff},   {"History", register_report},
    {"History", register_accept}, {"History", register_import}, {"History", register_bundle},
    {"Care", register_check},     {"Care", register_gc},
};

void add_commands(CLI::App& app, Context& context) {
  std::vector<CLI::App*> before;
  for (const auto& command : kCommands) {
    command.add(app, context);
    // One registration may add several commands (list and show).
    for (CLI::App* added : app.get_subcommands([](CLI::App*) { return true; })) {
      if (std::find(before.begin(), before.end(), added) != before.end()) continue;
      added->group(command.group);
      added->fallthrough();  // --store and the like may stand behind the command too
      before.push_back(added);
    }
  }
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> out;
  for (const CLI::Option* option : app.get_options()) {
    for (const auto& name : option->get_lnames()) out.push_back("--" + name);
    for (const auto& name : option->get_snames()) out.push_back("-" + name);
  }
  return out;
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> out;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    out.push_back(command->get_name());
  }
  return out;
}

// What CLI11 did not understand, with the nearest thing that it would have.
std::string explain(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App* chosen = &app;
  for (const CLI::App* command : app.get_subcommands()) chosen = command;
  const auto left = app.remaining(true);
  // With a misspelt command CLI11 says that one is required; the word is among what is left.
  const bool misspelt = chosen == &app && !left.empty();
  if (dynamic_cast<const CLI::ExtrasError*>(&error) == nullptr && !misspelt) return error.what();
  if (left.empty()) return error.what();
  const std::string& word = left[0];
  if (!word.starts_with("-") && chosen == &app) {
    return "unknown command `" + printable(word) + "`" + did_you_mean(word, command_names(app));
  }
  if (!word.starts_with("-")) return "`" + printable(word) + "` is one argument too many";
  auto options = option_names(*chosen);
  for (auto& name : option_names(app)) options.push_back(std::move(name));
  const std::string name = word.substr(0, word.find('='));
  return "unknown option `" + printable(name) + "`" + did_you_mean(name, options);
}

int run_greta(int argc, char** argv) {
  umask(022);  // what a container's user reads must be readable
  Context context;
  CLI::App app{"greta: reproducible experiments on LLM inference kernels"};
  app.name("greta");
  app.set_version_flag("--version", "greta " GRETA_VERSION);
  app.add_option("--store", context.store_path,
                 "the history; default: $GRETA_STORE, else .greta/store.sqlite found upwards")
      ->check(not_empty());
  app.add_flag("--json", context.json, "data as JSON on stdout (talk stays on stderr)");
  bool quiet = false, verbose = false;
  app.add_flag("-q,--quiet", quiet, "no progress: results and errors only");
  app.add_flag("-v,--verbose", verbose, "say more");
  app.require_subcommand(1);
  app.footer(
      "examples:\n"
      "  greta doctor                              what works here, and how to fix the rest\n"
      "  greta run experiments/B3.21.yaml          run, gates, report\n"
      "  greta diff B3.21@recorded B3.21           what changed since\n"
      "  greta history gap --by commit             one figure over time, with a chart\n"
      "  greta query \"SELECT * FROM readout\"       the history is one SQLite file");
  app.parse_complete_callback([&] {
    context.verbosity = quiet ? 0 : verbose ? 2 : 1;
    context.color = isatty(STDERR_FILENO) == 1 && !colour_unwanted();
  });
  add_commands(app, context);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {  // --help, --version
      app.exit(error);
      std::cout << std::flush;
      if (std::cout) return 0;
      std::cerr << "error: standard output cannot be written\n";
      return static_cast<int>(Exit::infrastructure);
    }
    if (argc == 1) {
      std::cout << app.help();
      return static_cast<int>(Exit::usage);
    }
    std::cerr << "error: " << explain(app, error) << "\n(greta --help)\n";
    return static_cast<int>(Exit::usage);
  }
  return context.exit_code;
}

}  // namespace
}  // namespace greta::runner

int main(int argc, char** argv) { return greta::runner::run_greta(argc, argv); }
