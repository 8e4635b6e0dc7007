#include "tables/migrations.h"

#include <array>

#include "schema.sql.h"  // kSchemaSql: made from schema.sql at build time
#include "tables/views.h"
#include "text/time_text.h"

namespace greta::store {
namespace {

struct Migration {
  std::string_view name;
  std::string (*sql)();
};

// Never edit a step that has been released: add one.
constexpr std::array kMigrations = {
    Migration{"first", [] { return std::string(kSchemaSql) + fixed_views_sql(-1); }},
};

Result<int64_t> version_of(Database& db) {
  // One statement, so one snapshot: another process may be creating the store at this moment.
  TRY_ASSIGN(Statement row,
             db.prepare("SELECT a.application_id, u.user_version, (SELECT count(*) FROM"
                        " sqlite_master) FROM pragma_application_id a, pragma_user_version u"));
  TRY_ASSIGN(const bool found, row.step());
  const int64_t application = found ? row.integer(0) : 0;
  const int64_t version = found ? row.integer(1) : 0;
  const int64_t objects = found ? row.integer(2) : 0;
  if (application == 0 && version == 0 && objects == 0) return 0;
  if (application != kApplicationId)
    return fail(Exit::usage, "is an SQLite file, but no greta store");
  if (version > newest_version()) {
    return fail(Exit::usage, "was written by a newer greta (store version " +
                                 std::to_string(version) + ", this greta knows " +
                                 std::to_string(newest_version()) + ")");
  }
  return version;
}

}  // namespace

int64_t newest_version() { return static_cast<int64_t>(kMigrations.size()); }

Result<> migrate(Database& db) {
  TRY_ASSIGN(const int64_t seen, version_of(db));
  if (seen == newest_version()) return {};
  for (int64_t next = seen; next < newest_version(); ++next) {
    TRY_ASSIGN(Transaction transaction, Transaction::begin(db));
    TRY_ASSIGN(const int64_t version, version_of(db));  // another process may have been faster
    if (version > next) continue;
    const Migration& step = kMigrations[static_cast<size_t>(next)];
    TRY(db.execute(step.sql()));
    TRY_ASSIGN(Statement log, db.prepare("INSERT INTO migration VALUES (?, ?, ?)"));
    TRY(log.bind_all(next + 1, step.name, utc_now()).run());
    TRY(db.execute("PRAGMA user_version = " + std::to_string(next + 1)));
    TRY(db.execute("PRAGMA application_id = " + std::to_string(kApplicationId)));
    TRY(transaction.commit());
  }
  return {};
}

Result<> check_version(Database& db) {
  TRY_ASSIGN(const int64_t version, version_of(db));
  if (version == newest_version()) return {};
  if (version == 0) return fail(Exit::usage, "is an empty file, no greta store");
  return fail(Exit::usage, "was written by an older greta (store version " +
                               std::to_string(version) +
                               "): any command that writes, such as `greta import`, brings it up");
}

}  // namespace greta::store
