#pragma once
// Files of past runs as GRETA left them: which belong to which milestone, and what their names and
// lines say. runner/IMPORT.md states the rules.

#include <filesystem>
#include <string>
#include <vector>

#include "contract/result.h"
#include "store/survey.h"
#include "system/json.h"

namespace greta::runner {

// What the user says where names do not; "" leaves it to them.
struct PastOptions {
  std::string milestone, prompt, kind, variant;
};

struct PastFile {
  std::string name;            // below the run's folder
  std::string role;            // records, log, report, config, output
  std::string kind;            // of lines without `event`
  bool kind_is_guess = false;  // it shares words with the file's name, no more
  std::string prompt;          // of lines without `prompt_id`
  std::string variant;         // "default" when nothing says
  store::FileSurvey survey;
};

// One run: the files of one milestone's folder.
struct PastRun {
  std::string milestone, date;  // date "" when nothing says it
  std::filesystem::path folder;
  std::vector<PastFile> files;
  Json environment = Json::object(), flags = Json::object();  // what a file there says
  std::string manifest;                                       // for Store::import_files
};

struct PastFolder {
  std::vector<PastRun> runs;
  std::vector<std::filesystem::path> reports;  // Markdown reports of milestones, read on their own
};

// Reads every file below `path` (or `path` itself, one file) once, writes nothing. Errors: a link
// or a special file, a file whose milestone nothing says, no file at all; they name it.
Result<PastFolder> read_past_folder(const std::filesystem::path& path, const PastOptions& options);

}  // namespace greta::runner
