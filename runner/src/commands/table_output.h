#pragma once
// Result tables for people and programs. Rows go out as they come, except where columns must be
// aligned.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "store/store.h"

namespace greta::runner {

enum class TableFormat {
  text,      // aligned columns, a header, NULL empty; of long texts the beginning and the length
  csv,       // quoted as in RFC 4180, lines end in \n; NULL empty, an empty text ""
  markdown,  // a pipe table
  json,      // a list of objects
  jsonl,     // one object a line
};

// False: nobody reads any more, stop.
using Write = std::function<bool(std::string_view)>;

class TableWriter {
 public:
  virtual ~TableWriter() = default;
  virtual bool columns(const std::vector<std::string>& names) = 0;
  virtual bool row(const std::vector<store::Value>& values) = 0;
  virtual bool finish() = 0;
  store::RowSink sink();
};
std::unique_ptr<TableWriter> table_writer(TableFormat format, Write write);

// Reals in the shortest form that reads back; infinities as Infinity; blobs as hex.
std::string to_text(const store::Value& value);

std::string table_text(const store::Table& table, TableFormat format);

// stdout that may be a pipe: false once the reader has gone. `failed` tells a broken pipe (quiet)
// from a full disk.
class StandardOutput {
 public:
  StandardOutput();
  bool write(std::string_view bytes);
  bool flush();
  bool failed() const { return failed_; }

 private:
  bool check(bool good);
  bool failed_ = false;
};

}  // namespace greta::runner
