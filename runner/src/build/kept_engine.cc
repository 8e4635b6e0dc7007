#include "build/kept_engine.h"

#include <unistd.h>

#include "store/store.h"
#include "system/environment.h"
#include "system/files.h"
#include "system/json.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

std::string text_of(const SortedJson& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

std::optional<KeptEngine> read_kept(const fs::path& folder) {
  const auto text = read_file(folder / "build.json");
  if (!text) return std::nullopt;
  const SortedJson json = SortedJson::parse(*text, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  KeptEngine kept{.folder = folder,
                  .binary = folder / text_of(json, "binary"),
                  .sha256 = text_of(json, "sha256"),
                  .tree = text_of(json, "tree")};
  const auto now = store::sha256_file(kept.binary);
  if (!now || *now != kept.sha256) return std::nullopt;  // damaged: made again
  return kept;
}

// A build is a matter of its key alone: another store's build of the same key is as good. Without
// the cache only time is lost.
fs::path shared_folder(const std::string& key) { return cache_folder() / "engines" / key; }

// Several greta may keep the same engine at once, and the first one's stays: what is whole is never
// taken away from who may be reading it.
void put_in_place(const fs::path& finished, const fs::path& target) {
  std::error_code error;
  fs::rename(finished, target, error);
  if (!error || read_kept(target)) return;
  remove_tree(target);  // a damaged one
  fs::rename(finished, target, error);
}

void copy_kept(const fs::path& from, const fs::path& to) {
  if (!make_folders(to.parent_path())) return;
  const fs::path part = to.string() + ".part" + std::to_string(getpid());
  std::error_code error;
  fs::copy(from, part, fs::copy_options::recursive, error);
  if (!error && read_kept(part) && sync_tree(part)) put_in_place(part, to);
  remove_tree(part);
}

}  // namespace

std::optional<KeptEngine> find_kept_engine(const Layout& layout, const std::string& key) {
  const fs::path own = layout.engines() / key;
  if (auto kept = read_kept(own)) return kept;
  if (!read_kept(shared_folder(key))) return std::nullopt;
  copy_kept(shared_folder(key), own);
  return read_kept(own);
}

Result<KeptEngine> keep_engine(const fs::path& finished, const Layout& layout,
                               const std::string& key) {
  const fs::path target = layout.engines() / key;
  TRY(sync_tree(finished));
  put_in_place(finished, target);
  TRY(sync_path(layout.engines()));
  const auto kept = read_kept(target);
  if (!kept)
    return fail(Exit::infrastructure, "the kept engine cannot be read: " + target.string());
  copy_kept(target, shared_folder(key));
  return *kept;
}

Result<KeptEngine> keep_program(const fs::path& binary, const std::string& sha256,
                                const Layout& layout, const std::string& key) {
  if (const auto kept = read_kept(layout.engines() / key)) return *kept;
  TRY_ASSIGN(const fs::path work, make_temporary(layout));
  struct Cleaner {
    fs::path folder;
    ~Cleaner() { remove_tree(folder); }
  } cleaner{work};
  const std::string name = binary.filename().string();
  TRY(make_folders(work / "kept"));
  std::error_code error;
  fs::copy_file(binary, work / "kept" / name, error);
  if (error) {
    return fail(Exit::infrastructure, "cannot keep " + binary.string() + ": " + error.message());
  }
  const SortedJson json = {{"binary", name}, {"sha256", sha256}, {"build_key", key}, {"tree", ""}};
  TRY(write_file(work / "kept" / "build.json", json.dump(2) + "\n"));
  return keep_engine(work / "kept", layout, key);
}

}  // namespace greta::runner
