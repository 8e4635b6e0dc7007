#include "build/source.h"

#include <sys/stat.h>

#include <algorithm>
#include <map>

#include "build/git.h"
#include "store/store.h"
#include "system/files.h"
#include "system/lock.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

constexpr double kCloneTimeout_s = 3600;

bool is_url(const std::string& repo) {
  if (repo.find("://") != std::string::npos) return true;
  const size_t colon = repo.find(':');  // user@host:path
  return colon != std::string::npos && repo.find('@') < colon && repo.find('/') > colon;
}

// What greta-infer is built from, in a greta source tree.
const char* const kEnginePaths[] = {
    "CMakeLists.txt", "CMakePresets.json", "ci/cmake", "ci/build-engine", "engine", "kernels"};

// What this greta writes while it runs, where its store lies within the sources.
std::vector<std::string> files_of_store(const fs::path& top, const Layout& layout) {
  std::error_code error;
  const fs::path real_top = fs::weakly_canonical(top, error);
  std::vector<std::string> out;
  for (const auto& [path, end] :
       {std::pair{layout.store, ""}, std::pair{fs::path(layout.store.string() + "-wal"), ""},
        std::pair{fs::path(layout.store.string() + "-shm"), ""},
        std::pair{fs::path(layout.store.string() + "-journal"), ""}, std::pair{layout.home, "/"}}) {
    const fs::path relative = path.lexically_relative(real_top);
    if (!relative.empty() && relative != "." && *relative.begin() != "..")
      out.push_back(relative.string() + end);
  }
  return out;
}

// Files of a greta tree that no build of greta-infer reads: a changed test must not ask for a new
// engine.
bool plays_no_part(const Source& source, const std::string& name) {
  for (const auto& own : source.not_source) {
    if (name == own || (own.ends_with('/') && name.starts_with(own))) return true;
  }
  if (source.paths.empty()) return false;  // another engine's repository: nothing is known of it
  const auto ends_with = [&](std::string_view end) {
    return name.size() >= end.size() &&
           name.compare(name.size() - end.size(), end.size(), end) == 0;
  };
  const auto has_folder = [&](std::string_view folder) {
    return ("/" + name).find("/" + std::string(folder) + "/") != std::string::npos;
  };
  return ends_with("_test.cc") || ends_with(".md") || has_folder("testdata") ||
         has_folder("corpus");
}

void drop_what_plays_no_part(const Source& source, std::vector<std::string>& names) {
  names.erase(std::remove_if(names.begin(), names.end(),
                             [&](const auto& name) { return plays_no_part(source, name); }),
              names.end());
}

bool is_greta_tree(const std::vector<std::string>& present) {
  const auto has = [&](const char* name) {
    return std::find(present.begin(), present.end(), name) != present.end();
  };
  return has("CMakeLists.txt") && has("ci/build-engine") && has("engine") && has("kernels");
}

void set_listing(std::vector<std::string> lines, Source& source) {
  std::sort(lines.begin(), lines.end(), [](const std::string& a, const std::string& b) {
    return a.substr(a.find('\t')) < b.substr(b.find('\t'));
  });
  source.listing.clear();
  for (const auto& line : lines) source.listing += line + "\n";
  source.tree = store::sha256_hex(source.listing);
}

// Blob ids as git computes them, without the filters that a checkout applies.
Result<std::vector<std::string>> blob_ids(const fs::path& top,
                                          const std::vector<std::string>& files,
                                          const Cancel& cancel) {
  constexpr size_t kFilesACall = 400;  // keeps the command line short
  std::vector<std::string> ids;
  for (size_t begin = 0; begin < files.size(); begin += kFilesACall) {
    std::vector<std::string> words = {"hash-object", "--no-filters", "--"};
    const size_t end = std::min(files.size(), begin + kFilesACall);
    words.insert(words.end(), files.begin() + static_cast<long>(begin),
                 files.begin() + static_cast<long>(end));
    TRY_ASSIGN(const std::string text, git(top, words, cancel));
    for (auto& id : split(text, '\n')) ids.push_back(std::move(id));
  }
  if (ids.size() != files.size()) {
    return fail(Exit::infrastructure, "git hash-object answered for another number of files");
  }
  return ids;
}

