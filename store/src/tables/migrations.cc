#include "tables/migrations.h"

#include <array>
#include <set>

#include "schema.sql.h"  // kSchemaSql: made from schema.sql at build time
#include "tables/typed_tables.h"
#include "tables/views.h"
#include "text/time_text.h"

namespace greta::store {
namespace {

struct Migration {
  std::string_view name;
  std::string_view sql;  // tables only: the views are made again after the last step
  Result<> (*code)(Database&) = nullptr;  // what SQL alone cannot do; after `sql`, without views
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

// A line's file, kind, request and state moved from its own row into one that it shares with the
// others of its file, and the indexes that led back to them went: half the time and a quarter of
// the size of an ingest. Rows of one span are found by the range of their ids.
constexpr std::string_view kSpans =
    "CREATE TABLE span (\n"
    "  id           INTEGER PRIMARY KEY,\n"
    "  file         INTEGER NOT NULL REFERENCES bundle_file (id) ON DELETE CASCADE,\n"
    "  kind         INTEGER NOT NULL REFERENCES kind (id),\n"
    "  request      INTEGER NOT NULL REFERENCES request (id),\n"
    "  state        INTEGER NOT NULL,\n"  // LineState
    "  first_record INTEGER NOT NULL,\n"  // of its lines, …
    "  last_record  INTEGER NOT NULL,\n"  // … and between them may be those of others
    "  lines        INTEGER NOT NULL,\n"
    "  UNIQUE (file, kind, request, state)\n"
    ");\n"
    "CREATE INDEX span_by_request ON span (request, kind);\n"
    "INSERT INTO span (file, kind, request, state, first_record, last_record, lines)"
    " SELECT file, kind, request, state, min(id), max(id), count(*) FROM record"
    " GROUP BY file, kind, request, state ORDER BY min(id);\n"
    "CREATE TABLE new_record (\n"
    "  id          INTEGER PRIMARY KEY,\n"
    "  span        INTEGER NOT NULL,\n"
    "  byte_offset INTEGER NOT NULL,\n"  // of its first byte in the file
    "  length      INTEGER NOT NULL\n"   // bytes, without the newline
    ");\n"
    "INSERT INTO new_record SELECT x.id, s.id, x.byte_offset, x.length FROM record x JOIN span s"
    " ON s.file = x.file AND s.kind = x.kind AND s.request = x.request AND s.state = x.state"
    " ORDER BY x.id;\n";

// A field may have been called like the new column: it gets the name that it would get today.
Result<> free_span_name(Database& db, const KindColumns& kind) {
  const auto lower = [](std::string text) {
    for (char& c : text)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return text;
  };
  std::set<std::string> taken;
  for (const std::string& column : kind.columns) taken.insert(lower(column));
  for (const std::string& column : kind.columns) {
    if (lower(column) != kSpanColumn) continue;
    std::string name = column + "__field";
    for (int n = 2; taken.contains(lower(name)); ++n)
      name = column + "__field__" + std::to_string(n);
    TRY_ASSIGN(
        Statement field,
        db.prepare("UPDATE field SET column_name = ?3 WHERE kind = ?1 AND column_name = ?2"));
    TRY(field.bind_all(kind.kind, column, name).run());
    TRY(db.execute("ALTER TABLE " + quoted_name(kind.table_name) + " RENAME COLUMN " +
                   quoted_name(column) + " TO " + quoted_name(name)));
  }
  return {};
}

Result<> put_rows_into_spans(Database& db) {
  // A view that a person made on the old tables must not stop their renaming.
  TRY(db.execute("PRAGMA legacy_alter_table = ON"));
  TRY_ASSIGN(const auto before, all_kinds(db));
  for (const KindColumns& kind : before) TRY(free_span_name(db, kind));
  TRY_ASSIGN(const auto kinds, all_kinds(db));
  for (const KindColumns& kind : kinds) {
    const std::string table = quoted_name(kind.table_name),
                      made = quoted_name("new " + kind.table_name);
    std::string names;
    for (const std::string& column : kind.columns) names += ", t." + quoted_name(column);
    TRY_ASSIGN(Statement types,
               db.prepare("SELECT name, type FROM pragma_table_info(?)"
                          " WHERE name NOT IN ('record', 'request') ORDER BY cid"));
    types.bind_all(kind.table_name);
    std::string columns;
    while (true) {
      TRY_ASSIGN(const bool row, types.step());
      if (!row) break;
      columns += ", " + quoted_name(types.text(0)) + " " + types.string(1);
    }
    TRY(db.execute("CREATE TABLE " + made + " (record INTEGER PRIMARY KEY, span INTEGER NOT NULL" +
                   columns + "); INSERT INTO " + made + " SELECT t.record, x.span" + names +
                   " FROM " + table +
                   " t JOIN new_record x ON x.id = t.record ORDER BY t.record;"
                   "DROP TABLE " +
                   table + "; ALTER TABLE " + made + " RENAME TO " + table));
  }
  return db.execute(
      "DROP TABLE record; ALTER TABLE new_record RENAME TO record; PRAGMA legacy_alter_table = "
      "OFF");
}

// Never edit a step that has been released: add one.
constexpr std::array kMigrations = {
    Migration{"first", kSchemaSql},
    Migration{"results_only", kResultsOnly},
    Migration{"cells_planned", kCellsPlanned},
    Migration{"purpose", kPurpose},
    Migration{"spans", kSpans, put_rows_into_spans},
};

Result<> drop_views(Database& db) {  // greta's own: people may have made others
  std::string sql;
  for (const std::string& view : fixed_view_names())
    sql += "DROP VIEW IF EXISTS " + quoted_name(view) + ";";
  TRY_ASSIGN(const auto has_kinds,
             db.integer("SELECT count(*) FROM sqlite_master WHERE name = 'kind'"));
  if (has_kinds > 0) {
    TRY_ASSIGN(const auto kinds, all_kinds(db));
    for (const KindColumns& kind : kinds)
      sql += "DROP VIEW IF EXISTS " + quoted_name(kind.view_name) + ";";
  }
  return db.execute(sql);
}

Result<> make_views(Database& db) {
  std::string sql = fixed_views_sql();
  TRY_ASSIGN(const auto kinds, all_kinds(db));
  for (const KindColumns& kind : kinds) sql += kind_view_sql(kind);
  return db.execute(sql);
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
  if (version <= 0)
    return fail(Exit::infrastructure, "the store is damaged: it says version " +
                                          std::to_string(version) + ", which no greta writes");
  if (version > newest_version()) {
    return fail(Exit::usage, "was written by a newer greta (store version " +
                                 std::to_string(version) + ", this greta knows " +
                                 std::to_string(newest_version()) + ")");
  }
  return version;
}

Result<> take_step(Database& db, int64_t index) {
  const Migration& step = kMigrations[static_cast<size_t>(index)];
  TRY(drop_views(db));
  TRY(db.execute(step.sql));
  if (step.code != nullptr) TRY(step.code(db));
  if (index + 1 == newest_version()) TRY(make_views(db));
  TRY_ASSIGN(Statement log, db.prepare("INSERT INTO migration VALUES (?, ?, ?)"));
  TRY(log.bind_all(index + 1, step.name, utc_now()).run());
  TRY(db.execute("PRAGMA user_version = " + std::to_string(index + 1)));
  return db.execute("PRAGMA application_id = " + std::to_string(kApplicationId));
}

}  // namespace

int64_t newest_version() { return static_cast<int64_t>(kMigrations.size()); }

Result<int64_t> migrate(Database& db) {
  TRY_ASSIGN(const int64_t seen, version_of(db));
  // A new store is there with all its steps or not at all: nobody sees an older one being made.
  const int64_t at_once = seen == 0 ? newest_version() : 1;
  for (int64_t next = seen; next < newest_version(); next += at_once) {
    TRY_ASSIGN(Transaction transaction, Transaction::begin(db));
    TRY_ASSIGN(const int64_t version, version_of(db));  // another process may have been faster
    if (version > next) continue;
    for (int64_t i = next; i < next + at_once; ++i) TRY(take_step(db, i));
    TRY(transaction.commit());
  }
  return seen;
}

Result<> check_version(Database& db) {
  TRY_ASSIGN(const int64_t version, version_of(db));
  if (version == newest_version()) return {};
  if (version == 0) return fail(Exit::usage, "is an empty file, no greta store");
  return fail(Exit::infrastructure,
              "was written by an older greta (store version " + std::to_string(version) +
                  ") and cannot be written here: copy it to a place where it can be, and greta "
                  "brings the copy up to version " +
                  std::to_string(newest_version()));
}

}  // namespace greta::store
