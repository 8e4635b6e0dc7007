#include "runs/store_runs.h"

#include <unistd.h>

#include <array>
#include <nlohmann/json.hpp>
#include <random>

#include "contract/text.h"
#include "db/process_mark.h"
#include "ingest/ingest.h"
#include "tables/store_impl.h"
#include "text/time_text.h"

namespace greta::store {
namespace {

using nlohmann::json;

std::string_view status_name(RunStatus status) {
  constexpr std::array<std::string_view, 4> kNames = {"running", "complete", "failed",
                                                      "interrupted"};
  return kNames[static_cast<size_t>(status)];
}

std::string random_hex4() {
  static std::random_device device;
  constexpr char kDigits[] = "0123456789abcdef";
  const unsigned value = device();
  return {kDigits[value & 15], kDigits[value >> 4 & 15], kDigits[value >> 8 & 15],
          kDigits[value >> 12 & 15]};
}

std::string as_json_object(const std::string& text) {
  return text.empty() ? std::string("{}") : text;
}

// What the spec resolved to; "" when it says none.
std::string commit_of(const std::string& resolved_json) {
  const json resolved = json::parse(resolved_json, nullptr, /*allow_exceptions=*/false);
  if (!resolved.is_object() || !resolved.contains("commit") || !resolved["commit"].is_string())
    return {};
  return resolved["commit"].get<std::string>();
}

Result<int64_t> run_id(Database& db, std::string_view name) {
  TRY_ASSIGN(Statement find, db.prepare("SELECT id FROM run WHERE name = ?"));
  TRY_ASSIGN(const bool found, find.bind_all(name).step());
  if (!found) return fail(Exit::usage, "no run `" + printable(name) + "` in the store");
  return find.integer(0);
}

// Which lines of the bundle (of any, without one) count as results of this run: those of a cell
// that ended ok, and those of no cell where any cell of the bundle did.
Result<> mark_results(Database& db, int64_t run, std::optional<int64_t> bundle) {
  TRY_ASSIGN(
      Statement mark,
      db.prepare("UPDATE member SET is_result = CASE WHEN cell IS NOT NULL"
                 " THEN (SELECT c.status = 'ok' FROM cell c WHERE c.id = member.cell)"
                 " ELSE EXISTS (SELECT 1 FROM request q JOIN cell c ON c.bundle = q.bundle"
                 " WHERE q.id = member.request AND c.run = member.run AND c.status = 'ok') END"
                 " WHERE run = ?1 AND (?2 IS NULL OR"
                 " request IN (SELECT id FROM request WHERE bundle = ?2))"));
  return mark.bind_all(run, bundle).run();
}

// The cell's own request; and the requests that no cell of the bundle declares, which belong to the
// run as a whole.
Result<> add_members(Database& db, int64_t run, int64_t cell, int64_t bundle, const CellRow& row) {
  TRY_ASSIGN(Statement request, db.prepare("INSERT INTO request (bundle, name, declared)"
                                           " VALUES (?, ?, 1) ON CONFLICT DO NOTHING"));
  TRY(request.bind_all(bundle, row.request).run());
  TRY_ASSIGN(
      Statement own,
      db.prepare("INSERT INTO member (run, request, cell, variant, prompt, repeat)"
                 " SELECT ?, id, ?, ?, nullif(?, ''), ? FROM request"
                 " WHERE bundle = ? AND name = ?"
                 " ON CONFLICT DO UPDATE SET cell = excluded.cell, variant = excluded.variant,"
                 " prompt = excluded.prompt, repeat = excluded.repeat"));
  TRY(own.bind_all(run, cell, row.variant, row.prompt, row.repeat, bundle, row.request).run());
  TRY_ASSIGN(Statement rest,
             db.prepare("INSERT OR IGNORE INTO member (run, request, cell, variant, prompt, repeat)"
                        " SELECT ?, id, NULL, ?, NULL, ? FROM request"
                        " WHERE bundle = ? AND declared = 0"));
  TRY(rest.bind_all(run, row.variant, row.repeat, bundle).run());
  return mark_results(db, run, bundle);
}

// An earlier cell in the same place, with what it brought into the run.
Result<> remove_cell(Database& db, int64_t run, const CellRow& cell) {
  TRY_ASSIGN(Statement remove, db.prepare("DELETE FROM cell WHERE run = ? AND variant = ? AND"
                                          " ifnull(prompt, '') = ? AND repeat = ?"));
  TRY(remove.bind_all(run, cell.variant, cell.prompt, cell.repeat).run());
  if (db.changes() == 0) return {};
  TRY_ASSIGN(Statement orphans,
             db.prepare("DELETE FROM member WHERE run = ?1 AND cell IS NULL AND request IN (SELECT"
                        " q.id FROM request q WHERE q.bundle NOT IN (SELECT bundle FROM cell WHERE"
                        " run = ?1 AND bundle IS NOT NULL))"));
  TRY(orphans.bind_all(run).run());
  return mark_results(db, run, std::nullopt);
}

Result<> add_axes(Database& db, int64_t cell, const std::string& variant_json) {
  const json axes = json::parse(variant_json, nullptr, /*allow_exceptions=*/false);
  if (!axes.is_object())
    return fail(Exit::usage, "variant is no JSON object: " + printable(variant_json));
  TRY_ASSIGN(Statement add,
             db.prepare("INSERT INTO cell_axis (cell, axis, value) VALUES (?, ?, ?)"));
  for (const auto& [axis, value] : axes.items()) {
    const std::string text = value.is_string()
                                 ? value.get<std::string>()
                                 : value.dump(-1, ' ', false, json::error_handler_t::replace);
    TRY(add.bind_all(cell, axis, text).run());
  }
  return {};
}

}  // namespace

Result<int64_t> add_run(Database& db, const RunStart& start, const NewRun& run) {
  TRY_ASSIGN(Statement add,
             db.prepare("INSERT INTO run (name, milestone, title, prose, spec_path, spec_text,"
                        " resolved, baseline, \"commit\", provenance, status, started_at, ended_at,"
                        " note, cells_planned, purpose, replay_of, process_id, process_started,"
                        " process_host)"
                        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, nullif(?, ''), ?, ?, ?, nullif(?, ''), ?,"
                        " ?, ?, nullif(?, ''), ?, ?, ?)"));
  add.bind_all(run.name, start.milestone, as_json_object(start.title_json),
               as_json_object(start.prose_json), start.spec_path, start.spec_text,
               as_json_object(start.resolved_json), json(start.baseline).dump(),
               commit_of(start.resolved_json), start.provenance, run.status, run.started_at,
               run.ended_at, run.note, start.cells_planned, start.purpose, start.replay_of);
  if (run.with_process) {
    const ProcessMark mark = mark_of(start.process_id == 0 ? getpid() : start.process_id);
    add.bind(18, mark.id).bind(19, mark.started_ticks).bind(20, mark.host);
  }
  TRY(add.run());
  return db.last_insert_id();
}

Result<> add_cell(Database& db, int64_t run, const CellRow& cell) {
  std::optional<int64_t> bundle;
  if (!cell.bundle.empty()) {
    TRY_ASSIGN(Statement find, db.prepare("SELECT id FROM bundle WHERE hash = ?"));
    TRY_ASSIGN(const bool found, find.bind_all(cell.bundle).step());
    if (!found) {
      return fail(Exit::infrastructure,
                  "cell of bundle " + printable(cell.bundle) + ", which is not in the store");
    }
    bundle = find.integer(0);
  }
  TRY(remove_cell(db, run, cell));
  const std::string axes = as_json_object(cell.variant_json);
  TRY_ASSIGN(Statement add,
             db.prepare("INSERT INTO cell (run, identity, variant, variant_json, prompt, repeat,"
                        " status, reason, bundle, request, cached)"
                        " VALUES (?, ?, ?, ?, nullif(?, ''), ?, ?, ?, ?, ?, ?)"));
  TRY(add.bind_all(run, cell.identity, cell.variant, axes, cell.prompt, cell.repeat, cell.status,
                   cell.reason, bundle, cell.request, cell.cached)
          .run());
  const int64_t id = db.last_insert_id();
  TRY(add_axes(db, id, axes));
  return bundle ? add_members(db, run, id, *bundle, cell) : Result<>();
}

Result<std::string> Store::begin_run(const RunStart& start) {
  TRY(impl_->must_write());
  TRY_ASSIGN(Transaction transaction, Transaction::begin(impl_->db));
  std::string name;
  for (bool taken = true; taken;) {  // many runs may start in one second
    name = start.milestone + "-" + utc_now_basic() + "-" + random_hex4();
    TRY_ASSIGN(Statement find, impl_->db.prepare("SELECT 1 FROM run WHERE name = ?"));
    TRY_ASSIGN(taken, find.bind_all(name).step());
  }
  const NewRun run{.name = name,
                   .status = "running",
                   .started_at = utc_now(),
                   .ended_at = {},
                   .note = {},
                   .with_process = true};
  TRY(add_run(impl_->db, start, run));
  TRY(transaction.commit());
  return run.name;
}

Result<> Store::add_cell(std::string_view run, const CellRow& cell) {
  return add_cells(run, {cell});
}

Result<> Store::add_cells(std::string_view run, const std::vector<CellRow>& cells) {
  TRY(impl_->must_write());
  TRY_ASSIGN(Transaction transaction, Transaction::begin(impl_->db));
  TRY_ASSIGN(const int64_t id, run_id(impl_->db, run));
  for (const CellRow& cell : cells) TRY(store::add_cell(impl_->db, id, cell));
  return transaction.commit();
}

Result<> Store::finish_run(std::string_view run, RunStatus status, std::string_view note) {
  TRY(impl_->must_write());
  TRY_ASSIGN(Transaction transaction, Transaction::begin(impl_->db));
  TRY_ASSIGN(const int64_t id, run_id(impl_->db, run));
  TRY_ASSIGN(
      Statement finish,
      impl_->db.prepare("UPDATE run SET status = ?2, ended_at = ?3, note = ?4 WHERE id = ?1"));
  TRY(finish.bind_all(id, status_name(status), utc_now(), note).run());
  return transaction.commit();
}

Result<int> Store::close_dead_runs() {
  TRY(impl_->must_write());
  Database& db = impl_->db;
  TRY_ASSIGN(Transaction transaction, Transaction::begin(db));
  TRY_ASSIGN(Statement running,
             db.prepare("SELECT id, process_id, process_started, process_host FROM run"
                        " WHERE status = 'running' AND process_id IS NOT NULL"));
  TRY_ASSIGN(Statement close,
             db.prepare("UPDATE run SET status = 'interrupted', ended_at = ?2,"
                        " note = 'its process ended without finishing it' WHERE id = ?1"));
  std::vector<int64_t> dead;
  while (true) {
    TRY_ASSIGN(const bool row, running.step());
    if (!row) break;
    const ProcessMark mark{
        .id = running.integer(1), .started_ticks = running.integer(2), .host = running.string(3)};
    if (is_gone(mark)) dead.push_back(running.integer(0));
  }
  for (const int64_t id : dead) TRY(close.bind_all(id, utc_now()).run());
  TRY(transaction.commit());
  return static_cast<int>(dead.size());
}

Result<std::optional<CachedCell>> Store::find_cell(std::string_view identity) {
  if (identity.empty()) return std::nullopt;
  TRY_ASSIGN(Statement find,
             impl_->db.prepare("SELECT b.hash, c.request FROM cell c JOIN bundle b ON b.id ="
                               " c.bundle WHERE c.identity = ? AND c.identity <> '' AND"
                               " c.status = 'ok' AND b.status = 'ok' ORDER BY c.id DESC LIMIT 1"));
  TRY_ASSIGN(const bool found, find.bind_all(identity).step());
  if (!found) return std::nullopt;
  return CachedCell{.bundle = find.string(0), .request = find.string(1)};
}

namespace {

constexpr const char* kChosenRuns =
    " FROM runs WHERE (?1 = '' OR milestone GLOB ?1) AND (?2 = '' OR status = ?2)"
    " AND (?3 = '' OR provenance = ?3) AND (?4 = '' OR run_id IN ("
    "SELECT id FROM run WHERE substr(\"commit\", 1, length(?4)) = ?4 UNION ALL"
    " SELECT c.run FROM bundle b JOIN cell c ON c.bundle = b.id JOIN run r ON r.id = c.run"
    " WHERE r.\"commit\" IS NULL AND substr(b.\"commit\", 1, length(?4)) = ?4))";

}  // namespace

Result<int64_t> Store::count(const RunFilter& filter) {
  TRY_ASSIGN(Statement row, impl_->db.prepare(std::string("SELECT count(*)") + kChosenRuns));
  TRY(row.bind_all(filter.milestone, filter.status, filter.provenance, filter.commit).step());
  return row.integer(0);
}

Result<std::vector<RunSummary>> Store::list(const RunFilter& filter, int64_t most) {
  // The inner select looks at what the filter needs; the rest is counted for those that are shown.
  TRY_ASSIGN(Statement rows,
             impl_->db.prepare(
                 "SELECT run_id, run, milestone, status, provenance, started_at, ended_at,"
                 " \"commit\", gates_passed, gates, cells, cells_ok, accepted, purpose FROM runs"
                 " WHERE run_id IN (SELECT run_id" +
                 std::string(kChosenRuns) +
                 " ORDER BY started_at DESC, run_id DESC LIMIT ?5)"
                 " ORDER BY started_at DESC, run_id DESC"));
  rows.bind_all(filter.milestone, filter.status, filter.provenance, filter.commit, most);
  std::vector<RunSummary> out;
  while (true) {
    TRY_ASSIGN(const bool row, rows.step());
    if (!row) return out;
    RunSummary run{.id = rows.integer(0),
                   .run = rows.string(1),
                   .milestone = rows.string(2),
                   .status = rows.string(3),
                   .provenance = rows.string(4),
                   .started_at = rows.string(5),
                   .ended_at = rows.string(6),
                   .commit = rows.string(7),
                   .gates = {}};
    if (rows.integer(9) > 0) run.gates = rows.string(8) + "/" + rows.string(9);
    run.cells = rows.integer(10);
    run.cells_ok = rows.integer(11);
    run.accepted = rows.integer(12) != 0;
    run.purpose = rows.string(13);
    out.push_back(std::move(run));
  }
}

namespace {

// A run for the cells of the manifest, unless one has them already. Inside a transaction.
Result<std::string> run_of_manifest(Database& db, const std::string& hash, const Manifest& m,
                                    const std::string& tag, const std::string& note) {
  TRY_ASSIGN(Statement has, db.prepare("SELECT r.name FROM cell c JOIN run r ON r.id = c.run"
                                       " JOIN bundle b ON b.id = c.bundle WHERE b.hash = ?"
                                       " ORDER BY r.id LIMIT 1"));
  TRY_ASSIGN(const bool known, has.bind_all(hash).step());
  if (known) return has.string(0);
  has.reset();
  RunStart start;
  start.milestone = m.milestone.empty() ? "imported" : m.milestone;
  start.provenance = m.provenance;
  const NewRun run{.name = start.milestone + tag + hash.substr(0, 8),
                   .status = m.status == "ok" ? "complete" : "failed",
                   .started_at = m.started_at,
                   .ended_at = m.ended_at,
                   .note = note};
  TRY_ASSIGN(const int64_t id, add_run(db, start, run));
  std::vector<ManifestCell> cells = m.cells;
  if (cells.empty()) {
    cells.emplace_back();
    cells[0].status = m.status;
    cells[0].reason = m.reason;
  }
  for (const ManifestCell& c : cells) {
    TRY(store::add_cell(db, id,
                        {.identity = c.identity,
                         .variant = c.variant.empty() ? m.variant : c.variant,
                         .variant_json = c.variant.empty() ? m.variant_json : c.variant_json,
                         .prompt = c.prompt,
                         .repeat = m.repeat,
                         .status = c.status,
                         .reason = c.reason,
                         .bundle = hash,
                         .request = c.request}));
  }
  return run.name;
}

}  // namespace

Result<std::string> Store::import_bundle(const std::filesystem::path& folder) {
  TRY_ASSIGN(const std::string hash, ingest_bundle(folder));
  TRY_ASSIGN(const std::string text, file_bytes(hash, kManifestName));
  TRY_ASSIGN(const Manifest manifest, parse_manifest(text));
  TRY_ASSIGN(Transaction transaction, Transaction::begin(impl_->db));
  TRY_ASSIGN(std::string run,
             run_of_manifest(impl_->db, hash, manifest, "-imported-", "imported from a bundle"));
  TRY(transaction.commit());
  return run;
}

Result<std::string> Store::import_files(const std::filesystem::path& folder,
                                        std::string_view manifest_text) {
  TRY(impl_->must_fill());
  TRY_ASSIGN(const Manifest manifest, parse_manifest(manifest_text));
  FolderSource source(folder);
  TRY_ASSIGN(Transaction transaction, Transaction::begin(impl_->db));
  TRY(ingest(impl_->db, manifest_text, source));
  TRY_ASSIGN(std::string run,
             run_of_manifest(impl_->db, sha256_hex(manifest_text), manifest, "-recorded-",
                             "files of a past run as they were left, not run here"));
  TRY(transaction.commit());
  impl_->settle();
  return run;
}

}  // namespace greta::store
