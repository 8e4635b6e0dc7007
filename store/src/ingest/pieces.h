#pragma once
// A file of a bundle in pieces of about a megabyte, each hashed, compressed and, for a records
// file, taken apart into lines and fields: all that needs no database. A file of more than one
// piece is worked on by a thread of its own, a few pieces ahead of the one that writes.

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "contract/result.h"
#include "db/compression.h"
#include "ingest/ingest_source.h"
#include "store/sha256.h"
#include "tables/ingest_line.h"

namespace greta::store {

struct Piece {
  struct Part {  // of the bytes, compressed: one row of content_chunk
    int64_t bytes = 0;
    std::string zstd;
  };
  struct Line {
    size_t offset = 0, length = 0;  // in the piece, without the newline
    LineState state = LineState::ok;
    size_t first_field = 0, fields = 0;  // in `values.fields`; none unless ok or nonstandard
    LineNames names = {};
    bool same_keys = false;  // as the line before, in their order
    bool ends = true;        // with a newline
  };
  std::vector<char> buffer;  // with LineParser::kPadding bytes behind the piece
  size_t size = 0;
  std::vector<Part> parts;  // empty where the contents are known already
  std::vector<Line> lines;
  LineValues values;  // views into `buffer`

  std::span<const LineField> fields_of(const Line& line) const {
    return std::span(values.fields).subspan(line.first_field, line.fields);
  }
};

class PieceReader {
 public:
  // records: pieces end at line ends and have lines. keep: they have compressed parts.
  struct Wanted {
    bool records = false, keep = false;
    int64_t bytes = 0;  // as the manifest says: how hard to compress
    bool ahead = true;  // false: nothing but the caller's thread may use the reader
  };
  PieceReader(ByteReader& reader, Wanted wanted);
  ~PieceReader();
  PieceReader(const PieceReader&) = delete;
  PieceReader& operator=(const PieceReader&) = delete;

  // The next piece, null at the end of the file; it stays valid until the next call.
  Result<const Piece*> next();
  // Of the whole file, once `next` has returned null.
  int64_t bytes() const { return bytes_; }
  std::string sha256() { return sha_.hex(); }

 private:
  Result<> fill(Piece& piece);
  Result<> parse(Piece& piece);
  void work();

  ByteReader& reader_;
  const Wanted wanted_;
  Sha256 sha_;
  Compressor compressor_;
  LineParser parser_;
  std::string rest_;  // read, and not yet in a piece: the start of a line
  int64_t bytes_ = 0;
  bool at_end_ = false;

  // Between the worker and the caller.
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::unique_ptr<Piece>> ready_, spare_;
  std::optional<Error> error_;
  bool finished_ = false, stopped_ = false;
  std::unique_ptr<Piece> current_;
  std::thread worker_;
};

}  // namespace greta::store
