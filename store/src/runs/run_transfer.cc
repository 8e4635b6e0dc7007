// A run out of one store and into another. Columns of `run` and `gate` are taken as the tables have
// them, so that a later migration's travel too; what only means something on one machine (numbers
// of rows, the process) stays.

#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <set>

#include "contract/text.h"
#include "ingest/ingest.h"
#include "runs/run_check.h"
#include "runs/store_runs.h"
#include "tables/store_impl.h"

namespace greta::store {
namespace {

using nlohmann::json;

constexpr int kRunVersion = 1;
constexpr size_t kManifestMost = 256 << 20, kNameMost = 200;

// What means something in one store alone: numbers of rows, the process.
bool stays(std::string_view table, std::string_view column) {
  if (table == "run") return column == "id" || column.starts_with("process_");
  return column == "run" || (table == "cell" && column == "id");
}

Error wrong(const std::string& what) { return Error{.message = "run: " + what}; }

// ── values
// ────────────────────────────────────────────────────────────────────────────────────────

// A text that is no UTF-8 (what an engine said last) cannot stand in JSON as it is.
json text_value(std::string_view text) {
  if (simdjson::validate_utf8(text.data(), text.size())) return text;
  std::string hex;
  for (const unsigned char c : text) {
    hex += "0123456789abcdef"[c >> 4];
    hex += "0123456789abcdef"[c & 15];
  }
  return {{"hex", hex}};
}

json column_value(const Statement& row, int column) {
  switch (row.type(column)) {
    case SQLITE_NULL:
      return nullptr;
    case SQLITE_INTEGER:
      return row.integer(column);
    case SQLITE_FLOAT:
      return row.real(column);
    default:
      return text_value(row.text(column));
  }
}

Result<std::string> text_from(const json& value, const std::string& key) {
  if (value.is_string()) return value.get<std::string>();
  const bool coded =
      value.is_object() && value.size() == 1 && value.contains("hex") && value["hex"].is_string();
  if (!coded) return tl::unexpected(wrong("`" + printable(key) + "` is no text"));
  const std::string& hex = value["hex"].get_ref<const std::string&>();
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    unsigned byte = 0;
    if (std::from_chars(hex.data() + i, hex.data() + i + 2, byte, 16).ptr != hex.data() + i + 2)
      return tl::unexpected(wrong("`" + printable(key) + "`: `hex` is no list of bytes"));
    out += static_cast<char>(byte);
  }
  return out;
}

Result<> bind_value(Statement& statement, int index, const json& value, const std::string& key) {
  if (value.is_null()) {
    statement.bind_null(index);
  } else if (value.is_number_integer()) {
    statement.bind(index, value.get<int64_t>());
  } else if (value.is_number_float()) {
    statement.bind(index, value.get<double>());
  } else {
    TRY_ASSIGN(const std::string text, text_from(value, key));
    statement.bind(index, text);
  }
  return {};
}

// ── out
// ───────────────────────────────────────────────────────────────────────────────────────────

Result<json> rows_of(Database& db, const std::string& table, const std::string& which,
                     int64_t run) {
  TRY_ASSIGN(Statement rows, db.prepare("SELECT * FROM " + table + " WHERE " + which));
  rows.bind_all(run);
  json out = json::array();
  while (true) {
    TRY_ASSIGN(const bool more, rows.step());
    if (!more) return out;
    json item = json::object();
    for (int i = 0; i < rows.columns(); ++i)
      if (!stays(table, rows.column_name(i)))
        item[std::string(rows.column_name(i))] = column_value(rows, i);
    out.push_back(std::move(item));
  }
}

Result<json> run_as_json(Database& db, int64_t run) {
  TRY_ASSIGN(json runs, rows_of(db, "run", "id = ?", run));
  if (runs.empty()) return fail(Exit::usage, "no run " + std::to_string(run) + " in the store");
  TRY_ASSIGN(json cells, rows_of(db, "cell", "run = ? ORDER BY id", run));
  TRY_ASSIGN(Statement find, db.prepare("SELECT hash FROM bundle WHERE id = ?"));
  for (json& cell : cells) {
    if (cell["bundle"].is_null()) continue;
    TRY_ASSIGN(const bool found, find.bind_all(cell["bundle"].get<int64_t>()).step());
    if (!found) return fail(Exit::infrastructure, "the store is damaged: a cell lost its bundle");
    cell["bundle"] = find.string(0);
    find.reset();
  }
  TRY_ASSIGN(json gates, rows_of(db, "gate", "run = ? ORDER BY position, id", run));
  return json{{"version", kRunVersion}, {"run", runs[0]}, {"cells", cells}, {"gates", gates}};
}

std::string text_of_run(const json& run) { return run.dump(1) + "\n"; }

void keep_keys_of(const json& other, json& row) {
  for (auto it = row.begin(); it != row.end();)
    it = other.contains(it.key()) ? ++it : row.erase(it);
}

// What is here, for a comparison with what came: which run stands for a milestone is a choice of
// each store, and an older greta did not know of later columns, which then have their defaults.
json as_it_came(json here, const json& came) {
  keep_keys_of(came["run"], here["run"]);
  for (const char* part : {"cells", "gates"}) {
    for (size_t i = 0; i < std::min(here[part].size(), came[part].size()); ++i)
      keep_keys_of(came[part][i], here[part][i]);
  }
  here["run"]["accepted"] = came["run"]["accepted"];
  return here;
}

// ── in
// ────────────────────────────────────────────────────────────────────────────────────────────

Result<std::set<std::string>> columns_of(Database& db, const std::string& table) {
  TRY_ASSIGN(Statement names, db.prepare("SELECT name FROM pragma_table_info(?)"));
  names.bind_all(table);
  std::set<std::string> out;
  while (true) {
    TRY_ASSIGN(const bool more, names.step());
    if (!more) return out;
    if (!stays(table, names.text(0))) out.insert(names.string(0));
  }
}

Result<> one_of(const json& row, const char* key, const std::vector<std::string>& allowed) {
  const std::string value = row[key].is_string() ? row[key].get<std::string>() : row[key].dump();
  if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return {};
  return tl::unexpected(wrong("`" + std::string(key) + "` is `" + printable(value) +
                              "`, not one of " + joined(allowed) + did_you_mean(value, allowed)));
}

// Every row an object of columns that the table has, and of all those that it must have.
Result<> check_rows(Database& db, const std::string& table, const json& rows) {
  TRY_ASSIGN(const std::set<std::string> columns, columns_of(db, table));
  if (!rows.is_array()) return tl::unexpected(wrong("its " + table + "s are no list"));
  for (const json& row : rows) {
    if (!row.is_object()) return tl::unexpected(wrong("a " + table + " is no object"));
    for (const auto& [key, value] : row.items()) {
      if (!columns.contains(key)) {
        return tl::unexpected(wrong("a " + table + " has `" + printable(key) +
                                    "`, which this store does not know: a newer greta wrote it"));
      }
      if (value.is_structured()) TRY(text_from(value, key));
      if (value.is_boolean())
        return tl::unexpected(wrong("`" + key + "` is neither text nor number"));
    }
  }
  return {};
}

Result<> must_have(const json& row, std::initializer_list<const char*> texts,
                   std::initializer_list<const char*> integers) {
  for (const char* key : texts) {
    if (!row.contains(key)) return tl::unexpected(wrong("`" + std::string(key) + "` is missing"));
    TRY(text_from(row[key], key));
  }
  for (const char* key : integers) {
    if (!row.contains(key) || !row[key].is_number_integer())
      return tl::unexpected(wrong("`" + std::string(key) + "` is missing, or no whole number"));
  }
  return {};
}

// It becomes a file name (reports, archives).
Result<> check_name(const json& run) {
  const std::string name = run["name"].is_string() ? run["name"].get<std::string>() : "";
  const bool plain = std::none_of(name.begin(), name.end(), [](unsigned char c) {
    return c < 32 || c == 127 || c == '/' || c == '\\';
  });
  if (plain && !name.empty() && name[0] != '.' && name.size() <= kNameMost) return {};
  return tl::unexpected(wrong("`" + printable(name) + "` cannot be its name"));
}

Result<> check_cells(const json& cells) {
  std::set<std::string> places;
  for (const json& cell : cells) {
    TRY(must_have(cell, {"identity", "variant", "variant_json", "status", "reason", "request"},
                  {"repeat", "cached"}));
    TRY(one_of(cell, "status", {"ok", "failed", "timeout", "killed"}));
    if (!cell.contains("prompt") || !cell.contains("bundle"))
      return tl::unexpected(wrong("a cell without `prompt` or `bundle`"));
    if (!cell["prompt"].is_null()) TRY(text_from(cell["prompt"], "prompt"));
    const json& bundle = cell["bundle"];
    const bool is_hash = bundle.is_string() && bundle.get_ref<const std::string&>().size() == 64 &&
                         bundle.get_ref<const std::string&>().find_first_not_of(
                             "0123456789abcdef") == std::string::npos;
    if (!bundle.is_null() && !is_hash)
      return tl::unexpected(
          wrong("`bundle` of a cell is no SHA-256: " +
                printable(bundle.is_string() ? bundle.get<std::string>() : bundle.type_name())));
    TRY_ASSIGN(const std::string axes, text_from(cell["variant_json"], "variant_json"));
    if (!json::parse(axes, nullptr, /*allow_exceptions=*/false).is_object())
      return tl::unexpected(wrong("`variant_json` of a cell is no JSON object"));
    if (bundle.is_null() && cell["status"] == "ok")
      return tl::unexpected(wrong("a cell that ended ok has no bundle"));
    const json place = {cell["variant"], cell["prompt"], cell["repeat"]};
    if (!places.insert(place.dump()).second)
      return tl::unexpected(wrong("cell " + printable(place.dump(), 200) + " stands twice"));
  }
  return {};
}

Result<> check_gate_rows(const json& gates) {
  std::set<std::string> ids;
  for (const json& gate : gates) {
    TRY(must_have(gate, {"id", "status", "measured", "limit_value", "worst", "message", "query"},
                  {"position", "row_count", "failed"}));
    TRY(one_of(gate, "status", {"pass", "fail", "not_measured", "error"}));
    if (!ids.insert(gate["id"].dump()).second)
      return tl::unexpected(wrong("gate " + printable(gate["id"].dump()) + " stands twice"));
  }
  return {};
}

Result<json> parse_run(Database& db, std::string_view text) {
  json run = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!run.is_object()) return tl::unexpected(wrong("not a JSON object"));
  if (!run.contains("version") || run["version"] != kRunVersion) {
    return tl::unexpected(
        wrong("its `version` is not " + std::to_string(kRunVersion) + ", which this greta reads"));
  }
  for (const char* key : {"run", "cells", "gates"})
    if (!run.contains(key)) return tl::unexpected(wrong("`" + std::string(key) + "` is missing"));
  TRY(check_rows(db, "run", json::array({run["run"]})));
  TRY(check_rows(db, "cell", run["cells"]));
  TRY(check_rows(db, "gate", run["gates"]));
  TRY(must_have(run["run"],
                {"name", "milestone", "title", "prose", "spec_path", "spec_text", "resolved",
                 "baseline", "provenance", "status", "started_at", "note"},
                {"accepted"}));
  TRY(check_name(run["run"]));
  TRY(one_of(run["run"], "provenance", {"recorded", "executed", "reenacted"}));
  TRY(one_of(run["run"], "status", {"complete", "failed", "interrupted"}));
  TRY(check_run_row(run["run"]));
  TRY(check_cells(run["cells"]));
  TRY(check_gate_rows(run["gates"]));
  // One way to write it, so that a key cannot stand twice and equal runs are equal bytes.
  if (run.size() != 4 || text_of_run(run) != text)
    return tl::unexpected(wrong("not written as `greta bundle export` writes it"));
  return run;
}

