#pragma once
// What greta import says of what came in, or would: for people and as JSON.

#include <optional>
#include <string>
#include <vector>

#include "past/past_folder.h"
#include "past/report_reader.h"
#include "store/diff.h"
#include "system/context.h"
#include "system/json.h"

namespace greta::runner {

struct FoundLint {
  std::string run;
  store::Lint lint;
};

// One path's part: a report, the files of a run, or something that greta wrote itself.
struct Arrival {
  std::string path, what;         // report, files, history, bundle
  std::vector<std::string> runs;  // their names in the store; empty with --dry-run
  std::vector<std::string> milestones;
  std::optional<PastReport> report;
  std::optional<PastRun> files;
  std::vector<FoundLint> lints;
};

// {"path": …, "what": …, "runs": […], …}: runner/IMPORT.md.
Json to_json(const Arrival& arrival);
// Lines for a terminal; with `all` every line that was not taken, every kind and every lint, else
// the first ones.
std::vector<std::string> to_lines(const Arrival& arrival, bool all);

}  // namespace greta::runner
