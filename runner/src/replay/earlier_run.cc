#include "replay/earlier_run.h"

#include "run/history.h"

namespace greta::runner {
namespace {

tl::unexpected<Error> not_replayable(const std::string& run, const std::string& why) {
  return fail(Exit::not_comparable, "not replayable: " + run + ": " + why);
}

// A milestone of which there are only figures from a report.
Result<store::Selection> select_run(store::Store& store, const std::string& selector) {
  std::error_code error;
  const auto root = find_history(std::filesystem::current_path(error)).parent_path().parent_path();
  auto found = select_with_history(store, selector, root);
  if (!found) {
    auto recorded = select_with_history(store, selector + "@recorded", root);
    if (recorded) found = std::move(recorded);
  }
  if (found && found->provenance == "recorded") {
    return not_replayable(found->name,
                          "recorded figures, typed in from a report: there is no engine, model or "
                          "prompt behind them that could run again");
  }
  return found;
}

}  // namespace

Error as_not_replayable(Error error, const std::string& run) {
  const bool ours = error.exit_code == static_cast<int>(Exit::usage) ||
                    error.exit_code == static_cast<int>(Exit::not_comparable);
  if (!ours || error.message.starts_with("not replayable")) return error;
  return Error{.message = "not replayable: " + run + ": " + error.message,
               .exit_code = static_cast<int>(Exit::not_comparable)};
}

Result<EarlierRun> earlier_run(store::Store& store, const std::string& selector) {
  TRY_ASSIGN(const store::Selection selection, select_run(store, selector));
  EarlierRun out;
  out.id = selection.run;
  out.name = selection.name;
  out.milestone = selection.milestone;
  TRY_ASSIGN(const store::Table run,
             store.query("SELECT resolved, spec_path FROM runs", selection.run));
  auto lock = read_lock(run.rows.at(0).at(0).text);
  if (!lock) return not_replayable(out.name, lock.error().message);
  out.lock = std::move(*lock);
  LoadOptions load;
  load.text = out.lock.spec;
  auto spec = load_spec(run.rows[0][1].text, load);
  if (!spec) return not_replayable(out.name, spec.error().str());
  out.spec = std::move(*spec);
  if (out.spec.engines.size() != out.lock.engines.size()) {
    return not_replayable(out.name, "its lock has another number of engines than its spec");
  }
  out.spec.model_sha256 = out.lock.model_sha256;
  // Lines of a text that nobody wrote help nobody.
  for (auto& [key, place] : out.spec.places) place.line = place.column = 0;
  for (auto& engine : out.spec.engines) engine.place.line = engine.place.column = 0;
  out.spec.model_place.line = out.spec.model_place.column = 0;
  TRY_ASSIGN(const store::Table cells,
             store.query("SELECT variant, prompt, repeat FROM cells", selection.run));
  for (const auto& row : cells.rows) {
    out.cells.insert({row.at(0).text, row.at(1).text, row.at(2).integer});
  }
  return out;
}

}  // namespace greta::runner
