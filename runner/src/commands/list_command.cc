// greta list: the runs of the store.

#include <algorithm>
#include <nlohmann/json.hpp>

#include "commands/option_checks.h"
#include "commands/show_command.h"
#include "commands/table_output.h"
#include "contract/text.h"
#include "system/context.h"

namespace greta::runner {
namespace {

constexpr size_t kShortCommit = 10;

store::Value text_value(std::string text) {
  return {.type = store::Value::Type::text, .integer = 0, .real = 0, .text = std::move(text)};
}

std::string as_text(const std::vector<store::RunSummary>& runs) {
  store::Table table;
  table.columns = {"run",   "milestone", "status", "provenance", "started",
                   "cells", "gates",     "commit", "accepted"};
  for (const auto& run : runs) {
    table.rows.push_back(
        {text_value(run.run), text_value(run.milestone), text_value(run.status),
         text_value(run.provenance + (run.purpose == "run" ? "" : ", " + run.purpose)),
         text_value(run.started_at.substr(0, 16)),
         text_value(std::to_string(run.cells_ok) + "/" + std::to_string(run.cells)),
         text_value(run.gates), text_value(run.commit.substr(0, kShortCommit)),
         text_value(run.accepted ? "yes" : "")});
  }
  return table_text(table, TableFormat::text);
}

std::string as_json(const std::vector<store::RunSummary>& runs) {
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (const auto& run : runs) {
    out.push_back({{"run", run.run},
                   {"milestone", run.milestone},
                   {"status", run.status},
                   {"provenance", run.provenance},
                   {"purpose", run.purpose},
                   {"started_at", run.started_at},
                   {"ended_at", run.ended_at},
                   {"commit", run.commit},
                   {"cells", run.cells},
                   {"cells_ok", run.cells_ok},
                   {"gates", run.gates},
                   {"accepted", run.accepted}});
  }
  return out.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

constexpr int64_t kMostRows = 100;  // of a table, unless told

struct ListOptions {
  store::RunFilter filter;
  int64_t most = -1;
  bool all = false;
};

const std::vector<std::string> kStatuses = {"running", "complete", "partial", "failed",
                                            "interrupted"};
const std::vector<std::string> kProvenances = {"recorded", "executed", "reenacted"};

Result<> must_be_one_of(const char* option, const std::string& word,
                        const std::vector<std::string>& words) {
  if (word.empty() || std::find(words.begin(), words.end(), word) != words.end()) return {};
  return fail(Exit::usage, std::string(option) + " " + printable(word) + ": it is one of " +
                               joined(words) + did_you_mean(word, words));
}

Result<> list(Context& context, const ListOptions& options) {
  TRY(must_be_one_of("--status", options.filter.status, kStatuses));
  TRY(must_be_one_of("--provenance", options.filter.provenance, kProvenances));
  TRY_ASSIGN(store::Store store, context.open_store(store::Access::read_only));
  // A run whose greta is gone is not running: closed here, where a person would see it. A store
  // that cannot be written is shown as it is.
  TRY_ASSIGN(const int64_t running, store.count({.status = "running"}));
  if (running > 0) {
    if (auto writable = context.open_store(store::Access::read_write))
      static_cast<void>(writable->close_dead_runs());
  }
  int64_t most = options.most;
  if (most < 0 && !options.all && !context.json) most = kMostRows;
  TRY_ASSIGN(const auto runs, store.list(options.filter, most));
  TRY_ASSIGN(const int64_t all, store.count(options.filter));
  if (all == 0 && !context.json) {
    const std::string& milestone = options.filter.milestone;
    TRY_ASSIGN(const int64_t any, store.count({}));
    TRY_ASSIGN(const int64_t named, store.count({.milestone = milestone}));
    context.say(any == 0     ? "the store holds no runs"
                : named == 0 ? "no milestone matches " + printable(milestone)
                             : "no run is like that");
  }
  StandardOutput out;
  out.write(context.json ? as_json(runs) : as_text(runs)) && out.flush();
  if (const int64_t more = all - static_cast<int64_t>(runs.size()); more > 0)
    context.say(std::to_string(more) + " older runs are not shown: --all");
  return out.failed() ? fail(Exit::infrastructure, "standard output cannot be written")
                      : Result<>();
}

}  // namespace

void register_list(CLI::App& app, Context& context) {
  CLI::App* const command = app.add_subcommand("list", "the runs, newest first");
  const auto options = std::make_shared<ListOptions>();
  command
      ->add_option("--milestone", options->filter.milestone,
                   "only milestones that match, e.g. 'B3.2*'")
      ->check(not_empty());
  command
      ->add_option("--status", options->filter.status,
                   "only running, complete, partial, failed or interrupted ones")
      ->check(not_empty());
  command
      ->add_option("--provenance", options->filter.provenance,
                   "only recorded, executed or reenacted ones")
      ->check(not_empty());
  command
      ->add_option("--commit", options->filter.commit,
                   "only those of the commits that begin like this")
      ->check(not_empty());
  CLI::Option* const most =
      command->add_option("-n,--limit", options->most, "the N newest; a table shows 100")
          ->check(not_negative());
  command->add_flag("--all", options->all, "all of them; --json has them unless --limit is given")
      ->excludes(most);
  command->footer("exit code: 0 answered, also by no run; 2 not understood or no store");
  command->callback([&context, options] {
    if (const auto done = list(context, *options); !done) context.fail(done.error());
  });
  register_show(app, context);
}

}  // namespace greta::runner
