#pragma once
// The command line of greta-infer. Data goes to stdout, talk to stderr; a failure is one line
// there.

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <string_view>

#include "contract/result.h"

namespace greta::engine {

// Declares a command's options on `app`, its subcommand, and returns what runs it: an exit code.
using RunCommand = std::function<int()>;
RunCommand register_run(CLI::App& app);
RunCommand register_bench(CLI::App& app);
RunCommand register_perplexity(CLI::App& app);
RunCommand register_tokenize(CLI::App& app);
RunCommand register_inspect(CLI::App& app);
RunCommand register_describe(CLI::App& app);
RunCommand register_synth(CLI::App& app);

// Prints "greta-infer: …" on stderr and returns the error's exit code.
int report(const Error& error);
void warn(const std::string& what);
// Writes to stdout; a reader that went away or a full disk is an error.
Result<> print(std::string_view text);

int cli_main(int argc, char** argv);

}  // namespace greta::engine