// The listing of files that lie below a folder.
Result<std::vector<std::string>> list_files(const fs::path& top,
                                            const std::vector<std::string>& names,
                                            const fs::path& scratch, const Cancel& cancel) {
  std::vector<std::string> hashed, modes, shown;
  int links = 0;
  for (const auto& name : names) {
    struct stat state {};
    if (lstat((top / name).c_str(), &state) != 0) continue;  // deleted, not yet from the index
    if (S_ISLNK(state.st_mode)) {
      // git's blob of a link is the text of its target.
      const fs::path text = scratch / ("link" + std::to_string(links++));
      TRY(write_file(text, fs::read_symlink(top / name).string()));
      hashed.push_back(text.string());
      modes.emplace_back("120000");
    } else if (S_ISREG(state.st_mode)) {
      hashed.push_back(name);
      modes.emplace_back((state.st_mode & S_IXUSR) != 0 ? "100755" : "100644");
    } else {
      continue;  // a submodule is a folder here, and an empty folder in an archive
    }
    shown.push_back(name);
  }
  TRY_ASSIGN(const auto ids, blob_ids(top, hashed, cancel));
  std::vector<std::string> lines;
  for (size_t i = 0; i < shown.size(); ++i)
    lines.push_back(modes[i] + " " + ids[i] + "\t" + shown[i]);
  return lines;
}

std::vector<std::string> walk(const fs::path& top, const std::vector<std::string>& paths) {
  std::vector<std::string> out;
  for (const auto& path : paths) {
    std::error_code error;
    if (!fs::is_directory(top / path, error)) {
      out.push_back(path);
      continue;
    }
    for (fs::recursive_directory_iterator it(top / path, error), end; !error && it != end;
         it.increment(error)) {
      if (!it->is_directory(error) || it->is_symlink(error)) {
        out.push_back(it->path().lexically_relative(top).string());
      }
    }
  }
  return out;
}

Result<std::vector<std::string>> worktree_names(const Source& source, const Cancel& cancel) {
  if (source.commit.empty() && !fs::exists(source.top / ".git")) {
    return walk(source.top, source.paths);
  }
  std::vector<std::string> words = {"ls-files", "-co", "--exclude-standard", "-z", "--"};
  words.insert(words.end(), source.paths.begin(), source.paths.end());
  TRY_ASSIGN(const std::string text, git(source.top, words, cancel));
  auto names = split(text, '\0');
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());  // unmerged ones come thrice
  return names;
}

Result<std::vector<std::string>> changed_files(const Source& source, const Cancel& cancel) {
  std::vector<std::string> words = {"status", "--porcelain", "--untracked-files=all", "-z", "--"};
  words.insert(words.end(), source.paths.begin(), source.paths.end());
  TRY_ASSIGN(const std::string text, git(source.top, words, cancel));
  std::vector<std::string> out;
  for (const auto& entry : split(text, '\0')) {
    out.push_back(entry.size() > 3 && entry[2] == ' ' ? entry.substr(3) : entry);
  }
  return out;
}

Result<> list_worktree(Source& source, const Layout& layout, const Cancel& cancel) {
  std::vector<std::string> present;
  for (const char* path : kEnginePaths) {
    if (fs::exists(source.top / path)) present.emplace_back(path);
  }
  if (is_greta_tree(present)) source.paths = present;
  TRY_ASSIGN(auto names, worktree_names(source, cancel));
  drop_what_plays_no_part(source, names);
  TRY_ASSIGN(const fs::path scratch, make_temporary(layout));
  auto lines = list_files(source.top, names, scratch, cancel);
  remove_tree(scratch);
  if (!lines) return tl::unexpected(lines.error());
  set_listing(std::move(*lines), source);
  if (!source.commit.empty()) {
    TRY_ASSIGN(auto changed, changed_files(source, cancel));
    drop_what_plays_no_part(source, changed);
    source.dirty = !changed.empty();
  }
  return {};
}

