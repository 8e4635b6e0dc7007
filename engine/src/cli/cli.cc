#include "cli/cli.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>
#include <sstream>
#include <vector>

#include "cli/build_info.h"
#include "contract/text.h"
#include "io/flags.h"

namespace greta::engine {
namespace {

constexpr const char* kFooter =
    "Examples\n"
    "  greta-infer run --model greta-tiny.gguf --prompt 'The capital of Argentina is' --max-tokens "
    "8\n"
    "  greta-infer run --model greta-tiny.gguf --requests requests.jsonl --max-tokens 2 --out "
    "results\n"
    "  GRETA_TRACE_STAGE=1 greta-infer run --model greta-tiny.gguf --prompt Hi --out traces\n"
    "  greta-infer tokenize --model greta-tiny.gguf --text 'Hola, mundo' --ids\n"
    "  greta-infer inspect greta-tiny.gguf\n"
    "\n"
    "GRETA_* environment variables turn traces on and choose kernels; `greta-infer describe` lists "
    "them.\n"
    "Exit codes: 0 ok, 2 bad arguments or flag, 3 bad model or prompt, 4 device, 5 a numeric "
    "guard\n"
    "tripped, 130 interrupted, 143 terminated.";

struct Command {
  const char* name;
  const char* description;
  RunCommand (*declare)(CLI::App& app);
};
constexpr Command kCommands[] = {
    {"run", "Answer prompts, and write records of what was computed", register_run},
    {"bench", "Measure tokens per second of prefill and decode", register_bench},
    {"perplexity", "Measure how well a model predicts a text, and how far logits are from others",
     register_perplexity},
    {"tokenize", "Show the tokens of a text", register_tokenize},
    {"inspect", "Show what is in a GGUF file", register_inspect},
    {"describe", "Show backends, flags, faults and record kinds of this program",
     register_describe},
    {"synth", "Make a model of a real shape with random weights", register_synth},
};

// What the command line holds that nothing declares.
Result<> check_leftovers(const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  const CLI::App& place = chosen.empty() ? app : *chosen.front();
  const auto left = app.remaining(true);
  if (left.empty()) return {};
  const auto option = std::find_if(left.begin(), left.end(), [](const std::string& word) {
    return word.size() > 1 && word.starts_with('-');
  });
  const std::string word = (option != left.end() ? *option : left.front());
  if (chosen.empty() && option != left.begin()) {
    std::vector<std::string> names;
    for (const auto* command : app.get_subcommands({})) names.push_back(command->get_name());
    return fail(EngineExit::usage, "unknown command `" + printable(left.front()) + "`" +
                                       did_you_mean(left.front(), names) +
                                       "; see greta-infer --help");
  }
  const std::string where = chosen.empty() ? "greta-infer" : "greta-infer " + place.get_name();
  if (option == left.end()) {
    return fail(EngineExit::usage,
                "unexpected argument `" + printable(word) + "`; see " + where + " --help");
  }
  std::vector<std::string> names;
  for (const auto* known : place.get_options()) {
    for (const auto& name : known->get_lnames()) names.push_back("--" + name);
  }
  const std::string name = word.substr(0, word.find('='));
  return fail(EngineExit::usage, "unknown option `" + printable(name) + "`" +
                                     did_you_mean(name, names) + "; see " + where + " --help");
}

}  // namespace

int report(const Error& error) {
  std::fprintf(stderr, "greta-infer: %s\n", error.str().c_str());
  return error.exit_code;
}

void warn(const std::string& what) {
  std::fprintf(stderr, "greta-infer: warning: %s\n", what.c_str());
}

Result<> print(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(STDOUT_FILENO, text.data(), text.size());
    if (n > 0) text.remove_prefix(static_cast<size_t>(n));
    if (n < 0 && errno != EINTR) {
      return fail(EngineExit::usage,
                  std::string("cannot write to stdout: ") + std::strerror(errno));
    }
  }
  return {};
}

namespace {

int guarded(const RunCommand& run) {
  try {
    return run();
  } catch (const std::bad_alloc&) {
    return report(
        Error{.message = "out of memory", .exit_code = static_cast<int>(EngineExit::device)});
  }
}

}  // namespace

int cli_main(int argc, char** argv) {
  CLI::App app("greta-infer runs a llama model and records what its kernels computed.",
               "greta-infer");
  const BuildInfo& build = build_info();
  app.set_version_flag(
      "--version", "greta-infer " + std::string(build.version) +
                       (build.commit.empty() ? "" : " (commit " + std::string(build.commit) + ")"));
  app.footer(kFooter);
  // Unknown words are collected, not refused, so that the message can name the nearest right one.
  app.allow_extras();
  std::vector<std::pair<const CLI::App*, RunCommand>> commands;
  for (const auto& command : kCommands) {
    CLI::App* const place = app.add_subcommand(command.name, command.description);
    place->allow_extras();
    commands.emplace_back(place, command.declare(*place));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {
    std::ostringstream text;  // of --help, --version
    const int code = app.exit(asked, text, text);
    const auto printed = print(text.str());
    return printed ? code : report(printed.error());
  } catch (const CLI::ParseError& error) {
    return report(Error{.message = error.what(), .exit_code = static_cast<int>(EngineExit::usage)});
  }
  if (const auto clean = check_leftovers(app); !clean) return report(clean.error());
  for (const auto& [place, run] : commands) {
    if (!place->parsed()) continue;
    // A command that reads no flag refuses a misspelt one, too: it stands there for the next
    // command.
    if (const auto flags = Flags::from_process(); !flags) return report(flags.error());
    return guarded(run);
  }
  return report(Error{.message = "no command; see greta-infer --help",
                      .exit_code = static_cast<int>(EngineExit::usage)});
}

}  // namespace greta::engine
