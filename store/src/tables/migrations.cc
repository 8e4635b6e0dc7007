#include "tables/migrations.h"

#include <array>

#include "schema.sql.h"  // kSchemaSql: made from schema.sql at build time
#include "tables/typed_tables.h"
#include "tables/views.h"
#include "text/time_text.h"

namespace greta::store {
namespace {

struct Migration {
  std::string_view name;
  std::string_view sql;  // tables only: the views are made again after the last step
};

// Whether what a request's lines say counts as a result in that run: its cell ended ok or, for
// lines that belong to no cell, any cell of the bundle did. The views of the record kinds see only
// those.
constexpr std::string_view kResultsOnly =
    "ALTER TABLE member ADD COLUMN is_result INTEGER NOT NULL DEFAULT 0;\n"
    "UPDATE member SET is_result = CASE WHEN cell IS NOT NULL"
    " THEN (SELECT c.status = 'ok' FROM cell c WHERE c.id = member.cell)"
    " ELSE EXISTS (SELECT 1 FROM request q JOIN cell c ON c.bundle = q.bundle"
    " WHERE q.id = member.request AND c.run = member.run AND c.status = 'ok') END;\n";

// How many cells the spec asks for: a run of some of them (--only, or one that was stopped) must
// not stand for its milestone. 0: not known, or recorded.
constexpr std::string_view kCellsPlanned =
    "ALTER TABLE run ADD COLUMN cells_planned INTEGER NOT NULL DEFAULT 0;\n";

// Why it ran, and which run a replay repeats.
constexpr std::string_view kPurpose =
    "ALTER TABLE run ADD COLUMN purpose TEXT NOT NULL DEFAULT 'run';\n"
    "ALTER TABLE run ADD COLUMN replay_of TEXT;\n";

// Never edit a step that has been released: add one.
constexpr std::array kMigrations = {
    Migration{"first", kSchemaSql},
    Migration{"results_only", kResultsOnly},
    Migration{"cells_planned", kCellsPlanned},
    Migration{"purpose", kPurpose},
};

Result<> remake_views(Database& db) {
  std::string sql;
  for (const std::string& view : fixed_view_names())
    sql += "DROP VIEW IF EXISTS " + quoted_name(view) + ";";
  TRY_ASSIGN(const auto kinds, all_kinds(db));
  for (const KindColumns& kind : kinds)
    sql += "DROP VIEW IF EXISTS " + quoted_name(kind.view_name) + ";" + kind_view_sql(kind, -1);
  return db.execute(sql + fixed_views_sql(-1));
}

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
    TRY(db.execute(step.sql));
    if (next + 1 == newest_version()) TRY(remake_views(db));
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
  return fail(Exit::usage,
              "was written by an older greta (store version " + std::to_string(version) +
                  ") and cannot be written: a greta that may write to it brings it up");
}

}  // namespace greta::store
