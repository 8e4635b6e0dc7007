#pragma once
// greta conform: does a program keep the contract of engine/ENGINE.md? It is run as `greta run`
// runs it, judged by the same code, and then asked what no experiment asks: refusals, repeats,
// signals.

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "contract/result.h"
#include "system/process.h"
#include "system/progress.h"

namespace greta::runner {

struct ConformOptions {
  // A program of this machine: a path, or a name on the PATH; with an image also one of its
  // programs; "" with an adapter that names its program.
  std::string engine;
  std::string model;     // "": greta-tiny of the greta tree, else a file of a few bytes
  std::string executor;  // podman, docker, host; "": host, with an image the first tool that works
  std::string image;     // folder with a Dockerfile, or name@sha256:…
  std::string adapter;   // file or name; "": the engine keeps the contract itself
  std::map<std::string, std::string> flags;  // of every run
  std::vector<std::string> only;             // ids of checks; empty: all
  std::string keep;                          // folder for everything that was run; "" keeps nothing
  double timeout_s = 60;                     // of one engine process
};

enum class CheckState { pass, fail, skipped };
struct CheckResult {
  std::string id, what;
  std::string section;  // heading of ENGINE.md that asks for it
  CheckState state = CheckState::pass;
  std::string reason;         // skipped: why
  std::string expected, got;  // failed
};
struct ConformReport {
  std::string engine, where;  // "counter", "podman 4.3.1"
  std::vector<CheckResult> checks;
  size_t not_asked = 0;  // behind an adapter: checks of what the adapter stands for
  bool ok() const;
};

// Ids in the order in which the checks run.
std::vector<std::string> conform_check_ids();

// `done` hears of each check as it ends. A check that fails is a result; errors are what kept the
// checks from running: no such program, model, adapter or check (usage), no container
// (infrastructure).
Result<ConformReport> conform(const ConformOptions& options, Progress& progress,
                              const Cancel& cancel,
                              const std::function<void(const CheckResult&)>& done = {});

std::string conform_line(const CheckResult& check);        // and where it failed three lines more
std::string conform_summary(const ConformReport& report);  // "21 passed, 1 failed, 2 skipped"
std::string conform_json(const ConformReport& report);

}  // namespace greta::runner
