#pragma once
// A look at one file of a past run before it is taken in: its hash, and what its lines say they
// are.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "contract/result.h"

namespace greta::store {

struct FileSurvey {
  int64_t bytes = 0;
  std::string sha256;
  // Of a file of records only. Lines that cannot be read (ingest's `blank`, `torn`, `invalid`)
  // count in `lines` and `unreadable` alone.
  int64_t lines = 0, unreadable = 0;
  std::map<std::string, int64_t> events;   // lines by `event`; "" for those without one
  std::map<std::string, int64_t> prompts;  // lines by `prompt_id`; "" for those without one
};

// `name` is below `folder`; no part of it may be a link. Reads the file once, in pieces: its size
// does not matter. Errors: not a regular file, cannot be read, more than 1000 different prompts.
Result<FileSurvey> survey_file(const std::filesystem::path& folder, const std::string& name,
                               bool is_records);

}  // namespace greta::store
