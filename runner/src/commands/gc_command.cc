// greta gc: removes what nothing needs, and the runs that it is told to.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <set>

#include "commands/option_checks.h"
#include "contract/text.h"
#include "store/care.h"
#include "system/context.h"
#include "system/files.h"
#include "system/json.h"
#include "system/layout.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

struct GcOptions {
  std::vector<std::string> runs;
  std::string milestone;
  double older_than_days = -1, unused_days = 14;
  int64_t keep_last = -1;
  bool probes = false, dry_run = false;
};

std::string days_ago(double days) {
  return utc_time(std::chrono::system_clock::now() -
                  std::chrono::seconds(static_cast<int64_t>(days * 86400)));
}

// The runs that the options mean. Accepted ones stay whatever they say, as do running ones;
// recorded ones only go by name.
Result<std::vector<store::RunSummary>> runs_to_remove(store::Store& store,
                                                      const GcOptions& options) {
  std::vector<store::RunSummary> out;
  TRY_ASSIGN(const auto all, store.list({.milestone = options.milestone}));
  for (const std::string& name : options.runs) {
    TRY_ASSIGN(const store::Selection selection, store.select(name));
    TRY_ASSIGN(const auto everything, store.list());
    const auto at = std::find_if(everything.begin(), everything.end(),
                                 [&](const auto& run) { return run.id == selection.run; });
    if (selection.why != store::Selection::Why::exact)
      return fail(Exit::usage, printable(name) + " names no run but a milestone; its latest is " +
                                   selection.name);
    if (at->accepted)
      return fail(Exit::usage, at->run + " is the accepted run of " + at->milestone +
                                   ": accept another one before it goes");
    if (at->status == "running") return fail(Exit::usage, at->run + " is running");
    out.push_back(*at);
  }
  const bool by_rule = options.older_than_days >= 0 || options.keep_last >= 0 || options.probes;
  if (!by_rule) return out;
  const std::string before =
      options.older_than_days >= 0 ? days_ago(options.older_than_days) : "9999";
  std::map<std::string, int64_t> seen;
  for (const store::RunSummary& run : all) {  // newest first
    if (run.provenance == "recorded" || run.status == "running") continue;
    const bool counts = run.purpose == "run";
    const int64_t place = counts ? seen[run.milestone]++ : options.keep_last;
    if (run.accepted || run.started_at >= before) continue;
    if (options.keep_last >= 0 && place < options.keep_last) continue;
    if (options.probes && run.purpose != "probe") continue;
    out.push_back(run);
  }
  return out;
}

// Engines that were built for runs, and that no run names any more.
Result<std::vector<fs::path>> unused_engines(store::Store& store, const Layout& layout) {
  std::vector<fs::path> out;
  std::error_code error;
  for (fs::directory_iterator it(layout.engines(), error), end; !error && it != end;
       it.increment(error)) {
    const std::string key = it->path().filename().string();
    if (key.size() != 64) continue;
    TRY_ASSIGN(
        const store::Table used,
        store.query("SELECT EXISTS (SELECT 1 FROM runs WHERE instr(resolved, '" + key +
                    "')) OR EXISTS (SELECT 1 FROM environment WHERE value = '" + key + "')"));
    if (used.rows.at(0).at(0).integer == 0) out.push_back(it->path());
  }
  return out;
}

int64_t size_of(const fs::path& folder) {
  int64_t bytes = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code ignored;
    if (it->is_regular_file(ignored)) bytes += static_cast<int64_t>(it->file_size(ignored));
  }
  return bytes;
}

