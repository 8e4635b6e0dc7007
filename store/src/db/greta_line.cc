#include "db/greta_line.h"

#include "db/compression.h"

namespace greta::store {
namespace {

// Neighbouring records mostly share a piece of their file: the last one stays unpacked.
struct LastPiece {
  sqlite3* db = nullptr;
  int64_t content = -1, offset = 0;
  std::string bytes;

  bool holds(int64_t of_content, int64_t at) const {
    return of_content == content && at >= offset &&
           at < offset + static_cast<int64_t>(bytes.size());
  }
};

Result<> load_piece(LastPiece& last, int64_t content, int64_t at) {
  TRY_ASSIGN(
      Statement find,
      prepare(last.db,
              "SELECT byte_offset, bytes, zstd FROM main.content_chunk"
              " WHERE content = ?1 AND byte_offset <= ?2 ORDER BY byte_offset DESC LIMIT 1"));
  TRY_ASSIGN(const bool found, find.bind_all(content, at).step());
  if (!found || at >= find.integer(0) + find.integer(1))
    return fail(Exit::infrastructure, "the store is damaged: a stored file has a gap");
  TRY_ASSIGN(last.bytes, decompress(find.text(2), static_cast<size_t>(find.integer(1))));
  last.content = content;
  last.offset = find.integer(0);
  return {};
}

Result<std::optional<std::string>> line_of(LastPiece& last, int64_t record) {
  TRY_ASSIGN(Statement find, prepare(last.db,
                                     "SELECT f.content, x.byte_offset, x.length FROM main.record x"
                                     " JOIN main.span s ON s.id = x.span"
                                     " JOIN main.bundle_file f ON f.id = s.file WHERE x.id = ?"));
  TRY_ASSIGN(const bool found, find.bind_all(record).step());
  if (!found) return std::nullopt;
  const auto length = static_cast<size_t>(find.integer(2));
  std::string line;
  while (line.size() < length) {
    const int64_t at = find.integer(1) + static_cast<int64_t>(line.size());
    if (!last.holds(find.integer(0), at)) TRY(load_piece(last, find.integer(0), at));
    line.append(last.bytes, static_cast<size_t>(at - last.offset), length - line.size());
  }
  return line;
}

void greta_line(sqlite3_context* context, int, sqlite3_value** arguments) {
  if (sqlite3_value_type(arguments[0]) == SQLITE_NULL) return sqlite3_result_null(context);
  auto& last = *static_cast<LastPiece*>(sqlite3_user_data(context));
  const auto line = line_of(last, sqlite3_value_int64(arguments[0]));
  if (!line) {
    sqlite3_result_error(context, line.error().message.c_str(), -1);
  } else if (!*line) {
    sqlite3_result_null(context);
  } else {
    sqlite3_result_text64(context, (*line)->data(), (*line)->size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  }
}

}  // namespace

Result<> add_greta_line(Database& db) {
  auto* last = new LastPiece{.db = db.handle(), .content = -1, .offset = 0, .bytes = {}};
  const auto release = [](void* data) { delete static_cast<LastPiece*>(data); };
  const int code = sqlite3_create_function_v2(
      db.handle(), "greta_line", 1, SQLITE_UTF8 | SQLITE_DIRECTONLY, last, greta_line, nullptr,
      nullptr, release);  // releases on failure too
  if (code != SQLITE_OK) return tl::unexpected(db.error("greta_line"));
  return {};
}

}  // namespace greta::store
