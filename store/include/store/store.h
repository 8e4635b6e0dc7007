#pragma once
// The history: one SQLite file. Bundles go in whole (every byte compressed and hashed, every record
// in a typed table), runs and cells say what belongs together. Start here; gates.h, diff.h and
// report.h read what this wrote.

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "contract/result.h"

namespace greta::store {

enum class Access { read_only, read_write };

// What `greta run` knows when it starts.
struct RunStart {
  std::string milestone;
  std::string title_json;  // {"en": …, "es": …}
  std::string
      prose_json;  // optional prose of the report (question, conclusion, …), same shape per key
  std::string spec_path;
  std::string spec_text;  // the YAML as it was read, and …
  std::string
      resolved_json;  // … what it resolved to: commit, tree, image, model, prompts, variants
  std::vector<std::string> baseline;  // "B3.20@recorded", …
  std::string provenance = "executed";
  int64_t cells_planned = 0;  // of the whole spec; a run with fewer is `partial`
  // run; or replay (of an earlier run) or probe (of a bisection), which never stand for their
  // milestone.
  std::string purpose = "run";
  std::string replay_of;   // the run's name, for a replay
  int64_t process_id = 0;  // of the running greta; a dead one turns `running` into `interrupted`
};

enum class RunStatus { running, complete, failed, interrupted };

// A cell of a run: variant × prompt × repeat, and the bundle that holds its records.
struct CellRow {
  std::string identity;  // hex SHA-256
  std::string variant;   // "GRETA_FORCE_ATTN_DECODE_KERNEL=manual,…"; "default" without a matrix
  std::string variant_json;  // {"GRETA_FORCE_ATTN_DECODE_KERNEL": "manual"}
  std::string prompt;        // prompt id
  int64_t repeat = 0;
  std::string status;   // ok, failed, timeout, killed
  std::string reason;   // one line, when not ok
  std::string bundle;   // its hash; "" when nothing could be kept
  std::string request;  // id of the request inside the bundle
  bool cached = false;  // an earlier run had executed it
};

struct CachedCell {
  std::string bundle, request;
};

// A result table: what `greta query` prints.
struct Value {
  enum class Type { null, integer, real, text, blob } type = Type::null;
  int64_t integer = 0;
  double real = 0;
  std::string text;  // text and blob
};
struct Table {
  std::vector<std::string> columns;
  std::vector<std::vector<Value>> rows;
};

// Called once with the column names, then for every row; false stops.
struct RowSink {
  std::function<bool(const std::vector<std::string>&)> columns;
  std::function<bool(const std::vector<Value>&)> row;
  // Asked about now and then while the query works; true ends it with Exit::interrupted.
  std::function<bool()> cancelled = {};
};

struct RunSummary {
  int64_t id = 0;
  std::string run, milestone, status, provenance, started_at, ended_at, commit,
      gates;  // gates: "5/6"
  int64_t cells = 0, cells_ok = 0;
  bool accepted = false;
  std::string purpose = "run";  // as in RunStart
};

// Which runs to list: those that are all of what is said here.
struct RunFilter {
  std::string milestone = {};   // a glob: "B3.2*"
  std::string status = {};      // running, complete, partial, failed, interrupted
  std::string provenance = {};  // recorded, executed, reenacted
  std::string commit = {};      // how it begins
};

// What a selector chose, and why: without an accepted run the latest complete one stands in, and of
// several recorded ones @recorded means the latest, which a person should be told.
struct Selection {
  int64_t run = 0;
  std::string name, milestone, provenance;
  enum class Why { exact, accepted, latest, latest_recorded } why = Why::exact;
};

// A file of a bundle, as its manifest lists it.
struct StoredFile {
  std::string name;  // below the bundle: "out/readout.jsonl"
  int64_t bytes = 0;
  std::string sha256;
};
// Reads a manifest.json as ingest_bundle does, with the same refusals.
Result<std::vector<StoredFile>> manifest_files(std::string_view manifest_text);

// What Store::import_run did.
struct ImportedRun {
  std::string name;
  bool known = false;              // it was there already, with the same content: nothing changed
  std::string accepted_elsewhere;  // it was accepted where it came from, but here this run is
};

class Store {
 public:
  // read_write creates the file and its folder. An older file is migrated (one transaction a
  // migration), for read_only as well where it can be written. Errors: a file that is no greta
  // store, a newer store, no permission.
  static Result<Store> open(const std::filesystem::path& file, Access access);
  // The version that an older greta had given it, where this opening has migrated it.
  std::optional<int64_t> brought_up_from() const;
  // A store without a file, which knows the built-in record kinds and holds nothing: for checking
  // queries. What is written to it is not seen by `query`.
  static Result<Store> in_memory();
  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;
  ~Store();

