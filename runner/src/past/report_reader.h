#pragma once
// A Markdown report of a past milestone: what it says of itself, and the figures of its tables,
// each with its line. runner/IMPORT.md states the rules.

#include <string>
#include <string_view>
#include <vector>

#include "contract/result.h"
#include "system/json.h"

namespace greta::runner {

struct PastLine {
  int line = 0;  // from 1
  std::string text;
};

struct PastReport {
  std::string milestone, date;  // "" when the report does not say
  Json entry;                   // as an entry of experiments/history, for Store::import_report
  size_t tables = 0;            // with at least one figure
  size_t figures = 0;           // twins of two languages count once
  size_t twins = 0;             // figures that the other language repeats
  std::vector<std::string> contradictions;  // where the two languages differ: both are kept
  std::vector<PastLine> not_taken;          // lines with numbers that are no figure here
};

// `file_name` may say the date and the milestone too. Errors: no UTF-8, larger than 16 MiB.
Result<PastReport> read_report(std::string_view text, const std::string& file_name);

}  // namespace greta::runner