// Whether it is there; an error when another one has its name.
Result<bool> is_known(Database& db, const json& run) {
  const std::string name = run["run"]["name"].get<std::string>();
  TRY_ASSIGN(Statement find, db.prepare("SELECT id FROM run WHERE name = ?"));
  TRY_ASSIGN(const bool taken, find.bind_all(name).step());
  if (!taken) return false;
  TRY_ASSIGN(const json stored, run_as_json(db, find.integer(0)));
  const json here = as_it_came(stored, run);
  if (here == run) return true;
  std::string differs;
  for (const char* part : {"run", "cells", "gates"})
    if (here[part] != run[part]) differs += (differs.empty() ? "" : ", ") + std::string(part);
  return tl::unexpected(
      wrong("the store has another run `" + name + "` (they differ in: " + differs + ")"));
}

Result<int64_t> insert_row(Database& db, const std::string& table, const json& row,
                           std::optional<int64_t> run) {
  std::string names = run ? "run" : "", marks = run ? "?1" : "";
  for (const auto& [key, value] : row.items()) {
    names += (names.empty() ? "" : ", ") + quoted_name(key);
    marks += marks.empty() ? "?" : ", ?";
  }
  TRY_ASSIGN(Statement add,
             db.prepare("INSERT INTO " + table + " (" + names + ") VALUES (" + marks + ")"));
  int index = 0;
  if (run) add.bind(++index, *run);
  for (const auto& [key, value] : row.items()) TRY(bind_value(add, ++index, value, key));
  TRY(add.run());
  return db.last_insert_id();
}