  // Returns the run's name: "<milestone>-<UTC time>-<4 hex>", unique in the store.
  Result<std::string> begin_run(const RunStart& start);
  Result<> add_cell(std::string_view run, const CellRow& cell);
  // The cells of one attempt: all of them are there, or none.
  Result<> add_cells(std::string_view run, const std::vector<CellRow>& cells);
  Result<> finish_run(std::string_view run, RunStatus status, std::string_view note);
  // Runs marked `running` whose process is gone become `interrupted`. Returns how many.
  Result<int> close_dead_runs();

  // Reads a sealed bundle folder (manifest.json and the files that it names) in one transaction.
  // Idempotent: the same manifest hash twice is one bundle. Returns the hash. A bundle whose files
  // do not have the sizes and hashes of its manifest is an error.
  Result<std::string> ingest_bundle(const std::filesystem::path& folder);
  // The same, with a run of its own for the cells of the manifest unless a run has them already.
  // Returns the run's name.
  Result<std::string> import_bundle(const std::filesystem::path& folder);
  // A file of a bundle exactly as it was; "manifest.json" too.
  Result<std::string> file_bytes(std::string_view bundle, std::string_view name);
  // The same, in pieces of about a megabyte; checked against the manifest's hash at the end.
  Result<> read_file(std::string_view bundle, const StoredFile& file,
                     const std::function<Result<>(std::string_view)>& sink);
  // The newest `ok` cell with this identity.
  Result<std::optional<CachedCell>> find_cell(std::string_view identity);

  // Recorded milestones (experiments/history/*.yaml, converted by the caller to one JSON array of
  // the entries). Idempotent by content. Returns the names of the runs, one a milestone.
  Result<std::vector<std::string>> import_recorded(std::string_view milestones_json,
                                                   std::string_view source);
  // One such entry that was read from a report: its figures may have `source_line` (from 1) and
  // `source_table`, which are kept in their records, and `printed`, the number as the report writes
  // it, which is what the record's line then holds. `files` (name → bytes) are kept in the bundle
  // below source/. Idempotent by content. Returns the run's name.
  Result<std::string> import_report(std::string_view entry_json, std::string_view source,
                                    const std::map<std::string, std::string>& files);
  // Files of a past run as they were left, below `folder`, by a manifest that names them: one run
  // with the manifest's cells, in one transaction, or nothing. Idempotent by the manifest's hash.
  // Returns the run's name.
  Result<std::string> import_files(const std::filesystem::path& folder, std::string_view manifest);

  // A run as it travels between stores: JSON of what the store knows of the run itself, with its
  // cells, gates and the hashes of their bundles (runner/ARCHIVE.md). Two stores that hold the same
  // run give the same bytes. An error for a run that is still running.
  Result<std::string> export_run(int64_t run);
  // Whether import_run would take it, as far as that can be told without its bundles. Errors
  // (usage): no such JSON, a column that this store does not have, a run of that name with other
  // content.
  Result<> check_run(std::string_view run_json);
  // Brings it in with its bundles, in one transaction. `folder` says where a bundle lies, by its
  // hash; `before_commit` is called when everything is in and found equal to `run_json`, and its
  // error undoes it all. A run that is there already is left as it is.
  Result<ImportedRun> import_run(
      std::string_view run_json,
      const std::function<std::filesystem::path(const std::string&)>& folder,
      const std::function<Result<>()>& before_commit);

  // "B3.21" (its accepted run, else its latest complete executed one), "B3.21@recorded" (the
  // latest of its recorded runs), "B3.21@RUN", or a run's name or unique prefix. Errors name the
  // nearest.
  Result<Selection> select(std::string_view selector);
  // One or several, with commas between them, each run once, in the order in which they are named:
  // what select takes; 'B3.2*', the run that stands for each such milestone that has one;
  // 'B3.21@*' or 'B3.2*@recorded', all complete executed (or the recorded) runs that match;
  // commit:abc123, all complete executed runs of a commit.
  Result<std::vector<Selection>> select_all(std::string_view selectors);
  Result<int64_t> resolve(std::string_view selector);
  // Makes a complete, executed run its milestone's baseline.
  Result<> accept(std::string_view selector);

  // Newest first, at most `most` of them (all when negative).
  Result<std::vector<RunSummary>> list(const RunFilter& filter = {}, int64_t most = -1);
  Result<int64_t> count(const RunFilter& filter);
  // Read-only SQL over the documented views; `run` < 0 sees all runs, else only that one.
  // One statement; nothing can be written, attached or loaded. Errors have SQLite's message, the
  // place in the SQL and the nearest table or column.
  Result<Table> query(std::string_view sql, int64_t run = -1);
  // The same, row by row.
  Result<> query(std::string_view sql, int64_t run, const RowSink& sink);

  struct Impl;
  Impl& impl() { return *impl_; }  // for gates, diff and report inside this room

 private:
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

std::string sha256_hex(std::string_view bytes);
Result<std::string> sha256_file(const std::filesystem::path& file);

}  // namespace greta::store
