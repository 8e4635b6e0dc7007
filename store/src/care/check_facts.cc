#include "care/check_facts.h"

#include <map>
#include <set>

#include "care/stored_source.h"
#include "contract/text.h"
#include "ingest/ingest.h"
#include "runs/store_runs.h"
#include "tables/migrations.h"

namespace greta::store {
namespace {

Result<std::set<std::string>> column(Statement& rows) {
  std::set<std::string> out;
  while (true) {
    TRY_ASSIGN(const bool row, rows.step());
    if (!row) return out;
    out.insert(rows.string(0));
  }
}

// Tables of one name, with their columns in any order: migrations append, new stores do not.
Result<std::map<std::string, std::set<std::string>>> tables_of(Database& db) {
  TRY_ASSIGN(Statement names, db.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND"
                                         " name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"));
  TRY_ASSIGN(const auto tables, column(names));
  TRY_ASSIGN(Statement columns, db.prepare("SELECT name FROM pragma_table_info(?)"));
  std::map<std::string, std::set<std::string>> out;
  for (const std::string& table : tables) {
    columns.bind_all(table);
    TRY_ASSIGN(out[table], column(columns));
  }
  return out;
}

// What ingest makes of a manifest and the engine's files: of each table the rows of bundle ?1, each
// one text that begins with what names it.
struct FactRows {
  const char* table;
  const char* sql;
  bool may_have_more;  // than the manifest says
};
constexpr FactRows kFactRows[] = {
    {"bundle",
     "SELECT 'its row ' || json_array(provenance, status, exit_code, signal, reason, started_at,"
     " ended_at, wall_s, contract_version, milestone, executor, argv, variant, variant_json,"
     " repeat, \"commit\") FROM bundle WHERE id = ?1",
     false},
    // Why a file of the engine could not be read is told with the place where it lay.
    {"bundle_environment",
     "SELECT key || ' ' || CASE WHEN key LIKE '%.error' THEN '' ELSE quote(value) END FROM"
     " bundle_environment WHERE bundle = ?1",
     false},
    {"bundle_flag",
     "SELECT name || ' ' || json_array(value, source, read) FROM bundle_flag WHERE bundle = ?1",
     false},
    {"bundle_kernel",
     "SELECT id || ' ' || json_array(op, variant, code_hash, launches) FROM bundle_kernel"
     " WHERE bundle = ?1",
     false},
    {"bundle_prompt",
     "SELECT id || ' ' || json_array(sha256, text) FROM bundle_prompt WHERE bundle = ?1", false},
    // Lines may name requests that the manifest does not know.
    {"request", "SELECT name || ' ' || declared FROM request WHERE bundle = ?1", true},
};

// The first word of what one side has and the other has not; "" where they are equal.
std::string first_difference(const std::set<std::string>& here, const std::set<std::string>& anew,
                             bool may_have_more) {
  const auto name_in = [](const std::set<std::string>& some, const std::set<std::string>& other) {
    for (const std::string& row : some)
      if (!other.contains(row)) return "`" + printable(row.substr(0, row.find(' ')), 80) + "`";
    return std::string();
  };
  const std::string missing = name_in(anew, here);
  return missing.empty() && !may_have_more ? name_in(here, anew) : missing;
}

class FactChecker {
 public:
  FactChecker(Database& db, std::vector<Trouble>& troubles) : db_(db), troubles_(troubles) {}

  Result<> run() {
    TRY_ASSIGN(Database anew, Database::open(":memory:", Database::Mode::create));
    TRY(migrate(anew));
    for (const FactRows& rows : kFactRows) {
      Side& side = sides_.emplace_back(Side{.rows = rows});
      TRY_ASSIGN(side.here, db_.prepare(rows.sql));
      TRY_ASSIGN(side.anew, anew.prepare(rows.sql));
    }
    TRY_ASSIGN(Statement bundles, db_.prepare("SELECT id, hash, manifest FROM bundle ORDER BY id"));
    while (true) {
      TRY_ASSIGN(const bool row, bundles.step());
      if (!row) break;
      TRY_ASSIGN(Transaction scratch, Transaction::begin(anew));
      StoredSource source(db_, bundles.integer(0));
      const auto facts = ingest_facts(anew, bundles.text(2), source);
      if (!facts) continue;  // said of its manifest
      TRY(compare(bundles.integer(0), facts->bundle, bundles.string(1)));
    }
    for (const Side& side : sides_) {
      if (side.bundles > 0)
        troubles_.push_back({std::string("table ") + side.rows.table,
                             "of " + std::to_string(side.bundles) +
                                 " bundles it does not say what manifest and engine say, first " +
                                 side.example});
    }
    return {};
  }

 private:
  struct Side {
    const FactRows& rows;
    Statement here = {}, anew = {};
    int64_t bundles = 0;  // that differ
    std::string example = {};
  };