Result<> insert_cell(Database& db, int64_t run, const json& cell) {
  CellRow row{.identity = {},
              .variant = {},
              .variant_json = {},
              .prompt = {},
              .repeat = cell["repeat"].get<int64_t>(),
              .status = {},
              .reason = {},
              .bundle = cell["bundle"].is_null() ? "" : cell["bundle"].get<std::string>(),
              .request = {},
              .cached = cell["cached"] != 0};
  for (const auto& [key, target] :
       {std::pair{"identity", &row.identity}, std::pair{"variant", &row.variant},
        std::pair{"variant_json", &row.variant_json}, std::pair{"status", &row.status},
        std::pair{"reason", &row.reason}, std::pair{"request", &row.request}}) {
    TRY_ASSIGN(*target, text_from(cell[key], key));
  }
  if (!cell["prompt"].is_null()) {
    TRY_ASSIGN(row.prompt, text_from(cell["prompt"], "prompt"));
  }
  return store::add_cell(db, run, row);
}

Result<> ingest_bundles(Database& db, const json& run,
                        const std::function<std::filesystem::path(const std::string&)>& folder) {
  std::set<std::string> done;
  for (const json& cell : run["cells"]) {
    if (cell["bundle"].is_null()) continue;
    const std::string hash = cell["bundle"].get<std::string>();
    if (!done.insert(hash).second) continue;
    FolderSource source(folder(hash));
    TRY_ASSIGN(const std::string manifest,
               read_all(source, std::string(kManifestName), kManifestMost));
    if (sha256_hex(manifest) != hash)
      return fail(Exit::usage, "bundle " + hash + ": its manifest.json has another hash");
    TRY(check_cells_of_bundle(run, hash, manifest));
    TRY(ingest(db, manifest, source));
  }
  return {};
}

