#pragma once
// A Markdown report of a past milestone: what it says of itself, and the figures of its tables,
// each with its line. runner/IMPORT.md states the rules.

#include <filesystem>
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

// What the head of a column, the label of a row or a cell that stands for another became, where
// that is more than its letters.
struct PastHead {
  std::string head, field;
  Json keys;  // {"phase": "decode0"}
};

struct PastReport {
  std::string milestone, date;  // "" when the report does not say
  Json entry;                   // as an entry of experiments/history, for Store::import_report
  size_t tables = 0;            // with at least one figure
  size_t figures = 0;           // twins of two languages count once
  size_t twins = 0;             // figures that the other language repeats
  std::vector<std::string> contradictions;  // where the two languages differ: both are kept
  std::vector<PastLine> not_taken;          // what is no figure here, or has no key
  std::vector<PastHead> heads;
  std::vector<PastLine> texts;  // cells with a number in them that are kept as texts
  std::vector<int> not_utf8;    // lines with bytes that no text has; a cell has U+FFFD for them
};

// The name of the file may say the date and the milestone too, and its folders the date. Any bytes
// are a report. Errors: larger than 16 MiB.
Result<PastReport> read_report(std::string_view text, const std::filesystem::path& file);

}  // namespace greta::runner
