#pragma once
// What the files of this room share: the open store. Two connections: `db` writes (or only reads,
// as the store was opened), `reader` runs the SQL of people, read-only and behind an authorizer.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "db/sqlite.h"
#include "store/store.h"
#include "tables/views.h"

namespace greta::store {

struct Store::Impl {
  std::filesystem::path file;
  Access access = Access::read_only;
  Database db;
  std::optional<Database> reader;
  int64_t reader_scope = -1;               // the run that the reader's TEMP views show; -1 all
  int64_t reader_schema = -1;              // PRAGMA schema_version that those views were made for
  std::vector<RunView> reader_views = {};  // that no query has named yet
  Result<> must_write() const;             // an error when open for reading only
};

// For reading only, checked to be a greta store of this version. A store on a medium that cannot be
// written is opened too, as long as no write-ahead log is waiting there.
Result<Database> open_reading(const std::filesystem::path& file);

}  // namespace greta::store
