#pragma once
// Where records go: one file a kind under --out. Nothing half-written looks whole: a record is
// written with one write(2) up to its newline (a short write is taken back), and `request_end` is
// the last line of a request. A write error (full disk) is returned, never ignored.

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "contract/result.h"

namespace greta::engine {

class Output {
 public:
  // Creates the folder, which must be absent or empty: results of two runs never mix (EngineExit::
  // usage). An empty path is an Output without a folder (no --out): it drops records.
  static Result<std::unique_ptr<Output>> open(const std::filesystem::path& folder);
  virtual ~Output() = default;
  virtual bool wanted() const = 0;  // false: nobody keeps records
  // event: file name without ".jsonl", unless a GRETA_…_OUT flag renamed it; line: with newline.
  virtual Result<> write(std::string_view event, const std::string& line) = 0;
  // Sends `event` to another file of the folder, before its first record. A path with folders is an
  // error.
  virtual Result<> rename(std::string_view event, const std::string& file_name) = 0;
  // A whole file (effective.json): written beside, fsynced, renamed.
  virtual Result<> write_file(const std::string& name, const std::string& text) = 0;

  template <class Record>
  Result<> record(std::string_view request, const Record& record) {
    if (!wanted()) return {};
    return write(Record::kEvent, record.line(request));
  }
};

}  // namespace greta::engine