// An accepted run stays accepted where its milestone has no other one. Returns that other one.
Result<std::string> accept_if_free(Database& db, int64_t run) {
  TRY_ASSIGN(Statement other,
             db.prepare("SELECT o.name FROM run o JOIN run r ON r.milestone = o.milestone"
                        " WHERE r.id = ? AND o.accepted = 1"));
  TRY_ASSIGN(const bool taken, other.bind_all(run).step());
  if (taken) return other.string(0);
  TRY_ASSIGN(Statement accept, db.prepare("UPDATE run SET accepted = 1 WHERE id = ?"));
  TRY(accept.bind_all(run).run());
  return std::string();
}

}  // namespace

Result<std::string> Store::export_run(int64_t run) {
  TRY_ASSIGN(const json out, run_as_json(impl_->db, run));
  if (out["run"]["status"] == "running") {
    return fail(Exit::usage, "the run `" + out["run"]["name"].get<std::string>() +
                                 "` is still running: it can be exported when it has ended");
  }
  return text_of_run(out);
}

Result<> check_stored_run(Database& db, int64_t id) {
  TRY_ASSIGN(const json stored, run_as_json(db, id));
  TRY_ASSIGN(const json run, parse_run(db, text_of_run(stored)));
  TRY_ASSIGN(Statement find, db.prepare("SELECT manifest FROM bundle WHERE hash = ?"));
  std::set<std::string> done;
  for (const json& cell : run["cells"]) {
    if (cell["bundle"].is_null()) continue;
    const std::string hash = cell["bundle"].get<std::string>();
    if (!done.insert(hash).second) continue;
    TRY_ASSIGN(const bool found, find.bind_all(hash).step());
    if (found) TRY(check_cells_of_bundle(run, hash, find.text(0)));
    find.reset();
  }
  return {};
}

Result<> Store::check_run(std::string_view run_json) {
  TRY_ASSIGN(const json run, parse_run(impl_->db, run_json));
  TRY(is_known(impl_->db, run));
  return {};
}

Result<ImportedRun> Store::import_run(
    std::string_view run_json,
    const std::function<std::filesystem::path(const std::string&)>& folder,
    const std::function<Result<>()>& before_commit) {
  TRY(impl_->must_fill());
  Database& db = impl_->db;
  TRY_ASSIGN(Transaction transaction, Transaction::begin(db));
  TRY_ASSIGN(const json run, parse_run(db, run_json));
  ImportedRun out{.name = run["run"]["name"].get<std::string>(), .accepted_elsewhere = {}};
  TRY_ASSIGN(out.known, is_known(db, run));
  if (out.known) {
    TRY(before_commit());
    return out;
  }
  TRY(ingest_bundles(db, run, folder));
  json row = run["run"];
  const bool accepted = row["accepted"] != 0;
  row["accepted"] = 0;
  TRY_ASSIGN(const int64_t id, insert_row(db, "run", row, std::nullopt));
  for (const json& cell : run["cells"]) TRY(insert_cell(db, id, cell));
  for (const json& gate : run["gates"]) TRY(insert_row(db, "gate", gate, id));
  if (accepted) {
    TRY_ASSIGN(out.accepted_elsewhere, accept_if_free(db, id));
  }
  TRY_ASSIGN(const json here, run_as_json(db, id));
  if (as_it_came(here, run) != run) {
    return tl::unexpected(
        wrong("`" + out.name + "` does not come out of this store as it came in"));
  }
  TRY(before_commit());
  TRY(transaction.commit());
  impl_->settle();
  return out;
}

}  // namespace greta::store
