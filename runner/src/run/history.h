#pragma once
// The recorded milestones (experiments/history/*.yaml) and how commands find the run that a person
// names: B3.21@recorded is read from there when the store does not hold it yet.

#include <filesystem>
#include <string>
#include <string_view>

#include "contract/result.h"
#include "store/store.h"
#include "system/context.h"

namespace greta::runner {

inline constexpr std::string_view kRecorded = "@recorded";  // ends the name of a recorded milestone

// A YAML file as JSON, by YAML 1.2's core rules: quoted scalars are texts, of the plain ones null,
// true, false and decimal numbers are what they look like, anything else (dates, commits) is text.
// .inf and .nan become "Infinity", "-Infinity", "NaN". Errors carry file, line and column.
Result<std::string> yaml_to_json(std::string_view text, const std::string& file);

// The history file's entries into the store; the names of their runs, one a milestone. An error
// when the file is no list of milestones.
Result<std::vector<std::string>> import_history(store::Store& store,
                                                const std::filesystem::path& file);

// The milestones that import_history would bring in.
Result<std::vector<std::string>> history_milestones(const std::filesystem::path& file);

// The nearest experiments/history at or above `from`, else in greta's sources around the running
// program; "" when there is none.
std::filesystem::path find_history(const std::filesystem::path& from);

// Whether one of them would bring in this milestone.
bool is_recorded(std::string_view milestone, const std::filesystem::path& repo_root);

// Every history file of `repo_root` (the folder that has experiments/history). Returns how many
// there are.
Result<size_t> import_histories(store::Store& store, const std::filesystem::path& repo_root);
// Store::select; for "M@recorded" that the store does not have, imports the histories of
// `repo_root` first. The store must be open for writing then.
Result<store::Selection> select_with_history(store::Store& store, std::string_view selector,
                                             const std::filesystem::path& repo_root);
Result<int64_t> resolve_with_history(store::Store& store, std::string_view selector,
                                     const std::filesystem::path& repo_root);

// Says on stderr when a latest run stands in for an accepted one, or for several recorded ones.
void say_if_latest(const Context& context, const store::Selection& selection);
// The store and the run of a command that reads one run. Opens for writing only where recorded
// figures may have to come in. Calls say_if_latest.
struct OpenedRun {
  store::Store store;
  store::Selection selection;
};
Result<OpenedRun> open_run(const Context& context, std::string_view selector);

}  // namespace greta::runner