Result<> list_commit(Source& source, const Cancel& cancel) {
  std::vector<std::string> words = {"ls-tree", "--name-only", "-z", source.commit, "--"};
  words.insert(words.end(), std::begin(kEnginePaths), std::end(kEnginePaths));
  TRY_ASSIGN(const std::string names, git(source.top, words, cancel));
  const auto present = split(names, '\0');
  if (is_greta_tree(present)) source.paths = present;
  words = {"ls-tree", "-r", "-z", "--full-tree", source.commit, "--"};
  words.insert(words.end(), source.paths.begin(), source.paths.end());
  TRY_ASSIGN(const std::string text, git(source.top, words, cancel));
  std::vector<std::string> lines;
  for (const auto& entry : split(text, '\0')) {  // "mode type id\tpath"
    const size_t type = entry.find(' ') + 1;
    const size_t id = entry.find(' ', type) + 1;
    if (entry.compare(type, 6, "commit") == 0) continue;  // a submodule
    if (plays_no_part(source, entry.substr(entry.find('\t') + 1))) continue;
    lines.push_back(entry.substr(0, type) + entry.substr(id));
  }
  set_listing(std::move(lines), source);
  return {};
}

// A bare copy of a remote repository, brought up to date when it may have moved on.
Result<fs::path> mirror_of(const EngineSpec& engine, const Layout& layout, const Cancel& cancel) {
  const std::string name = store::sha256_hex(engine.repo).substr(0, 16);
  const fs::path mirror = layout.mirrors() / (name + ".git");
  TRY_ASSIGN(const auto lock, FileLock::acquire(layout.locks() / ("git-" + name), cancel));
  if (!fs::exists(mirror)) {
    TRY_ASSIGN(const fs::path part, make_temporary(layout));
    auto cloned =
        git({}, {"clone", "--mirror", "--quiet", "--", engine.repo, (part / "m").string()}, cancel,
            kCloneTimeout_s);
    std::error_code error;
    if (cloned) fs::rename(part / "m", mirror, error);
    remove_tree(part);
    if (!cloned) return tl::unexpected(cloned.error());
    if (error) return fail(Exit::infrastructure, "cannot keep the mirror: " + error.message());
    return mirror;
  }
  const bool full_id = engine.commit.size() >= 40 &&
                       engine.commit.find_first_not_of("0123456789abcdef") == std::string::npos;
  const bool known =
      full_id && git(mirror, {"cat-file", "-e", engine.commit + "^{commit}"}, cancel).has_value();
  if (!known) TRY(git(mirror, {"fetch", "--prune", "--quiet"}, cancel, kCloneTimeout_s));
  return mirror;
}

std::string some_of(const std::vector<std::string>& names) {
  std::string out;
  for (size_t i = 0; i < names.size() && i < 8; ++i) out += (i ? ", " : "") + names[i];
  if (names.size() > 8) out += " and " + std::to_string(names.size() - 8) + " more";
  return out;
}

}  // namespace

Result<Source> resolve_source(const EngineSpec& engine, const fs::path& root, const Layout& layout,
                              const Cancel& cancel) {
  if (find_program("git").empty()) {
    return fail(Exit::infrastructure, "git is not installed: apt-get install git");
  }
  Source source;
  source.asked = engine.commit;
  source.worktree = engine.commit == "worktree";
  if (is_url(engine.repo)) {
    if (source.worktree) {
      return fail_at(engine.place, "engine.commit: `worktree` needs a local repository; `" +
                                       engine.repo + "` is a URL: name a commit, tag or branch");
    }
    TRY_ASSIGN(source.top, mirror_of(engine, layout, cancel));
  } else {
    std::error_code error;
    source.top = fs::weakly_canonical(root / engine.repo, error);
    if (!fs::is_directory(source.top)) {
      return fail_at(engine.place, "engine.repo: no folder " + source.top.string());
    }
    const auto top = git(source.top, {"rev-parse", "--show-toplevel"}, cancel);
    if (top) {
      source.top = without_newline(*top);
    } else if (!source.worktree || !fs::exists(source.top / "ci/build-engine")) {
      return fail_at(engine.place,
                     "engine.repo: " + source.top.string() +
                         " is no git repository, so that `commit: " + engine.commit +
                         "` has no meaning there; give `engine: {binary: PATH}` instead");
    }
  }
  if (!is_url(engine.repo)) source.not_source = files_of_store(source.top, layout);
  const std::string name = source.worktree ? "HEAD" : engine.commit;
  const auto commit =
      git(source.top, {"rev-parse", "--verify", "--quiet", "--end-of-options", name + "^{commit}"},
          cancel);
  if (commit) source.commit = without_newline(*commit);
  if (source.worktree) {
    TRY(list_worktree(source, layout, cancel));
  } else {
    if (source.commit.empty()) {
      return fail_at(engine.place, "engine.commit: no commit, tag or branch `" + engine.commit +
                                       "` in " + engine.repo);
    }
    TRY(list_commit(source, cancel));
    if (engine.commit == "HEAD" && !is_url(engine.repo)) {
      TRY_ASSIGN(auto changed, changed_files(source, cancel));
      drop_what_plays_no_part(source, changed);
      if (!changed.empty()) {
        return fail_at(engine.place, "engine.commit: HEAD would leave out what is changed here (" +
                                         some_of(changed) +
                                         "): commit it, or use `commit: worktree`");
      }
    }
  }
  if (source.listing.empty()) {
    return fail_at(engine.place, "engine.repo: no source files in " + source.top.string());
  }
  return source;
}

