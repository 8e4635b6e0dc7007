#include "run/recover.h"

#include <signal.h>

#include <charconv>
#include <filesystem>
#include <set>

#include "run/bundle.h"
#include "system/files.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

Result<std::set<std::string>> bundles_where(store::Store& store, const std::string& sql) {
  TRY_ASSIGN(const store::Table table, store.query(sql));
  std::set<std::string> out;
  for (const auto& row : table.rows) out.insert(row.at(0).text);
  return out;
}

bool is_bundle_name(const std::string& name) {
  return name.size() == 64 && name.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::vector<fs::path> folders_in(const fs::path& folder) {
  std::vector<fs::path> out;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->is_directory(error)) out.push_back(it->path());
  }
  return out;
}

Result<> take_in_bundles(store::Store& store, const Layout& layout, Recovered& out) {
  TRY_ASSIGN(const auto known, bundles_where(store, "SELECT bundle FROM bundles"));
  TRY_ASSIGN(const auto used,
             bundles_where(store, "SELECT bundle FROM cells WHERE bundle IS NOT NULL"));
  std::vector<fs::path> unused;
  for (const auto& shelf : folders_in(layout.bundles())) {
    for (const auto& folder : folders_in(shelf)) {
      const std::string name = folder.filename().string();
      if (!is_bundle_name(name) || used.contains(name)) continue;
      if (!known.contains(name)) {
        if (const auto taken = store.ingest_bundle(folder); !taken) {
          out.problems.push_back(taken.error().str());
          continue;
        }
        ++out.bundles;
      }
      unused.push_back(folder);
    }
  }
  if (unused.empty()) return {};
  // The rule of Store::find_cell: only a bundle that is ok as a whole serves other runs.
  TRY_ASSIGN(const auto good,
             bundles_where(store, "SELECT bundle FROM bundles WHERE status = 'ok'"));
  for (const auto& folder : unused) {
    const std::string name = folder.filename().string();
    if (!good.contains(name)) continue;
    TRY_ASSIGN(const auto cells, read_cells(folder));
    for (const auto& cell : cells) {
      if (cell.status == "ok") out.cells[cell.identity] = {.bundle = name, .request = cell.request};
    }
  }
  return {};
}

// An engine on the host dies with its greta, its children need not. They work below the attempt's
// folder, which nobody else does.
int kill_processes_below(const fs::path& folder) {
  int killed = 0;
  std::error_code error;
  const std::string prefix = folder.string() + "/";
  for (fs::directory_iterator it("/proc", error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    int pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ptr !=
            name.data() + name.size() ||
        pid <= 1) {
      continue;
    }
    std::error_code unreadable;
    const std::string where = fs::read_symlink(it->path() / "cwd", unreadable).string();
    if (unreadable || !(where + "/").starts_with(prefix)) continue;
    killed += kill(pid, SIGKILL) == 0;
  }
  return killed;
}

void remove_leftovers(const Layout& layout, Recovered& out) {
  for (const auto& folder : folders_in(layout.temporary())) {
    const std::string owner = owner_of_temporary(folder);
    if (owner.empty() || owner_is_alive(owner)) continue;
    out.processes += kill_processes_below(folder);
    remove_tree(folder);
    ++out.leftovers;
  }
}

}  // namespace

Result<Recovered> recover(store::Store& store, const Layout& layout, const Executor& executor,
                          const Cancel& cancel) {
  Recovered out;
  out.containers = remove_orphans(executor, cancel);  // first: they write into the leftovers
  remove_leftovers(layout, out);
  TRY_ASSIGN(out.runs, store.close_dead_runs());
  TRY(take_in_bundles(store, layout, out));
  return out;
}

}  // namespace greta::runner
