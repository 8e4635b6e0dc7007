// The same history in a new file, from the bytes of the bundles.

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "contract/text.h"
#include "ingest/ingest.h"
#include "store/care.h"
#include "tables/store_impl.h"

namespace greta::store {
namespace fs = std::filesystem;
namespace {

// Bundles out of a store as the folders that they were, one at a time on disk as long as this
// lives.
class Unpacked {
 public:
  Unpacked(Store& from, const std::function<fs::path(const std::string&)>& folder)
      : from_(from), sealed_(folder) {}
  ~Unpacked() {
    std::error_code ignored;
    if (!root_.empty()) fs::remove_all(root_, ignored);
  }
  Unpacked(const Unpacked&) = delete;
  Unpacked& operator=(const Unpacked&) = delete;

  Result<fs::path> folder_of(const std::string& hash) {
    if (root_.empty()) {
      std::string pattern = (fs::temp_directory_path() / "greta-rebuild-XXXXXX").string();
      if (mkdtemp(pattern.data()) == nullptr)
        return fail(Exit::infrastructure,
                    "no temporary folder in " + fs::temp_directory_path().string());
      root_ = pattern;
    }
    const fs::path folder = root_ / hash;
    auto written = fs::exists(folder) ? Result<>() : write(hash, folder);
    if (written) return folder;
    std::error_code ignored;
    fs::remove_all(folder, ignored);
    if (const fs::path kept = sealed_(hash); !kept.empty()) return kept;
    return tl::unexpected(written.error());
  }
  void drop() {
    std::error_code ignored;
    if (!root_.empty()) fs::remove_all(root_, ignored);
    root_.clear();
  }

 private:
  Result<> write(const std::string& hash, const fs::path& folder) {
    TRY_ASSIGN(const std::string manifest, from_.file_bytes(hash, kManifestName));
    TRY_ASSIGN(const auto files, manifest_files(manifest));
    TRY(write_file(folder / kManifestName, [&](std::ofstream& out) -> Result<> {
      out << manifest;
      return {};
    }));
    for (const StoredFile& file : files) {
      TRY(write_file(folder / file.name, [&](std::ofstream& out) {
        return from_.read_file(hash, file, [&](std::string_view piece) -> Result<> {
          out.write(piece.data(), static_cast<std::streamsize>(piece.size()));
          return {};
        });
      }));
    }
    return {};
  }

  static Result<> write_file(const fs::path& file,
                             const std::function<Result<>(std::ofstream&)>& content) {
    std::error_code ignored;
    fs::create_directories(file.parent_path(), ignored);
    std::ofstream out(file, std::ios::binary);
    TRY(content(out));
    out.close();
    if (!out) return fail(Exit::infrastructure, file.string() + ": cannot be written");
    return {};
  }

  Store& from_;
  const std::function<fs::path(const std::string&)>& sealed_;
  fs::path root_;
};

Result<std::vector<std::string>> column(Database& db, const char* sql) {
  std::vector<std::string> out;
  TRY_ASSIGN(Statement rows, db.prepare(sql));
  while (true) {
    TRY_ASSIGN(const bool row, rows.step());
    if (!row) return out;
    out.push_back(rows.string(0));
  }
}

Result<> bring_run(Store& from, Store& into, Unpacked& unpacked, int64_t run) {
  TRY_ASSIGN(const std::string exported, from.export_run(run));
  TRY_ASSIGN(Statement bundles,
             from.impl().db.prepare("SELECT DISTINCT b.hash FROM cell c JOIN bundle b"
                                    " ON b.id = c.bundle WHERE c.run = ?"));
  bundles.bind_all(run);
  std::map<std::string, fs::path> folders;
  while (true) {
    TRY_ASSIGN(const bool row, bundles.step());
    if (!row) break;
    TRY_ASSIGN(folders[bundles.string(0)], unpacked.folder_of(bundles.string(0)));
  }
  TRY(into.import_run(
      exported, [&](const std::string& hash) { return folders[hash]; },
      []() -> Result<> { return {}; }));
  return {};
}

}  // namespace

Result<Rebuilt> rebuild(Store& from, Store& into,
                        const std::function<fs::path(const std::string&)>& folder,
                        const CareProgress& progress) {
  Rebuilt out;
  Database& db = from.impl().db;
  TRY_ASSIGN(const auto runs, column(db, "SELECT id FROM run ORDER BY id"));
  Unpacked unpacked(from, folder);
  for (const std::string& id : runs) {
    const int64_t run = std::stoll(id);
    if (const auto brought = bring_run(from, into, unpacked, run); brought) {
      ++out.runs;
    } else {
      // Where its row is damaged, so may be its name.
      const auto name = db.text("SELECT name FROM run WHERE id = " + id);
      out.lost.push_back({"run " + name.value_or("number " + id), brought.error().str()});
    }
    unpacked.drop();
    if (!progress(out.runs, static_cast<int64_t>(runs.size())))
      return fail(Exit::interrupted, "interrupted");
  }
  TRY_ASSIGN(const auto lone, column(db,
                                     "SELECT hash FROM bundle b WHERE NOT EXISTS (SELECT 1 FROM"
                                     " cell c WHERE c.bundle = b.id) ORDER BY id"));
  for (const std::string& hash : lone) {
    const auto at = unpacked.folder_of(hash);
    const auto brought = at ? into.ingest_bundle(*at) : tl::unexpected(at.error());
    if (!brought) out.lost.push_back({"bundle " + hash, brought.error().str()});
    unpacked.drop();
  }
  TRY_ASSIGN(out.bundles, into.impl().db.integer("SELECT count(*) FROM bundle"));
  return out;
}

}  // namespace greta::store
