#pragma once
// What the files of this room share: the open store. Two connections: `db` writes (or only reads,
// as the store was opened), `reader` runs the SQL of people, read-only and behind an authorizer.

#include <filesystem>
#include <optional>
#include <string>

#include "sqlite.h"
#include "store/store.h"

namespace greta::store {

struct Store::Impl {
  std::filesystem::path file;
  Access access = Access::read_only;
  Database db;
  std::optional<Database> reader;
  int64_t reader_scope = -1;    // the run that the reader's TEMP views show; -1 all
  int64_t reader_schema = -1;   // PRAGMA schema_version that those views were made for
  Result<> must_write() const;  // an error when the store was opened read-only
};

}  // namespace greta::store
