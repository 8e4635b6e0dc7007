// greta check: is the store what it was? greta rebuild: the same history in a new file.

#include <unistd.h>

#include <cstdio>

#include "contract/text.h"
#include "run/bundle.h"
#include "store/care.h"
#include "system/context.h"
#include "system/files.h"
#include "system/json.h"
#include "system/layout.h"
#include "system/process.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

store::CareProgress progress_of(const Context& context, const char* what) {
  const bool shown = context.verbosity > 0 && isatty(STDERR_FILENO) != 0;
  return [=, last = std::make_shared<int64_t>(-1)](int64_t done, int64_t total) {
    const int64_t percent = total == 0 ? 100 : 100 * done / total;
    if (shown && percent != std::exchange(*last, percent))
      std::fprintf(stderr, "\r%s %3lld %%%s", what, static_cast<long long>(percent),
                   done >= total ? "\r\x1b[K" : "");
    return !process_cancel().requested();
  };
}

// Sealed folders beside the store: each must be what its name says.
std::vector<store::Trouble> check_folders(const Layout& layout, int64_t& folders) {
  std::vector<store::Trouble> out;
  std::error_code error;
  for (fs::directory_iterator shelf(layout.bundles(), error), end; !error && shelf != end;
       shelf.increment(error)) {
    for (const auto& folder : fs::directory_iterator(shelf->path(), error)) {
      if (!folder.is_directory(error)) continue;
      ++folders;
      const auto manifest = read_file(folder.path() / "manifest.json");
      const std::string hash = folder.path().filename().string();
      if (!manifest || store::sha256_hex(*manifest) != hash) {
        out.push_back({folder.path().string(), "its manifest.json has another hash"});
        continue;
      }
      const auto files = store::manifest_files(*manifest);
      if (!files) continue;  // said of the same manifest in the store
      for (const store::StoredFile& file : *files) {
        const auto sha256 = store::sha256_file(folder.path() / file.name);
        if (!sha256 || *sha256 != file.sha256)
          out.push_back({(folder.path() / file.name).string(),
                         sha256 ? "does not have the hash of its manifest" : "cannot be read"});
      }
    }
  }
  return out;
}

Result<> check(Context& context) {
  TRY_ASSIGN(store::Store store, context.open_store(store::Access::read_only));
  TRY_ASSIGN(store::Checked checked, store::check(store, progress_of(context, "checking")));
  int64_t folders = 0;
  for (store::Trouble& trouble : check_folders(layout_of(context.find_store()), folders))
    checked.troubles.push_back(std::move(trouble));
  if (context.json) {
    Json troubles = Json::array();
    for (const auto& [where, what] : checked.troubles)
      troubles.push_back({{"where", where}, {"what", what}});
    const Json out = {{"runs", checked.runs},       {"bundles", checked.bundles},
                      {"files", checked.files},     {"bytes", checked.bytes},
                      {"records", checked.records}, {"folders", folders},
                      {"troubles", troubles},       {"notes", checked.notes}};
    std::printf("%s\n", out.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
  } else {
    for (const auto& [where, what] : checked.troubles)
      std::printf("%s: %s\n", printable(where, 400).c_str(), printable(what, 400).c_str());
    for (const std::string& note : checked.notes) std::printf("note: %s\n", note.c_str());
    std::printf(
        "%lld runs, %lld bundles (%lld sealed folders beside the store), %lld files of %s, "
        "%lld records: %s\n",
        static_cast<long long>(checked.runs), static_cast<long long>(checked.bundles),
        static_cast<long long>(folders), static_cast<long long>(checked.files),
        human_bytes(static_cast<double>(checked.bytes)).c_str(),
        static_cast<long long>(checked.records), checked.troubles.empty() ? "sound" : "DAMAGED");
  }
  if (!checked.troubles.empty()) {
    context.exit_code = static_cast<int>(Exit::infrastructure);
    context.say(
        "nothing was changed; `greta rebuild --into FILE` brings what is sound into a new "
        "store");
  }
  return {};
}

// A store that goes with its side files unless it was renamed.
class Unfinished {
 public:
  explicit Unfinished(std::string file) : file_(std::move(file)) {}
  Unfinished(const Unfinished&) = delete;
  ~Unfinished() {
    std::error_code ignored;
    for (const char* end : {"", "-wal", "-shm", "-journal"}) fs::remove(file_ + end, ignored);
  }
  const std::string& file() const { return file_; }

 private:
  std::string file_;
};

Result<> rebuild(Context& context, const std::string& file) {
  std::error_code error;
  if (fs::exists(file, error))
    return fail(Exit::usage,
                printable(file, 400) + " is there already: a rebuilt store is a new file");
  const fs::path parent = fs::absolute(file, error).parent_path();
  if (!fs::is_directory(parent, error))
    return fail(Exit::usage,
                "there is no folder " + printable(parent.string(), 400) + " for the rebuilt store");
  TRY_ASSIGN(store::Store from, context.open_store(store::Access::read_only));
  const Layout layout = layout_of(context.find_store());
  const auto sealed = [&](const std::string& hash) {
    const fs::path folder = layout.bundles() / hash.substr(0, 2) / hash;
    std::error_code ignored;
    return fs::exists(folder / "manifest.json", ignored) ? folder : fs::path();
  };
  // Half a store must not look like a whole one: it has its name when it is complete.
  const Unfinished made(file + ".part-" + std::to_string(getpid()));
  store::Rebuilt done;
  {
    TRY_ASSIGN(store::Store into, store::Store::open(made.file(), store::Access::read_write));
    TRY_ASSIGN(done, store::rebuild(from, into, sealed, progress_of(context, "rebuilding")));
  }
  fs::rename(made.file(), file, error);
  if (error) return fail(Exit::infrastructure, printable(file, 400) + ": " + error.message());
  for (const auto& [where, what] : done.lost)
    std::printf("lost: %s: %s\n", printable(where, 400).c_str(), printable(what, 400).c_str());
  std::printf("%s: %lld runs, %lld bundles\n", printable(file, 400).c_str(),
              static_cast<long long>(done.runs), static_cast<long long>(done.bundles));
  if (!done.lost.empty()) context.exit_code = static_cast<int>(Exit::infrastructure);
  return {};
}

}  // namespace

void register_check(CLI::App& app, Context& context) {
  CLI::App* const check_it =
      app.add_subcommand("check", "read the whole store and say what is not as it was");
  check_it->footer(
      "Every byte against its hash, every record against its line, keys, views, and the sealed\n"
      "bundles beside the store. Nothing is changed, but for a store of an older greta, which is\n"
      "brought up to this version first, as by every command. exit: 0 sound, 4 damaged");
  check_it->callback([&context] {
    install_signal_handlers();
    if (const auto done = check(context); !done) context.fail(done.error());
  });

  CLI::App* const again = app.add_subcommand(
      "rebuild", "the same history in a new file, from the bytes of its bundles");
  const auto file = std::make_shared<std::string>();
  again->add_option("--into", *file, "the new store")->required();
  again->footer(
      "What cannot be read in the store is taken from the sealed bundles beside it, where they "
      "are.\n"
      "The old store stays as it is. exit: 0 all of it, 4 something is lost (each thing is named)");
  again->callback([&context, file] {
    install_signal_handlers();
    if (const auto done = rebuild(context, *file); !done) context.fail(done.error());
  });
}

}  // namespace greta::runner
