#pragma once
// What the files of this room share: the open store. Two connections: `db` writes (or only reads,
// as the store was opened), `reader` runs the SQL of people, read-only and behind an authorizer.

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "db/sqlite.h"
#include "store/store.h"
#include "tables/migrations.h"
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
  std::function<bool()> cancelled = {};    // asked by queries whose sink has nobody to ask
  int64_t came_from = newest_version();    // the version that the file had before it was opened
  bool is_new = false;  // made by this opening and still with a rollback journal: see settle()

  Impl(std::filesystem::path at, Access how, Database writer)
      : file(std::move(at)), access(how), db(std::move(writer)) {}
  Impl(const Impl&) = delete;
  ~Impl() { settle(); }
  // Before a write: an error when open for reading only; a new store settles.
  Result<> must_write();
  // The same before much is written, which goes into a new store about a third faster while that
  // is not in WAL mode: every page is written once, and not to the log before. settle() follows.
  Result<> must_fill() const;
  // A new store gets its WAL mode, in which readers and a writer do not wait for each other; or,
  // where another process is reading it at this moment, the next time.
  void settle();
};

// For reading only, checked to be a greta store of this version. A store on a medium that cannot be
// written is opened too, as long as no write-ahead log is waiting there.
Result<Database> open_reading(const std::filesystem::path& file);

}  // namespace greta::store