  Result<> compare(int64_t here, int64_t anew, const std::string& hash) {
    for (Side& side : sides_) {
      TRY_ASSIGN(const auto rows_here, column(side.here.bind_all(here)));
      TRY_ASSIGN(const auto rows_anew, column(side.anew.bind_all(anew)));
      const std::string which = first_difference(rows_here, rows_anew, side.rows.may_have_more);
      if (!which.empty() && side.bundles++ == 0) side.example = which + " of bundle " + hash;
    }
    return {};
  }

  Database& db_;
  std::vector<Trouble>& troubles_;
  std::vector<Side> sides_;
};

// A count, and an example: none of these may be there.
struct Never {
  const char* where;
  const char* sql;
  const char* what;
};
constexpr Never kNever[] = {
    {"table run",
     "SELECT count(*), min(name) FROM run"
     " WHERE substr(name, 1, length(milestone) + 1) <> milestone || '-'",
     "runs are not named after their milestone"},
    {"table run",
     "SELECT count(*), min(name) FROM run WHERE ifnull(\"commit\", '') <>"
     " ifnull(CASE WHEN json_valid(resolved) AND json_type(resolved, '$.commit') = 'text'"
     " THEN resolved ->> '$.commit' END, '')",
     "runs have another commit than they resolved"},
    {"table cell_axis",
     "SELECT count(*), min(r.name) FROM cell c JOIN run r ON r.id = c.run WHERE"
     " (SELECT count(*) FROM cell_axis x WHERE x.cell = c.id) <>"
     " (SELECT count(*) FROM json_each(c.variant_json))"
     " OR EXISTS (SELECT 1 FROM json_each(c.variant_json) e WHERE NOT EXISTS (SELECT 1 FROM"
     " cell_axis x WHERE x.cell = c.id AND x.axis = e.key AND (e.type <> 'text' OR x.value ="
     " e.value)))",
     "cells have other axes than their variants"},
    {"table member",
     "SELECT count(*), min(c.id) FROM cell c JOIN request q ON q.bundle = c.bundle AND"
     " q.name = c.request WHERE NOT EXISTS (SELECT 1 FROM member m WHERE m.run = c.run"
     " AND m.request = q.id)",
     "cells are cut off from their records"},
    {"table member",
     "SELECT count(*), min(q.id) FROM request q WHERE q.declared = 0 AND EXISTS (SELECT 1 FROM"
     " cell c WHERE c.bundle = q.bundle AND NOT EXISTS (SELECT 1 FROM member m WHERE m.run = c.run"
     " AND m.request = q.id))",
     "groups of lines without a cell are cut off from their runs"},
    {"table member",
     "SELECT count(*), min(m.request) FROM member m JOIN request q ON q.id = m.request LEFT JOIN"
     " cell c ON c.id = m.cell WHERE m.cell IS NOT NULL AND (c.run IS NOT m.run OR c.bundle IS NOT"
     " q.bundle OR c.request IS NOT q.name OR c.variant IS NOT m.variant OR c.prompt IS NOT"
     " m.prompt OR c.repeat IS NOT m.repeat)",
     "rows say something else than their cells"},
    {"table member",
     "SELECT count(*), min(m.request) FROM member m WHERE is_result IS NOT (CASE WHEN cell IS NOT"
     " NULL THEN (SELECT c.status = 'ok' FROM cell c WHERE c.id = m.cell) ELSE EXISTS (SELECT 1"
     " FROM request q JOIN cell c ON c.bundle = q.bundle WHERE q.id = m.request AND c.run = m.run"
     " AND c.status = 'ok') END)",
     "rows show lines of a failed cell as results, or hide results"},
};

}  // namespace

Result<> check_tables(Database& db, std::vector<Trouble>& troubles) {
  TRY_ASSIGN(Database fresh, Database::open(":memory:", Database::Mode::create));
  TRY(migrate(fresh));
  TRY_ASSIGN(const auto wanted, tables_of(fresh));
  TRY_ASSIGN(const auto here, tables_of(db));
  for (const auto& [table, columns] : wanted) {
    const auto found = here.find(table);
    if (found == here.end()) {
      troubles.push_back({"table " + table, "is missing"});
    } else if (found->second != columns) {
      troubles.push_back({"table " + table, "its columns are not those of a greta store"});
    }
  }
  return {};
}

Result<> check_facts_of_bundles(Database& db, std::vector<Trouble>& troubles) {
  return FactChecker(db, troubles).run();
}

Result<> check_runs(Database& db, std::vector<Trouble>& troubles) {
  for (const Never& never : kNever) {
    TRY_ASSIGN(Statement row, db.prepare(never.sql));
    TRY_ASSIGN(const bool found, row.step());
    if (found && row.integer(0) > 0)
      troubles.push_back({never.where, row.string(0) + " " + never.what + ", first " +
                                           printable(row.text(1), 200)});
  }
  TRY_ASSIGN(Statement runs,
             db.prepare("SELECT id, name FROM run WHERE status <> 'running' ORDER BY id"));
  while (true) {
    TRY_ASSIGN(const bool row, runs.step());
    if (!row) return {};
    if (const auto good = check_stored_run(db, runs.integer(0)); !good)
      troubles.push_back({"run " + printable(runs.text(1), 200), good.error().message});
  }
}

}  // namespace greta::store
