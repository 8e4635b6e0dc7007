#include "care/stored_source.h"

#include "contract/text.h"
#include "db/compression.h"

namespace greta::store {
namespace {

class StoredReader : public ByteReader {
 public:
  static Result<std::unique_ptr<ByteReader>> open(Database& db, int64_t content) {
    auto reader = std::unique_ptr<StoredReader>(new StoredReader);
    TRY_ASSIGN(reader->pieces_, db.prepare("SELECT bytes, zstd FROM content_chunk WHERE content = ?"
                                           " ORDER BY byte_offset"));
    reader->pieces_.bind_all(content);
    return reader;
  }
  Result<size_t> read(char* to, size_t size) override {
    if (rest_.empty()) {
      TRY_ASSIGN(const bool row, pieces_.step());
      if (!row) return 0U;
      TRY_ASSIGN(piece_, decompress(pieces_.text(1), static_cast<size_t>(pieces_.integer(0))));
      rest_ = piece_;
    }
    const size_t got = std::min(size, rest_.size());
    rest_.copy(to, got);
    rest_.remove_prefix(got);
    return got;
  }

 private:
  StoredReader() = default;
  Statement pieces_;
  std::string piece_;
  std::string_view rest_;
};

}  // namespace

Result<std::unique_ptr<ByteReader>> read_content(Database& db, int64_t content) {
  return StoredReader::open(db, content);
}

Result<std::unique_ptr<ByteReader>> StoredSource::open(const std::string& name) {
  TRY_ASSIGN(Statement find,
             db_.prepare("SELECT content FROM bundle_file WHERE bundle = ? AND name = ?"));
  TRY_ASSIGN(const bool found, find.bind_all(bundle_, name).step());
  if (!found) return fail(Exit::infrastructure, "the store has no file `" + printable(name) + "`");
  return read_content(db_, find.integer(0));
}

}  // namespace greta::store
