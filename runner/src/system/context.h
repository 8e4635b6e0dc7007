#pragma once
// What every command of `greta` shares: the options that stand everywhere, and where talk goes.
// Data goes to stdout, talk to stderr.

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <string>

#include "contract/result.h"
#include "store/store.h"

namespace greta::runner {

struct Context {
  std::string store_path;  // --store; "" means $GRETA_STORE, else .greta/store.sqlite found upwards
  bool json = false;
  int verbosity = 1;   // −q 0, default 1, −v 2
  bool color = false;  // stderr is a terminal and NO_COLOR is not set
  int exit_code = 0;   // what the chosen command answered

  // The store file by the rules above; for a new store .greta/ in the current folder.
  std::filesystem::path find_store() const;
  Result<store::Store> open_store(store::Access access) const;
  // One that exists already, for writing.
  Result<store::Store> open_store_to_change() const;
  void say(const std::string& line) const;  // to stderr, unless −q
  // Prints the error on stderr and remembers its exit code.
  void fail(const Error& error);
};

// Each command registers itself: name, options, and a callback that sets context.exit_code.
using RegisterCommand = void (*)(CLI::App& app, Context& context);
void register_run(CLI::App&, Context&);   // run.cc …
void register_plan(CLI::App&, Context&);  // plan and lint
void register_doctor(CLI::App&, Context&);
void register_list(CLI::App&, Context&);  // list, show
void register_query(CLI::App&, Context&);
void register_history(CLI::App&, Context&);
void register_sql(CLI::App&, Context&);
void register_import(CLI::App&, Context&);
void register_conform(CLI::App&, Context&);
void register_diff(CLI::App&, Context&);
void register_report(CLI::App&, Context&);
void register_accept(CLI::App&, Context&);
void register_replay(CLI::App&, Context&);
void register_bisect(CLI::App&, Context&);
void register_bundle(CLI::App&, Context&);  // bundle export, bundle import
void register_check(CLI::App&, Context&);   // check, rebuild
void register_gc(CLI::App&, Context&);

}  // namespace greta::runner
