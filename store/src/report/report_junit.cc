// A run for CI: its gates, its lints and its cells are the cases.

#include "compare/run_info.h"
#include "store/diff.h"
#include "store/gates.h"
#include "store/report.h"
#include "text/junit.h"
#include "text/markdown.h"

namespace greta::store {
namespace {

JunitCase of_gate(const GateOutcome& gate, const std::string& run) {
  JunitCase out{.group = "gates", .name = gate.id};
  if (gate.status == GateStatus::pass) return out;
  // What measured nothing is no failure of the engine: the experiment is at fault.
  out.outcome =
      gate.status == GateStatus::fail ? JunitCase::Outcome::failed : JunitCase::Outcome::error;
  out.type = to_string(gate.status);
  out.message = gate.message;
  if (!gate.query.empty()) out.detail = query_command(query_scope(gate, run), gate.query);
  return out;
}

// A lint changes no verdict, so CI shows it (a skipped case has a message) and does not stop for
// it.
JunitCase of_lint(const Lint& lint, const std::string& run) {
  return {.outcome = JunitCase::Outcome::skipped,
          .group = "lints",
          .name = lint.id,
          .message = lint.message,
          .detail = query_command(run, lint.query)};
}

}  // namespace

Result<std::string> junit_report(Store& store, int64_t run) {
  TRY_ASSIGN(const Table about,
             select(store, run,
                    "SELECT run, started_at, milestone, \"commit\", status, provenance,"
                    " (SELECT ifnull(sum(wall_s), 0) FROM bundles) FROM runs"));
  const auto& row = about.rows.at(0);
  const std::string name = value_text(row[0]);
  JunitSuite suite{.name = "greta run " + name,
                   .timestamp = row[1].text,
                   .seconds = row[6].type == Value::Type::real ? row[6].real : 0,
                   .properties = {{"milestone", row[2].text},
                                  {"commit", row[3].text},
                                  {"status", row[4].text},
                                  {"provenance", row[5].text}},
                   .cases = {}};
  TRY_ASSIGN(const auto gates, stored_gates(store, run));
  for (const GateOutcome& gate : gates) suite.cases.push_back(of_gate(gate, name));
  TRY_ASSIGN(const auto found, lints(store, run));
  for (const Lint& lint : found) suite.cases.push_back(of_lint(lint, name));
  if (found.empty()) suite.cases.push_back({.group = "lints", .name = "nothing suspicious"});
  TRY_ASSIGN(const Table cells, select(store, run,
                                       "SELECT variant, prompt, repeat, status, reason FROM cells"
                                       " ORDER BY variant, prompt, repeat"));
  for (const auto& cell : cells.rows) {
    JunitCase each{.group = "cells",
                   .name = value_text(cell[0]) + ", " + value_text(cell[1]) + ", repeat " +
                           value_text(cell[2])};
    if (cell[3].text != "ok") {
      each.outcome = JunitCase::Outcome::error;
      each.type = cell[3].text;
      each.message = cell[4].text;
    }
    suite.cases.push_back(std::move(each));
  }
  return to_junit(suite);
}

}  // namespace greta::store
