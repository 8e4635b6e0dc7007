// The whole of a store, read once more.

#include <set>

#include "care/check_facts.h"
#include "care/check_records.h"
#include "contract/text.h"
#include "db/compression.h"
#include "ingest/ingest_manifest.h"
#include "store/care.h"
#include "store/sha256.h"
#include "tables/store_impl.h"

namespace greta::store {
namespace {

constexpr size_t kMostTroubles = 1000;  // a file that is damaged throughout says enough with these

class Checker {
 public:
  Checker(Database& db, const CareProgress& progress) : db_(db), progress_(progress) {}

  Result<Checked> run() {
    TRY(part("SQLite", [&] { return check_pages(); }));
    TRY(part("tables", [&] { return check_tables(db_, out_.troubles); }));
    TRY(part("tables", [&] { return count(); }));
    TRY(part("keys", [&] { return check_keys(); }));
    TRY(part("bundles", [&] { return check_bundles(); }));
    TRY(part("bundles", [&] { return check_facts_of_bundles(db_, out_.troubles); }));
    TRY(part("files", [&] { return check_files(); }));
    TRY(part("records", [&] { return check_rows(db_, out_.troubles); }));
    TRY(part("runs", [&] { return check_runs(db_, out_.troubles); }));
    TRY(part("views", [&] { return check_views(); }));
    TRY(part("leftovers", [&] { return note_leftovers(); }));
    if (out_.troubles.size() > kMostTroubles) out_.troubles.resize(kMostTroubles);
    return std::move(out_);
  }

  bool goes_on() const {
    stopped_ = stopped_ || !progress_(done_, total_);
    return !stopped_;
  }

 private:
  void add(std::string where, std::string what) {
    out_.troubles.push_back({std::move(where), std::move(what)});
  }

  // What cannot be read is damage, and does not keep the other parts from being looked at.
  Result<> part(const char* where, const std::function<Result<>()>& look) {
    const Result<> looked = look();
    if (stopped_) return fail(Exit::interrupted, "interrupted");
    if (!looked) add(where, looked.error().message);
    return {};
  }

  Result<> count() {
    TRY_ASSIGN(total_, db_.integer("SELECT ifnull(sum(bytes), 0) FROM content"));
    TRY_ASSIGN(out_.runs, db_.integer("SELECT count(*) FROM run"));
    TRY_ASSIGN(out_.records, db_.integer("SELECT count(*) FROM record"));
    return {};
  }

  Result<> check_pages() {
    TRY_ASSIGN(Statement rows, db_.prepare("PRAGMA integrity_check(100)"));
    while (true) {
      TRY_ASSIGN(const bool row, rows.step());
      if (!row) return {};
      if (rows.text(0) != "ok") add("SQLite", printable(rows.text(0), 300));
    }
  }

  Result<> check_keys() {
    TRY_ASSIGN(Statement rows, db_.prepare("SELECT \"table\", parent, count(*), min(rowid) FROM"
                                           " pragma_foreign_key_check GROUP BY 1, 2"));
    while (true) {
      TRY_ASSIGN(const bool row, rows.step());
      if (!row) return {};
      add("table " + rows.string(0), rows.string(2) + " rows point to rows of " + rows.string(1) +
                                         " that are not there, first row " + rows.string(3));
    }
  }

  // A manifest is what its hash says, and lists the files that are here.
  Result<> check_bundles() {
    TRY_ASSIGN(Statement bundles, db_.prepare("SELECT id, hash, manifest FROM bundle ORDER BY id"));
    TRY_ASSIGN(Statement files,
               db_.prepare("SELECT f.name, c.bytes, c.sha256, f.role, f.kind FROM bundle_file f"
                           " JOIN content c ON c.id = f.content WHERE f.bundle = ?"));
    while (true) {
      TRY_ASSIGN(const bool row, bundles.step());
      if (!row) return {};
      ++out_.bundles;
      const std::string hash = bundles.string(1), where = "bundle " + hash;
      const auto manifest = sha256_hex(bundles.text(2)) == hash
                                ? parse_manifest(bundles.text(2))
                                : fail(Exit::infrastructure, "its manifest has another hash");
      if (!manifest) {
        add(where, manifest.error().message);
        continue;
      }
      std::set<std::string> listed, here;
      for (const ManifestFile& file : manifest->files)
        listed.insert(file.name + " " + std::to_string(file.bytes) + " " + file.sha256 + " " +
                      file.role + " " + file.kind);
      files.bind_all(bundles.integer(0));
      while (true) {
        TRY_ASSIGN(const bool more, files.step());
        if (!more) break;
        here.insert(files.string(0) + " " + files.string(1) + " " + files.string(2) + " " +
                    files.string(3) + " " + files.string(4));
      }
      if (listed != here) add(where, "its files are not those that its manifest lists");
    }
  }

