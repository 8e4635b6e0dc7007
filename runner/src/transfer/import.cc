#include "transfer/import.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <set>

#include "container/machine.h"
#include "contract/text.h"
#include "system/files.h"
#include "system/json.h"
#include "transfer/archive_file.h"
#include "transfer/image_archive.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kLeastFreeBytes = int64_t{256} << 20;

tl::unexpected<Error> refused(const std::string& message) { return fail(Exit::usage, message); }

// Writes every member below a folder of its own.
class Unpacker : public ArchiveVisitor {
 public:
  explicit Unpacker(fs::path folder) : folder_(std::move(folder)) {}
  ~Unpacker() override {
    if (fd_ >= 0) close(fd_);
  }

  Result<> index(const ArchiveIndex& index) override {
    index_ = index;
    const int64_t room = free_bytes(folder_) - kLeastFreeBytes;
    if (index.bytes() <= room) return {};
    return fail(Exit::infrastructure, "no room: it needs " +
                                          human_bytes(static_cast<double>(index.bytes())) + " at " +
                                          folder_.string());
  }
  Result<> begin(const ArchiveMember& member) override {
    path_ = folder_ / member.name;
    TRY(make_folders(path_.parent_path()));
    const mode_t mode = member.executable ? 0755 : 0644;
    fd_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    return fd_ >= 0 ? Result<>() : failed();
  }
  Result<> piece(std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = write(fd_, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return failed();
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return {};
  }
  Result<> end() override { return close(std::exchange(fd_, -1)) == 0 ? Result<>() : failed(); }

  const ArchiveIndex& unpacked() const { return index_; }

 private:
  tl::unexpected<Error> failed() const {
    return fail(Exit::infrastructure,
                "cannot write " + path_.string() + ": " + std::strerror(errno));
  }
  fs::path folder_, path_;
  ArchiveIndex index_;
  int fd_ = -1;
};

class Import {
 public:
  Import(store::Store& store, const Layout& layout, fs::path work, const Cancel& cancel)
      : store_(store), layout_(layout), work_(std::move(work)), cancel_(cancel) {}

  Result<ImportedArchive> run(const fs::path& file, int64_t most_bytes) {
    Unpacker unpacker(work_);
    TRY(read_archive(file, most_bytes, unpacker, cancel_));
    sort_members(unpacker.unpacked());
    for (const auto& [hash, members] : bundles_) TRY(check_bundle(hash, members));
    for (const auto& [key, members] : engines_) TRY(check_engine(key, members));
    for (const std::string& id : images_) TRY(check_image(id));
    for (const ArchiveMember& list : packages_)
      if (list.name.substr(9, 64) != list.sha256)
        return refused("`" + list.name + "` does not have the hash of its name");
    for (const std::string& run : runs_) TRY(check_run(run));
    for (const auto& [hash, members] : bundles_)
      if (!used_.contains(hash)) return refused("bundle " + hash + " belongs to no run in it");
    TRY(sync_tree(work_));
    ImportedArchive out{
        .runs = {}, .bundles = bundles_.size(), .engines = engines_.size(), .notes = {}};
    for (const auto& [run, bundles] : bundles_of_) {
      TRY_ASSIGN(store::ImportedRun done, take_run(run, bundles));
      out.runs.push_back(std::move(done));
    }
    for (const auto& [key, members] : engines_)
      TRY(place(work_ / "engines" / key, layout_.engines() / key));
    for (const ArchiveMember& list : packages_)
      TRY(place(work_ / list.name, layout_.packages() / fs::path(list.name).filename()));
    for (const std::string& id : images_) {
      const fs::path kept = layout_.images() / (id + ".tar");
      TRY(place(work_ / "images" / kept.filename(), kept));
      TRY_ASSIGN(const std::string said, load_image(kept, id, cancel_));
      out.notes.push_back("image " + id.substr(0, 12) + ": " + said);
    }
    return out;
  }

 private:
  using Members = std::map<std::string, ArchiveMember>;  // by what stands behind the hash

  void sort_members(const ArchiveIndex& index) {
    for (const ArchiveMember& member : index.members) {
      const size_t slash = member.name.find('/');
      const std::string room = member.name.substr(0, slash);
      const std::string rest = member.name.substr(slash + 1);
      if (room == "runs") {
        runs_.push_back(member.name);
      } else if (room == "packages") {
        packages_.push_back(member);
      } else if (room == "images") {
        images_.push_back(rest.substr(0, 64));
      } else {
        auto& folders = room == "bundles" ? bundles_ : engines_;
        folders[rest.substr(0, 64)][rest.substr(65)] = member;
      }
    }
  }

