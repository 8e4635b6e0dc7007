// What nothing needs any more.

#include <set>

#include "store/care.h"
#include "tables/store_impl.h"
#include "tables/typed_tables.h"

namespace greta::store {
namespace {

// TEMP tables of the writing connection: `going` has the runs, `unused` the bundles.
Result<> choose(Database& db, const std::vector<int64_t>& runs, std::string_view before) {
  TRY(
      db.execute("CREATE TEMP TABLE IF NOT EXISTS going (run INTEGER PRIMARY KEY);"
                 "CREATE TEMP TABLE IF NOT EXISTS unused (bundle INTEGER PRIMARY KEY);"
                 "DELETE FROM temp.going; DELETE FROM temp.unused"));
  TRY_ASSIGN(Statement go, db.prepare("INSERT OR IGNORE INTO temp.going VALUES (?)"));
  for (const int64_t run : runs) TRY(go.bind_all(run).run());
  TRY_ASSIGN(Statement add,
             db.prepare("INSERT INTO temp.unused SELECT b.id FROM bundle b"
                        " WHERE NOT EXISTS (SELECT 1 FROM cell c WHERE c.bundle = b.id AND c.run"
                        " NOT IN (SELECT run FROM temp.going))"
                        " AND (b.ended_at < ? OR EXISTS (SELECT 1 FROM cell c WHERE c.bundle ="
                        " b.id))"));
  return add.bind_all(before).run();
}

Result<Unused> chosen(Database& db) {
  Unused out;
  TRY_ASSIGN(out.runs, db.integer("SELECT count(*) FROM temp.going"));
  TRY_ASSIGN(Statement bundles, db.prepare("SELECT hash FROM bundle WHERE id IN"
                                           " (SELECT bundle FROM temp.unused) ORDER BY hash"));
  while (true) {
    TRY_ASSIGN(const bool row, bundles.step());
    if (!row) break;
    out.bundles.push_back(bundles.string(0));
  }
  TRY_ASSIGN(Statement files,
             db.prepare("SELECT count(*), ifnull(sum(bytes), 0) FROM content c WHERE NOT EXISTS"
                        " (SELECT 1 FROM bundle_file f WHERE f.content = c.id AND f.bundle NOT IN"
                        " (SELECT bundle FROM temp.unused))"));
  TRY(files.step());
  out.files = files.integer(0);
  out.bytes = files.integer(1);
  return out;
}

Result<> remove_records(Database& db) {
  TRY_ASSIGN(Statement spans,
             db.prepare("SELECT s.id, s.first_record, s.last_record, k.table_name FROM span s"
                        " JOIN kind k ON k.id = s.kind JOIN bundle_file f ON f.id = s.file"
                        " WHERE f.bundle IN (SELECT bundle FROM temp.unused)"));
  TRY_ASSIGN(Statement record,
             db.prepare("DELETE FROM record WHERE id BETWEEN ?2 AND ?3 AND span = ?1"));
  std::map<std::string, Statement> rows;
  while (true) {
    TRY_ASSIGN(const bool row, spans.step());
    if (!row) return {};
    const std::string table = spans.string(3);
    auto at = rows.find(table);
    if (at == rows.end()) {
      TRY_ASSIGN(Statement remove, db.prepare("DELETE FROM " + quoted_name(table) +
                                              " WHERE record BETWEEN ?2 AND ?3 AND span = ?1"));
      at = rows.emplace(table, std::move(remove)).first;
    }
    for (Statement* const remove : {&record, &at->second})
      TRY(remove->bind_all(spans.integer(0), spans.integer(1), spans.integer(2)).run());
  }
}

}  // namespace

Result<Unused> find_unused(Store& store, const std::vector<int64_t>& runs,
                           std::string_view before) {
  TRY(choose(store.impl().db, runs, before));
  return chosen(store.impl().db);
}

Result<Unused> remove_unused(Store& store, const std::vector<int64_t>& runs,
                             std::string_view before) {
  TRY(store.impl().must_write());
  Database& db = store.impl().db;
  TRY_ASSIGN(Transaction transaction, Transaction::begin(db));
  TRY(choose(db, runs, before));
  TRY_ASSIGN(Unused out, chosen(db));
  TRY(remove_records(db));
  TRY(
      db.execute("DELETE FROM run WHERE id IN (SELECT run FROM temp.going);"
                 "DELETE FROM bundle WHERE id IN (SELECT bundle FROM temp.unused);"
                 "DELETE FROM content WHERE id NOT IN (SELECT content FROM bundle_file)"));
  TRY(transaction.commit());
  return out;
}

Result<> compact(Store& store) {
  TRY(store.impl().must_write());
  return store.impl().db.execute("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)");
}

}  // namespace greta::store
