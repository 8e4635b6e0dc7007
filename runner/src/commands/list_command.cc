// greta list: the runs of the store.

#include <nlohmann/json.hpp>

#include "commands/show_command.h"
#include "commands/table_output.h"
#include "system/context.h"

namespace greta::runner {
namespace {

constexpr size_t kShortCommit = 10;

store::Value text_value(std::string text) {
  return {.type = store::Value::Type::text, .integer = 0, .real = 0, .text = std::move(text)};
}

// A run whose greta is gone is not running: closed here, where a person would see it. A store that
// cannot be written is shown as it is.
void close_dead_runs(const Context& context, const std::vector<store::RunSummary>& runs) {
  for (const auto& run : runs) {
    if (run.status != "running") continue;
    if (auto writable = context.open_store(store::Access::read_write))
      static_cast<void>(writable->close_dead_runs());
    return;
  }
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

Result<> list(Context& context, const std::string& milestone) {
  TRY_ASSIGN(store::Store store, context.open_store(store::Access::read_only));
  TRY_ASSIGN(auto runs, store.list(milestone));
  close_dead_runs(context, runs);
  TRY_ASSIGN(runs, store.list(milestone));
  if (runs.empty() && !context.json)
    context.say(milestone.empty() ? "the store holds no runs"
                                  : "no milestone matches " + milestone);
  StandardOutput out;
  out.write(context.json ? as_json(runs) : as_text(runs)) && out.flush();
  return out.failed() ? fail(Exit::infrastructure, "standard output cannot be written")
                      : Result<>();
}

}  // namespace

void register_list(CLI::App& app, Context& context) {
  CLI::App* const command = app.add_subcommand("list", "the runs, newest first");
  const auto milestone = std::make_shared<std::string>();
  command->add_option("--milestone", *milestone, "only milestones that match, e.g. 'B3.2*'");
  command->callback([&context, milestone] {
    if (const auto done = list(context, *milestone); !done) context.fail(done.error());
  });
  register_show(app, context);
}

}  // namespace greta::runner