Result<Source> kept_source(const fs::path& folder) {
  Source source;
  source.archive = folder / "sources.tar.gz";
  TRY_ASSIGN(source.listing, read_file(folder / "sources.txt"));
  source.tree = store::sha256_hex(source.listing);
  if (!fs::exists(source.archive)) {
    return fail(Exit::infrastructure, "no sources were kept in " + folder.string());
  }
  return source;
}

Result<> keep_source(const Source& source, const fs::path& files, const fs::path& folder,
                     const Cancel& cancel) {
  TRY(write_file(folder / "sources.txt", source.listing));
  // Without times and owners: equal sources are equal archives.
  return output_of({"tar", "-C", files.string(), "--sort=name", "--mtime=@0", "--owner=0",
                    "--group=0", "-czf", (folder / "sources.tar.gz").string(), "."},
                   cancel, 600)
      .map([](const std::string&) {});
}

Result<> export_source(const Source& source, const fs::path& to, const Cancel& cancel) {
  TRY(make_folders(to));
  if (!source.archive.empty()) {
    TRY(output_of({"tar", "-C", to.string(), "-xzf", source.archive.string()}, cancel, 600));
    return {};
  }
  if (!source.worktree) {
    const fs::path archive = to.string() + ".tar";
    std::vector<std::string> words = {"archive",        "--format=tar", "-o",
                                      archive.string(), source.commit,  "--"};
    words.insert(words.end(), source.paths.begin(), source.paths.end());
    TRY(git(source.top, words, cancel));
    auto unpacked = output_of({"tar", "-C", to.string(), "-xf", archive.string()}, cancel, 600);
    remove_tree(archive);
    if (!unpacked) return tl::unexpected(unpacked.error());
    for (const auto& name : walk(to, {"."})) {
      std::error_code error;
      if (plays_no_part(source, name)) fs::remove(to / name, error);
    }
    return {};
  }
  std::vector<std::string> names;
  for (const auto& line : split(source.listing, '\n')) {
    const std::string name = line.substr(line.find('\t') + 1);
    const fs::path target = to / name;
    std::error_code error;
    fs::create_directories(target.parent_path(), error);
    if (!error) fs::copy(source.top / name, target, fs::copy_options::copy_symlinks, error);
    if (error) {
      return fail(Exit::infrastructure,
                  "cannot copy " + (source.top / name).string() + ": " + error.message());
    }
    names.push_back(name);
  }
  const fs::path scratch = to.string() + ".links";
  TRY(make_folders(scratch));
  auto lines = list_files(to, names, scratch, cancel);
  remove_tree(scratch);
  if (!lines) return tl::unexpected(lines.error());
  Source copied = source;
  set_listing(std::move(*lines), copied);
  if (copied.tree != source.tree) {
    return fail(Exit::infrastructure, "the working tree " + source.top.string() +
                                          " changed while it was copied: run again");
  }
  return {};
}

}  // namespace greta::runner
