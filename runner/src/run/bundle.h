#pragma once
// What one attempt left, checked and sealed: a folder named by the hash of its manifest, visible at
// once and whole (fsync, then one rename), never changed again. BUNDLE.md is the format's page.

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "contract/result.h"
#include "spec/spec.h"
#include "system/layout.h"

namespace greta::runner {

struct BundleFile {
  std::string name;  // below the bundle: "out/readout.jsonl"
  int64_t bytes = 0;
  std::string sha256;
  std::string role;  // records, effective, describe, log, requests, spec, output
  std::string kind;  // records: of lines that carry no `event`
};

struct BundleCell {
  std::string identity, prompt, request;
  std::string status;  // ok, failed, timeout, killed
  std::string reason;
};

struct BundlePrompt {
  std::string id, sha256;
  std::optional<std::string> text;
};

struct Manifest {
  std::string provenance = "executed";
  std::string status;  // ok, failed, timeout, killed
  std::optional<int> exit_code, signal;
  std::string reason;
  std::string started_at, ended_at;
  double wall_s = 0;
  int contract_version = 1;
  std::string milestone, executor;
  std::vector<std::string> argv;
  std::string variant;
  std::map<std::string, std::string> variant_axes;
  int64_t repeat = 0;
  std::vector<BundleCell> cells;
  std::map<std::string, std::string> environment, flags;
  std::vector<BundlePrompt> prompts;
  std::vector<BundleFile> files;
};

// What the engine wrote.
struct Outputs {
  std::vector<BundleFile> files;         // regular files below out/, stdout.log where it is records
  std::set<std::string> ended_requests;  // those with a request_end record
  bool has_effective = false;
  // Why it is not whole, in the order found: "out/readout.jsonl:123: torn line", a link, a rule of
  // the adapter that matched no file.
  std::vector<std::string> problems;
  // Only a last line is torn: the trace of an engine that died while writing it. What was complete
  // before is still good.
  bool only_torn_tails = true;
};

// Reads every file below <bundle>/out, and stdout.log where the adapter captures it. Anything but
// regular files (links out of the sandbox, devices) is removed and named.
Result<Outputs> inspect_outputs(const std::filesystem::path& bundle, const Adapter& adapter);

// One line of a records file: nothing, or what is wrong with it. Bare NaN and infinities, as printf
// writes them, are let through.
std::optional<std::string> line_problem(std::string_view line);

// "*" and "?" within a path component, "**" across; no match of a leading '/'.
bool glob_matches(std::string_view glob, std::string_view path);

// Adds a file of the bundle itself (a log, the requests) to the manifest's list.
Result<BundleFile> describe_file(const std::filesystem::path& bundle, const std::string& name,
                                 const std::string& role);

std::string to_json(const Manifest& manifest);
// Reads a sealed manifest's cells back, for recovery.
Result<std::vector<BundleCell>> read_cells(const std::filesystem::path& bundle);

// Writes manifest.json, flushes, renames. Returns the bundle's folder, whose name is the hash.
Result<std::filesystem::path> seal(const std::filesystem::path& bundle, const Manifest& manifest,
                                   const Layout& layout);

}  // namespace greta::runner
