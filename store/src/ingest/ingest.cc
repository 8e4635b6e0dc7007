#include "ingest/ingest.h"

#include <nlohmann/json.hpp>
#include <set>

#include "contract/schema.h"
#include "contract/text.h"
#include "db/compression.h"
#include "ingest/ingest_records.h"
#include "store/sha256.h"
#include "store/store.h"
#include "tables/store_impl.h"

namespace greta::store {
namespace {

constexpr size_t kManifestMost = 256 << 20;
constexpr size_t kSideFileMost = 64 << 20;  // effective.json, describe.json

Result<int64_t> add_bundle(Database& db, const Manifest& m, std::string_view manifest_text) {
  TRY_ASSIGN(
      Statement add,
      db.prepare("INSERT INTO bundle (hash, provenance, status, exit_code, signal, reason,"
                 " started_at, ended_at, wall_s, contract_version, milestone, executor, argv,"
                 " variant, variant_json, repeat, \"commit\", manifest)"
                 " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  std::optional<std::string> commit;
  if (const auto it = m.environment.find("commit");
      it != m.environment.end() && !it->second.empty())
    commit = it->second;
  add.bind_all(sha256_hex(manifest_text), m.provenance, m.status, m.exit_code, m.signal, m.reason,
               m.started_at, m.ended_at, m.wall_s, m.contract_version, m.milestone, m.executor,
               m.argv_json, m.variant, m.variant_json, m.repeat, commit);
  TRY(add.bind_blob(18, manifest_text).run());
  return db.last_insert_id();
}

// What the engine says of itself. Two sources of one name that disagree are both kept.
Result<> add_facts(Database& db, int64_t bundle, const Manifest& m, const Effective& effective,
                   std::map<std::string, std::string> notes) {
  std::map<std::string, std::string> environment = m.environment;
  for (const auto& [key, value] : effective.environment) {
    const auto [it, added] = environment.emplace(key, value);
    if (!added && it->second != value) environment["effective." + key] = value;
  }
  environment.merge(notes);
  TRY_ASSIGN(Statement fact, db.prepare("INSERT INTO bundle_environment VALUES (?, ?, ?)"));
  for (const auto& [key, value] : environment) TRY(fact.bind_all(bundle, key, value).run());

  TRY_ASSIGN(Statement flag,
             db.prepare("INSERT OR REPLACE INTO bundle_flag VALUES (?, ?, ?, ?, ?)"));
  for (const auto& [name, value] : m.flags)
    TRY(flag.bind_all(bundle, name, value, "given", std::optional<int64_t>()).run());
  for (const EffectiveFlag& f : effective.flags)
    TRY(flag.bind_all(bundle, f.name, f.value, f.source, f.read).run());

  TRY_ASSIGN(Statement kernel,
             db.prepare("INSERT INTO bundle_kernel VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
                        " SET launches = launches + excluded.launches"));
  for (const EffectiveKernel& k : effective.kernels)
    TRY(kernel.bind_all(bundle, k.id, k.op, k.variant, k.code_hash, k.launches).run());

  TRY_ASSIGN(Statement prompt, db.prepare("INSERT INTO bundle_prompt VALUES (?, ?, ?, ?)"));
  for (const ManifestPrompt& p : m.prompts)
    TRY(prompt.bind_all(bundle, p.id, p.sha256, p.text).run());
  return {};
}

// Requests by name: '' and those of the manifest's cells.
Result<std::map<std::string, int64_t, std::less<>>> add_requests(Database& db, int64_t bundle,
                                                                 const Manifest& m) {
  std::map<std::string, int64_t, std::less<>> out;
  TRY_ASSIGN(Statement add,
             db.prepare("INSERT INTO request (bundle, name, declared) VALUES (?, ?, ?)"));
  TRY(add.bind_all(bundle, "", 0).run());
  out[""] = db.last_insert_id();
  for (const ManifestCell& cell : m.cells) {
    if (out.contains(cell.request)) continue;
    TRY(add.bind_all(bundle, cell.request, 1).run());
    out[cell.request] = db.last_insert_id();
  }
  return out;
}

// The engine's description of its records (describe.json, `records`), if there is one to be read.
std::optional<Schema> description(BundleSource& source, const Manifest& m,
                                  std::map<std::string, std::string>& notes) {
  for (const ManifestFile& file : m.files) {
    if (file.role != "describe") continue;
    const auto text = read_all(source, file.name, kSideFileMost);
    if (!text) {
      notes["describe.error"] = text.error().str();
      continue;
    }
    const auto json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object() || !json.contains("records")) {
      notes["describe.error"] = file.name + ": no JSON object with `records`";
      continue;
    }
    auto schema = parse_schema(
        json["records"].dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    if (schema) return std::move(*schema);
    notes["describe.error"] = schema.error().str();
  }
  return std::nullopt;
}

// A crashed engine may leave half an effective.json: the bundle goes in all the same, and says so.
Effective effective_of(BundleSource& source, const Manifest& m,
                       std::map<std::string, std::string>& notes) {
  for (const ManifestFile& file : m.files) {
    if (file.role != "effective") continue;
    const auto text = read_all(source, file.name, kSideFileMost);
    const auto parsed = text ? parse_effective(*text) : tl::unexpected(text.error());
    if (parsed) return *parsed;
    notes["effective.error"] = parsed.error().str();
  }
  return {};
}

// Once a description: later bundles of the same engine need only what their records use.
Result<> describe_once(Database& db, TypedTables& tables, const Schema& schema,
                       const std::string& key) {
  TRY_ASSIGN(Statement seen, db.prepare("INSERT OR IGNORE INTO meta (key, value) VALUES (?, '')"));
  TRY(seen.bind_all(key).run());
  return db.changes() == 0 ? Result<>() : tables.describe(schema);
}

}  // namespace

Result<Facts> ingest_facts(Database& db, std::string_view manifest_text, BundleSource& source) {
  Facts out;
  TRY_ASSIGN(out.manifest, parse_manifest(manifest_text));
  std::map<std::string, std::string> notes;
  out.schema = description(source, out.manifest, notes);
  const Effective effective = effective_of(source, out.manifest, notes);
  TRY_ASSIGN(out.bundle, add_bundle(db, out.manifest, manifest_text));
  TRY(add_facts(db, out.bundle, out.manifest, effective, std::move(notes)));
  TRY_ASSIGN(out.requests, add_requests(db, out.bundle, out.manifest));
  return out;
}

Result<int64_t> ingest(Database& db, std::string_view manifest_text, BundleSource& source) {
  TRY_ASSIGN(Statement find, db.prepare("SELECT id FROM bundle WHERE hash = ?"));
  TRY_ASSIGN(const bool known, find.bind_all(sha256_hex(manifest_text)).step());
  if (known) return find.integer(0);
  TRY_ASSIGN(Facts facts, ingest_facts(db, manifest_text, source));
  const Manifest& manifest = facts.manifest;
  const Schema* const schema = facts.schema ? &*facts.schema : nullptr;

  TypedTables tables(db, schema);
  if (schema != nullptr) {
    for (const ManifestFile& file : manifest.files)
      if (file.role == "describe")
        TRY(describe_once(db, tables, *schema, "described:" + file.sha256));
  }
  FileIngest files(db, tables, facts.bundle, facts.requests,
                   manifest.cells.size() == 1 ? manifest.cells[0].request : "");
  TRY(files.prepare());
  for (const ManifestFile& file : manifest.files) TRY(files.add(file, source));
  TRY(tables.finish());
  return facts.bundle;
}

Result<std::string> stored_bytes(Database& db, int64_t content, int64_t offset, int64_t length) {
  TRY_ASSIGN(
      Statement pieces,
      db.prepare("SELECT byte_offset, bytes, zstd FROM content_chunk WHERE content = ?1 AND"
                 " byte_offset < ?2 + ?3 AND byte_offset + bytes > ?2 ORDER BY byte_offset"));
  pieces.bind_all(content, offset, length);
  std::string out;
  while (true) {
    TRY_ASSIGN(const bool row, pieces.step());
    if (!row) break;
    const int64_t start = pieces.integer(0);
    TRY_ASSIGN(const std::string piece,
               decompress(pieces.text(2), static_cast<size_t>(pieces.integer(1))));
    const int64_t from = std::max<int64_t>(offset - start, 0);
    const int64_t to = std::min(offset + length - start, static_cast<int64_t>(piece.size()));
    out.append(piece, static_cast<size_t>(from), static_cast<size_t>(to - from));
  }
  if (static_cast<int64_t>(out.size()) != length)
    return fail(Exit::infrastructure, "the store is damaged: a stored file has a gap");
  return out;
}

Result<std::string> Store::ingest_bundle(const std::filesystem::path& folder) {
  TRY(impl_->must_fill());
  FolderSource source(folder);
  TRY_ASSIGN(const std::string manifest,
             read_all(source, std::string(kManifestName), kManifestMost));
  TRY_ASSIGN(Transaction transaction, Transaction::begin(impl_->db));
  auto bundle = ingest(impl_->db, manifest, source);
  if (!bundle) {
    if (bundle.error().file.empty()) bundle.error().file = source.place(std::string(kManifestName));
    return tl::unexpected(std::move(bundle.error()));
  }
  TRY(transaction.commit());
  impl_->settle();
  return sha256_hex(manifest);
}

Result<std::string> Store::file_bytes(std::string_view bundle, std::string_view name) {
  TRY_ASSIGN(Statement find,
             impl_->db.prepare("SELECT c.id, c.bytes FROM bundle_file f JOIN bundle b ON b.id ="
                               " f.bundle JOIN content c ON c.id = f.content"
                               " WHERE b.hash = ? AND f.name = ?"));
  TRY_ASSIGN(const bool row, find.bind_all(bundle, name).step());
  if (row) return stored_bytes(impl_->db, find.integer(0), 0, find.integer(1));
  TRY_ASSIGN(Statement manifest, impl_->db.prepare("SELECT manifest FROM bundle WHERE hash = ?"));
  TRY_ASSIGN(const bool known, manifest.bind_all(bundle).step());
  if (known && name == kManifestName) return manifest.string(0);
  if (!known) return fail(Exit::usage, "no bundle `" + printable(bundle) + "` in the store");
  std::vector<std::string> names;
  TRY_ASSIGN(Statement all, impl_->db.prepare("SELECT f.name FROM bundle_file f JOIN bundle b ON"
                                              " b.id = f.bundle WHERE b.hash = ?"));
  all.bind_all(bundle);
  while (true) {
    TRY_ASSIGN(const bool more, all.step());
    if (!more) break;
    names.push_back(all.string(0));
  }
  return fail(Exit::usage,
              "the bundle has no file `" + printable(name) + "`" + did_you_mean(name, names));
}

Result<> Store::read_file(std::string_view bundle, const StoredFile& file,
                          const std::function<Result<>(std::string_view)>& sink) {
  TRY_ASSIGN(Statement pieces,
             impl_->db.prepare("SELECT p.bytes, p.zstd FROM bundle b JOIN bundle_file f ON"
                               " f.bundle = b.id JOIN content_chunk p ON p.content = f.content"
                               " WHERE b.hash = ? AND f.name = ? ORDER BY p.byte_offset"));
  pieces.bind_all(bundle, file.name);
  Sha256 hash;
  while (true) {
    TRY_ASSIGN(const bool row, pieces.step());
    if (!row) break;
    TRY_ASSIGN(const std::string piece,
               decompress(pieces.text(1), static_cast<size_t>(pieces.integer(0))));
    hash.update(piece);
    TRY(sink(piece));
  }
  if (hash.hex() == file.sha256) return {};
  return fail(Exit::infrastructure, "the store is damaged: `" + printable(file.name) +
                                        "` of bundle " + std::string(bundle) +
                                        " does not have the hash of its manifest");
}

Result<std::vector<StoredFile>> manifest_files(std::string_view manifest_text) {
  TRY_ASSIGN(const Manifest manifest, parse_manifest(manifest_text));
  std::vector<StoredFile> out;
  for (const ManifestFile& file : manifest.files)
    out.push_back({.name = file.name, .bytes = file.bytes, .sha256 = file.sha256});
  return out;
}

}  // namespace greta::store