  // Every stored byte against its hash, every line against its row.
  Result<> check_files() {
    TRY_ASSIGN(Statement contents,
               db_.prepare("SELECT id, sha256, bytes, (SELECT b.hash || ' ' || f.name FROM"
                           " bundle_file f JOIN bundle b ON b.id = f.bundle WHERE f.content = c.id"
                           " LIMIT 1) FROM content c ORDER BY id"));
    while (true) {
      TRY_ASSIGN(const bool row, contents.step());
      if (!row) return {};
      ++out_.files;
      const int64_t id = contents.integer(0), bytes = contents.integer(2);
      const std::string name = contents.string(3);
      const size_t space = name.find(' ');
      const std::string where =
          space == std::string::npos
              ? "content " + std::to_string(id)
              : "file " + printable(name.substr(space + 1)) + " of bundle " + name.substr(0, space);
      if (auto wrong = check_content(id, contents.string(1), bytes); !wrong) {
        add(where, wrong.error().message);
      } else {
        const auto looked = check_lines_of_content(db_, id, where, out_.troubles);
        if (!looked && !stopped_) add(where, looked.error().message);
      }
      out_.bytes += bytes;
      done_ += bytes;
      if (!goes_on()) return {};
    }
  }

  Result<> check_content(int64_t content, const std::string& sha256, int64_t bytes) {
    TRY_ASSIGN(Statement pieces,
               db_.prepare("SELECT byte_offset, bytes, zstd FROM content_chunk WHERE content = ?"
                           " ORDER BY byte_offset"));
    pieces.bind_all(content);
    Sha256 hash;
    int64_t at = 0;
    while (true) {
      TRY_ASSIGN(const bool row, pieces.step());
      if (!row) break;
      if (pieces.integer(0) != at)
        return fail(Exit::infrastructure, "a piece is missing at byte " + std::to_string(at));
      TRY_ASSIGN(const std::string piece,
                 decompress(pieces.text(2), static_cast<size_t>(pieces.integer(1))));
      hash.update(piece);
      at += static_cast<int64_t>(piece.size());
    }
    if (at != bytes || hash.hex() != sha256)
      return fail(Exit::infrastructure, "does not have the hash of its manifest");
    return {};
  }

  Result<> check_views() {
    TRY_ASSIGN(const auto kinds, all_kinds(db_));
    std::string sql = fixed_views_sql();
    for (const KindColumns& kind : kinds) sql += kind_view_sql(kind);
    TRY_ASSIGN(Statement views, db_.prepare("SELECT name FROM sqlite_master WHERE type = 'view'"
                                            " AND instr(?1, sql || ';' || char(10)) > 0"));
    views.bind_all(sql);
    std::set<std::string> as_made;
    while (true) {
      TRY_ASSIGN(const bool row, views.step());
      if (!row) break;
      as_made.insert(views.string(0));
    }
    std::vector<std::string> wanted = fixed_view_names();
    for (const KindColumns& kind : kinds) wanted.push_back(kind.view_name);
    for (const std::string& view : wanted)
      if (!as_made.contains(view)) add("view " + view, "is missing, or not as greta made it");
    return {};
  }

  Result<> note_leftovers() {
    const std::pair<const char*, const char*> kNotes[] = {
        {"SELECT count(*) FROM bundle b WHERE NOT EXISTS (SELECT 1 FROM cell c WHERE c.bundle ="
         " b.id)",
         "bundles belong to no run (a run that was stopped may take them; else greta gc)"},
        {"SELECT count(*) FROM content c WHERE NOT EXISTS (SELECT 1 FROM bundle_file f WHERE"
         " f.content = c.id)",
         "stored files belong to no bundle (greta gc)"},
        {"SELECT count(*) FROM span WHERE state IN (4, 5)",
         "groups of lines are torn or no JSON: they are in `records`, not in a kind's view"}};
    for (const auto& [sql, what] : kNotes) {
      TRY_ASSIGN(const int64_t count, db_.integer(sql));
      if (count > 0) out_.notes.push_back(std::to_string(count) + " " + what);
    }
    return {};
  }

  Database& db_;
  const CareProgress& progress_;
  int64_t done_ = 0, total_ = 0;  // bytes of files
  mutable bool stopped_ = false;
  Checked out_;
};

}  // namespace

Result<Checked> check(Store& store, const CareProgress& progress) {
  // One snapshot, also while somebody writes.
  Database& db = store.impl().db;
  TRY(db.execute("BEGIN"));
  // Some statements alone take seconds in a large store.
  constexpr int kStepsBetweenLooks = 100'000;
  Checker checker(db, progress);
  sqlite3_progress_handler(
      db.handle(), kStepsBetweenLooks,
      [](void* looks) { return static_cast<const Checker*>(looks)->goes_on() ? 0 : 1; }, &checker);
  auto checked = checker.run();
  sqlite3_progress_handler(db.handle(), 0, nullptr, nullptr);
  TRY(db.execute("ROLLBACK"));
  return checked;
}

}  // namespace greta::store