  Result<> check_bundle(const std::string& hash, const Members& members) {
    const std::string name = "bundle " + hash;
    const auto manifest = members.find("manifest.json");
    if (manifest == members.end()) return refused(name + " has no manifest.json");
    if (manifest->second.sha256 != hash)
      return refused(name + ": its manifest.json has another hash");
    TRY_ASSIGN(const std::string text, read_file(work_ / manifest->second.name));
    auto files = store::manifest_files(text);
    if (!files) return refused(name + ": " + files.error().message);
    for (const store::StoredFile& file : *files) {
      const auto member = members.find(file.name);
      if (member == members.end() || member->second.bytes != file.bytes ||
          member->second.sha256 != file.sha256) {
        return refused(name + ": `" + printable(file.name) + "` is " +
                       (member == members.end() ? "missing" : "not what its manifest says"));
      }
    }
    if (members.size() == files->size() + 1) return {};
    for (const auto& [path, member] : members) {
      const bool listed = path == "manifest.json" || std::any_of(files->begin(), files->end(),
                                                                 [&path = path](const auto& file) {
                                                                   return file.name == path;
                                                                 });
      if (!listed) return refused(name + ": `" + printable(path) + "` is not in its manifest");
    }
    return refused(name + ": its manifest lists manifest.json");
  }

  // The program under a build key must be the one that its build.json speaks of.
  Result<> check_engine(const std::string& key, const Members& members) {
    const auto described = members.find("build.json");
    if (described == members.end()) return refused("engine " + key + " has no build.json");
    TRY_ASSIGN(const std::string text, read_file(work_ / described->second.name));
    const SortedJson build = SortedJson::parse(text, nullptr, /*allow_exceptions=*/false);
    const auto text_of = [&](const char* name) {
      return build.is_object() && build.contains(name) && build[name].is_string()
                 ? build[name].get<std::string>()
                 : std::string();
    };
    const auto binary = members.find(text_of("binary"));
    if (text_of("build_key") != key || binary == members.end() ||
        binary->second.sha256 != text_of("sha256")) {
      return refused("engine " + key + " is not what its build.json says");
    }
    return {};
  }

  Result<> check_image(const std::string& id) {
    auto good = check_image_archive(work_ / "images" / (id + ".tar"), id);
    if (!good) return refused("images/" + id + ".tar " + good.error().message);
    return {};
  }

  Result<> check_run(const std::string& member) {
    TRY_ASSIGN(const std::string text, read_file(work_ / member));
    auto good = store_.check_run(text);
    if (!good) return refused("`" + printable(member) + "`: " + good.error().message);
    const SortedJson run = SortedJson::parse(text);
    if (member != "runs/" + run["run"]["name"].get<std::string>() + ".json")
      return refused("`" + printable(member) + "` holds another run");
    auto& bundles = bundles_of_[member];
    for (const SortedJson& cell : run["cells"]) {
      if (cell["bundle"].is_null()) continue;
      const std::string hash = cell["bundle"].get<std::string>();
      if (!bundles_.contains(hash))
        return refused("`" + printable(member) + "`: bundle " + hash + " is not in the archive");
      bundles.insert(hash);
    }
    used_.insert(bundles.begin(), bundles.end());
    return {};
  }

  fs::path bundle_folder(const std::string& hash) const {
    return layout_.bundles() / hash.substr(0, 2) / hash;
  }

  // The folders move when everything else has succeeded; what is then lost to a kill is the
  // transaction alone, and whole bundles without a run are what the next import expects.
  Result<store::ImportedRun> take_run(const std::string& member,
                                      const std::set<std::string>& bundles) {
    if (cancel_.requested()) return fail(Exit::interrupted, "interrupted");
    TRY_ASSIGN(const std::string text, read_file(work_ / member));
    return store_.import_run(
        text,
        [this](const std::string& hash) {
          const fs::path here = work_ / "bundles" / hash;
          return fs::exists(here) ? here : bundle_folder(hash);
        },
        [&]() -> Result<> {
          for (const std::string& hash : bundles)
            TRY(place(work_ / "bundles" / hash, bundle_folder(hash)));
          return {};
        });
  }

  // What is there already is as good: its name is its hash, or its key.
  static Result<> place(const fs::path& from, const fs::path& to) {
    std::error_code error;
    if (fs::exists(to, error)) return {};
    TRY(make_folders(to.parent_path()));
    fs::rename(from, to, error);
    if (error && !fs::exists(to))
      return fail(Exit::infrastructure, "cannot make " + to.string() + ": " + error.message());
    return sync_path(to.parent_path());
  }

  store::Store& store_;
  const Layout& layout_;
  fs::path work_;
  const Cancel& cancel_;
  std::map<std::string, Members> bundles_, engines_;  // by hash, by build key
  std::vector<std::string> runs_, images_;
  std::vector<ArchiveMember> packages_;
  std::map<std::string, std::set<std::string>> bundles_of_;  // of runs
  std::set<std::string> used_;
};

}  // namespace

Result<ImportedArchive> import_archive(store::Store& store, const Layout& layout,
                                       const fs::path& file, int64_t most_bytes,
                                       const Cancel& cancel) {
  TRY_ASSIGN(const fs::path work, make_temporary(layout));
  auto done = Import(store, layout, work, cancel).run(file, most_bytes);
  remove_tree(work);
  if (done) return done;
  if (done.error().file.empty()) done.error().file = file.string();
  return done;
}

}  // namespace greta::runner