Result<> gc(Context& context, const GcOptions& options) {
  TRY_ASSIGN(store::Store store, context.open_store_to_change());
  TRY(store.close_dead_runs());
  const fs::path file = context.find_store();
  const Layout layout = layout_of(file);
  TRY_ASSIGN(const auto going, runs_to_remove(store, options));
  std::vector<int64_t> runs;
  for (const auto& run : going) runs.push_back(run.id);
  const std::string before = days_ago(options.unused_days);
  TRY_ASSIGN(store::Unused unused, store::find_unused(store, runs, before));

  const auto bytes_of_store = [&] {
    std::error_code ignored;
    const auto size = fs::file_size(file, ignored);
    return ignored ? 0 : static_cast<int64_t>(size);
  };
  const int64_t store_before = bytes_of_store();
  if (!options.dry_run && (!runs.empty() || !unused.bundles.empty() || unused.files > 0)) {
    TRY_ASSIGN(unused, store::remove_unused(store, runs, before));
    TRY(store::compact(store));
  }
  TRY_ASSIGN(const auto engines, unused_engines(store, layout));
  std::vector<fs::path> folders(engines.begin(), engines.end());
  for (const std::string& hash : unused.bundles)
    folders.push_back(layout.bundles() / hash.substr(0, 2) / hash);
  for (const auto& run : going) folders.push_back(layout.reports() / (run.run + ".md"));
  int64_t freed = 0;
  for (const fs::path& folder : folders) {
    std::error_code ignored;
    freed += fs::is_regular_file(folder, ignored)
                 ? static_cast<int64_t>(fs::file_size(folder, ignored))
                 : size_of(folder);
    if (!options.dry_run) fs::remove_all(folder, ignored);
  }
  const int64_t in_store = options.dry_run ? unused.bytes : store_before - bytes_of_store();
  if (context.json) {
    Json names = Json::array();
    for (const auto& run : going) names.push_back(run.run);
    std::printf("%s\n", Json({{"dry_run", options.dry_run},
                              {"runs", names},
                              {"bundles", unused.bundles},
                              {"engines", engines.size()},
                              {"store_bytes", in_store},
                              {"folder_bytes", freed}})
                            .dump(2)
                            .c_str());
    return {};
  }
  for (const auto& run : going)
    std::printf("%s %s\n", options.dry_run ? "would remove" : "removed", run.run.c_str());
  std::printf("%s%zu runs, %zu bundles, %zu engines; %s %s in the store, %s beside it\n",
              options.dry_run ? "would remove " : "removed ", going.size(), unused.bundles.size(),
              engines.size(), options.dry_run ? "up to" : "gave back",
              human_bytes(static_cast<double>(std::max<int64_t>(in_store, 0))).c_str(),
              human_bytes(static_cast<double>(freed)).c_str());
  return {};
}

}  // namespace

void register_gc(CLI::App& app, Context& context) {
  CLI::App* const command =
      app.add_subcommand("gc", "remove what no run needs, and the runs that you name");
  const auto options = std::make_shared<GcOptions>();
  command->add_option("RUN", options->runs, "runs to remove, by name");
  command
      ->add_option("--older-than", options->older_than_days,
                   "remove runs that started more than N days ago")
      ->check(not_negative());
  command->add_option("--keep-last", options->keep_last, "keep the N newest runs of each milestone")
      ->check(not_negative());
  command
      ->add_option("--milestone", options->milestone,
                   "rules apply to milestones that match, e.g. 'B3.2*'")
      ->check(not_empty());
  command->add_flag("--probes", options->probes, "rules apply to the probes of bisections");
  command
      ->add_option("--unused", options->unused_days,
                   "bundles of no run go after N days; a stopped run may still take them "
                   "(default 14)")
      ->check(not_negative());
  command->add_flag("-n,--dry-run", options->dry_run, "say what would go, and remove nothing");
  command->footer(
      "Without a run or a rule only leftovers go: bundles of no run, engines of no run. Accepted\n"
      "and running runs stay; recorded ones go by name only. Several rules: a run goes when all "
      "of\n"
      "them say so. What another run uses too is kept.");
  command->callback([&context, options] {
    if (const auto done = gc(context, *options); !done) context.fail(done.error());
  });
}

}  // namespace greta::runner
