#include "run/model.h"

#include <sys/stat.h>

#include "store/store.h"
#include "system/environment.h"
#include "system/files.h"
#include "system/json.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kWorthShowingBytes = int64_t{1} << 30;

// Changes whenever the file is written or replaced. The change time is in it because the
// modification time can be set back.
std::string fingerprint(const struct stat& state) {
  const auto time = [](const timespec& t) {
    return std::to_string(t.tv_sec) + "." + std::to_string(t.tv_nsec);
  };
  return std::to_string(state.st_dev) + ":" + std::to_string(state.st_ino) + ":" +
         std::to_string(state.st_size) + ":" + time(state.st_mtim) + ":" + time(state.st_ctim);
}

Result<std::string> hash_of(const fs::path& file, const struct stat& state, Progress& progress) {
  const std::string print = fingerprint(state);
  const fs::path memory =
      cache_folder() / "hashes" / (store::sha256_hex(file.string()).substr(0, 32) + ".json");
  if (const auto text = read_file(memory)) {
    const SortedJson json = SortedJson::parse(*text, nullptr, false);
    if (json.is_object() && json.value("fingerprint", SortedJson()) == print &&
        json.contains("sha256") && json["sha256"].is_string()) {
      return json["sha256"].get<std::string>();
    }
  }
  std::optional<Progress::Step> step;
  if (state.st_size >= kWorthShowingBytes) step.emplace(progress.begin("hashing " + file.string()));
  TRY_ASSIGN(const std::string hash, store::sha256_file(file));
  const SortedJson json = {{"file", file.string()}, {"fingerprint", print}, {"sha256", hash}};
  // Only speed depends on the memory.
  if (make_folders(memory.parent_path())) {
    static_cast<void>(
        write_file(memory, json.dump(-1, ' ', false, SortedJson::error_handler_t::replace) + "\n"));
  }
  return hash;
}

}  // namespace

Result<std::string> check_model(const Spec& spec, Progress& progress) {
  if (!spec.has_model) return std::string();
  struct stat state {};
  if (stat(spec.model_file.c_str(), &state) != 0 || !S_ISREG(state.st_mode)) {
    std::string tried;
    for (const auto& path : spec.model_tried) tried += "\n  looked at " + path.string();
    return fail_at(spec.model_place, "no model file `" + spec.model_file.string() + "`" + tried);
  }
  auto hash = hash_of(spec.model_file, state, progress);
  if (!hash) return fail_at(spec.model_place, hash.error().message);
  if (!spec.model_sha256.empty() && *hash != spec.model_sha256) {
    return fail_at(spec.model_place, "the model " + spec.model_file.string() + " has the SHA-256 " +
                                         *hash + ", the spec pins " + spec.model_sha256);
  }
  return hash;
}

}  // namespace greta::runner
