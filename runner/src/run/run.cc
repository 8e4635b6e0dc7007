#include "run/run.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include "contract/text.h"
#include "run/baselines.h"
#include "run/plan_command.h"
#include "run/prepare.h"
#include "run/recover.h"
#include "run/run_cells.h"
#include "run/summary.h"
#include "spec/spec_root.h"
#include "store/diff.h"
#include "store/report.h"
#include "system/files.h"
#include "system/json.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

store::RunStart run_start(const Prepared& p, const std::string& purpose,
                          const std::string& replay_of) {
  store::RunStart start;
  start.milestone = p.spec.milestone;
  start.title_json = p.spec.title_json;
  start.prose_json = p.spec.prose_json;
  start.spec_path = p.spec.file.string();
  start.spec_text = p.spec.text;
  start.resolved_json = resolved_json(p);
  start.baseline = p.spec.baseline;
  start.cells_planned = static_cast<int64_t>(p.plan.cells.size());
  start.process_id = getpid();
  start.purpose = purpose;
  start.replay_of = replay_of;
  for (const auto& variant : p.plan.variants) {
    if (provenance_of(variant.flags) != "executed") start.provenance = provenance_of(variant.flags);
  }
  return start;
}

void say_recovered(const Recovered& found, Progress& progress) {
  for (const auto& problem : found.problems) {
    progress.say("warning: a bundle is not in the store: " + problem);
  }
  if (!found.anything()) return;
  std::string line = "recovered from a greta that was killed:";
  const auto add = [&line](int count, const char* what) {
    if (count > 0) line += " " + std::to_string(count) + " " + what + ",";
  };
  add(found.bundles, "complete attempts kept");
  add(found.leftovers, "half ones removed");
  add(found.containers, "containers removed");
  add(found.processes, "processes ended");
  add(found.runs, "runs closed");
  line.pop_back();
  progress.say(line);
}

SortedJson to_json(const store::GateOutcome& gate) {
  return {{"event", "gate"},     {"id", gate.id},         {"status", store::to_string(gate.status)},
          {"rows", gate.rows},   {"failed", gate.failed}, {"measured", gate.measured},
          {"limit", gate.limit}, {"where", gate.where},   {"message", gate.message},
          {"query", gate.query}};
}

// One execution of a spec, from begin_run to the last line.
class Run {
 public:
  Run(const Context& context, const RunOptions& options, const RunTask& task, Prepared prepared,
      std::vector<size_t> wanted, const Layout& layout, store::Store& store, Progress& progress,
      const Cancel& cancel)
      : context_(context),
        options_(options),
        task_(task),
        p_(std::move(prepared)),
        wanted_(std::move(wanted)),
        layout_(layout),
        store_(store),
        progress_(progress),
        cancel_(cancel) {}

  Result<RunDone> execute(std::map<std::string, store::CachedCell> recovered) {
    TRY_ASSIGN(name_, store_.begin_run(run_start(p_, task_.purpose, task_.replay_of)));
    p_.executor.run = name_;
    progress_.event({{"event", "run_started"},
                     {"run", name_},
                     {"milestone", p_.spec.milestone},
                     {"cells", wanted_.size()}});
    const CellsDone cells = run_all(std::move(recovered));
    const bool all_ok = cells.rows.size() == wanted_.size() &&
                        std::all_of(cells.rows.begin(), cells.rows.end(),
                                    [](const auto& row) { return row.status == "ok"; });
    if (cells.interrupted) return interrupted(cells);
    const auto measured = store::evaluate_gates(store_, name_, p_.spec.expect,
                                                [this] { return cancel_.requested(); });
    if (!measured && measured.error().exit_code == static_cast<int>(Exit::interrupted))
      return interrupted(cells);
    TRY_ASSIGN(const auto gates, measured);
    const std::string note = cells.error ? cells.error->str() : "";
    TRY(store_.finish_run(name_, all_ok ? store::RunStatus::complete : store::RunStatus::failed,
                          note.substr(0, note.find('\n'))));
    const int code = exit_code_of(false, all_ok, gates);
    if (task_.purpose == "run") TRY(conclude(cells, gates, code));
    // What this machine did wrong is said last, in full: the summary has its first line only.
    if (cells.error) {
      Error error = *cells.error;
      error.exit_code = worse(code, error.exit_code);
      return tl::unexpected(error);
    }
    return RunDone{name_, code};
  }

 private:
  CellsDone run_all(std::map<std::string, store::CachedCell> recovered) {
    const AttemptSetting setting{.spec = p_.spec,
                                 .plan = p_.plan,
                                 .engines = p_.engines,
                                 .executor = p_.executor,
                                 .machine = p_.machine,
                                 .layout = layout_,
                                 .inputs = p_.inputs,
                                 .lock_json = resolved_json(p_),
                                 .secrets = p_.secrets};
    CellsJob job{.setting = setting,
                 .run = name_,
                 .wanted = wanted_,
                 .recovered = std::move(recovered),
                 .jobs = options_.jobs,
                 .force = options_.force,
                 .fail_fast = options_.fail_fast};
    const auto devices = devices_for(p_.spec.decode.backend, p_.machine);
    if (job.jobs > 1 && devices && devices->route != DeviceRoute::none) {
      progress_.say("-j 1: attempts that use the GPU run one at a time");
      job.jobs = 1;
    }
    return run_cells(job, store_, progress_, cancel_);
  }

  Result<RunDone> interrupted(const CellsDone& cells) {
    TRY(store_.finish_run(name_, store::RunStatus::interrupted, "interrupted"));
    const auto ok = std::count_if(cells.rows.begin(), cells.rows.end(),
                                  [](const auto& row) { return row.status == "ok"; });
    progress_.say("interrupted: " + std::to_string(ok) + " of " + std::to_string(wanted_.size()) +
                  " cells are complete" +
                  (task_.purpose == "replay" ? "" : "; the same command goes on from there"));
    finished("interrupted", static_cast<int>(Exit::interrupted), "");
    return RunDone{name_, static_cast<int>(Exit::interrupted)};
  }

  void finished(const std::string& status, int code, const std::string& report) {
    progress_.event({{"event", "run_finished"},
                     {"run", name_},
                     {"status", status},
                     {"exit_code", code},
                     {"report", report}});
  }

  std::set<std::string> injected() const {
    std::set<std::string> faults;
    for (const auto& variant : p_.plan.variants) {
      const auto fault = variant.flags.find("GRETA_INJECT");
      if (fault != variant.flags.end() && !fault->second.empty()) faults.insert(fault->second);
    }
    return faults;
  }

  void print(const std::string& text) const {
    if (!context_.json) std::fputs(text.c_str(), stdout);
  }

  Result<> conclude(const CellsDone& cells, const std::vector<store::GateOutcome>& gates,
                    int code) {
    print(name_ + ": " + cells_text(cells.rows, wanted_.size()));
    for (const auto& fault : injected()) print("injected on purpose: " + fault + "\n");
    if (!gates.empty()) print("gates\n" + gates_text(gates));
    for (const auto& gate : gates) progress_.event(to_json(gate));
    TRY_ASSIGN(const int64_t id, store_.resolve(name_));
    for (const auto& line : baseline_lines(store_, id, p_.spec)) {
      print("baseline " + line.text + "\n");
      progress_.event({{"event", "baseline"},
                       {"baseline", line.baseline},
                       {"verdict", line.verdict},
                       {"reason", line.reason}});
    }
    TRY_ASSIGN(const auto lints, store::lints(store_, id));
    for (const auto& lint : lints) {
      print("look at " + lint.id + ": " + lint.message + "\n");
      progress_.event(
          {{"event", "lint"}, {"id", lint.id}, {"message", lint.message}, {"query", lint.query}});
    }
    const fs::path report = layout_.reports() / (name_ + ".md");
    TRY_ASSIGN(const std::string text, store::markdown_report(store_, id, store::Language::both));
    TRY(write_file(report, text));
    print("report " + shown_path(report) + "\n");
    std::fflush(stdout);
    const bool complete = code == 0 || code == static_cast<int>(Exit::diverged) ||
                          code == static_cast<int>(Exit::not_measured);
    finished(complete ? "complete" : "failed", code, report.string());
    return {};
  }

  const Context& context_;
  const RunOptions& options_;
  const RunTask& task_;
  Prepared p_;
  std::vector<size_t> wanted_;
  const Layout& layout_;
  store::Store& store_;
  Progress& progress_;
  const Cancel& cancel_;
  std::string name_;
};

}  // namespace

Result<std::vector<size_t>> select_cells(const Spec& spec, const Plan& plan,
                                         const std::vector<std::string>& only) {
  std::vector<std::string> keys = {"variant", "prompt", "repeat"};
  for (const auto& [axis, values] : spec.matrix) keys.push_back(axis);
  std::map<std::string, std::set<std::string>> allowed;
  for (const auto& word : only) {
    const size_t equals = word.find('=');
    const std::string key = word.substr(0, equals);
    if (equals == std::string::npos) {
      return fail(Exit::usage, "--only: `" + printable(word) + "` is not KEY=VALUE");
    }
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      return fail(Exit::usage, "--only: no axis `" + printable(key) + "` in " +
                                   spec.file.filename().string() + did_you_mean(key, keys));
    }
    allowed[key].insert(word.substr(equals + 1));
  }
  const auto value_of = [&](const Cell& cell, const std::string& key) -> std::string {
    const Variant& variant = plan.variants[cell.variant];
    if (key == "variant") return variant.name;
    if (key == "prompt") return spec.prompts[cell.prompt].id;
    if (key == "repeat") return std::to_string(cell.repeat);
    const auto axis = variant.axes.find(key);
    return axis == variant.axes.end() ? "" : axis->second;
  };
  for (const auto& [key, values] : allowed) {
    std::set<std::string> known;
    for (const auto& cell : plan.cells) known.insert(value_of(cell, key));
    for (const auto& value : values) {
      if (known.contains(value)) continue;
      const std::vector<std::string> list(known.begin(), known.end());
      return fail(Exit::usage, "--only: no cell has " + key + "=" + printable(value) +
                                   did_you_mean(value, list));
    }
  }
  std::vector<size_t> out;
  for (size_t i = 0; i < plan.cells.size(); ++i) {
    const bool in = std::all_of(allowed.begin(), allowed.end(), [&](const auto& entry) {
      return entry.second.contains(value_of(plan.cells[i], entry.first));
    });
    if (in) out.push_back(i);
  }
  if (out.empty()) return fail(Exit::usage, "--only leaves no cell of " + spec.milestone);
  return out;
}

namespace {

std::vector<size_t> chosen(const Prepared& p, const std::vector<size_t>& wanted,
                           const std::set<std::tuple<std::string, std::string, int64_t>>& cells) {
  if (cells.empty()) return wanted;
  std::vector<size_t> out;
  for (const size_t index : wanted) {
    const Cell& cell = p.plan.cells[index];
    if (cells.contains(
            {p.plan.variants[cell.variant].name, p.spec.prompts[cell.prompt].id, cell.repeat})) {
      out.push_back(index);
    }
  }
  return out;
}

}  // namespace

int exit_code_of(bool interrupted, bool all_cells_ok,
                 const std::vector<store::GateOutcome>& gates) {
  const auto any = [&](store::GateStatus status) {
    return std::any_of(gates.begin(), gates.end(),
                       [&](const auto& gate) { return gate.status == status; });
  };
  if (interrupted) return static_cast<int>(Exit::interrupted);
  // What did not run whole has no verdict: that comes before what the rest says.
  if (!all_cells_ok) return static_cast<int>(Exit::infrastructure);
  if (any(store::GateStatus::error)) return static_cast<int>(Exit::usage);
  if (any(store::GateStatus::fail)) return static_cast<int>(Exit::diverged);
  if (any(store::GateStatus::not_measured)) return static_cast<int>(Exit::not_measured);
  return 0;
}

int worse(int a, int b) {
  const int order[] = {130, 2, 4, 1, 5, 3, 0};
  for (const int code : order) {
    if (a == code || b == code) return code;
  }
  return std::max(a, b);
}

Result<RunDone> run_task(const Context& context, const RunOptions& options, RunTask task,
                         Progress& progress, const Cancel& cancel) {
  const fs::path store_file = context.find_store();
  if (!fs::exists(store_file)) progress.say("a new store: " + shown_path(store_file));
  TRY_ASSIGN(const Layout layout, make_layout(store_file));
  TRY_ASSIGN(Executor executor, choose_executor(options.executor, cancel));
  executor.label = layout.label;
  if (executor.isolated()) {
    progress.detail(executor.version() + ": " + executor.tool.found);
  } else {
    progress.say("executor host: the engine runs without isolation");
  }
  TRY_ASSIGN(store::Store store, context.open_store(store::Access::read_write));
  TRY_ASSIGN(Recovered recovered, recover(store, layout, executor, cancel));
  say_recovered(recovered, progress);
  if (task.purpose == "run") TRY(check_baselines(store, task.spec));
  bring_in_partners(store, task.spec);
  for (const auto& warning : partner_warnings(store, task.spec))
    progress.say("warning: " + warning);
  TRY_ASSIGN(Prepared prepared, prepare(task.spec, executor, task.pins, layout, progress, cancel));
  const fs::path lock_file = lock_file_of(task.spec.file);
  if (task.locked)
    TRY(check_engines_are_locked(*task.locked, prepared.engines, prepared.inputs.model_sha256,
                                 lock_file));
  if (options.lock) {
    TRY(write_file(lock_file,
                   nlohmann::ordered_json::parse(resolved_json(prepared)).dump(1) + "\n"));
    progress.say("locked: " + shown_path(lock_file));
  }
  TRY_ASSIGN(const auto wanted, select_cells(prepared.spec, prepared.plan, options.only));
  auto cells = chosen(prepared, wanted, task.cells);
  return Run(context, options, task, std::move(prepared), std::move(cells), layout, store, progress,
             cancel)
      .execute(std::move(recovered.cells));
}

Result<int> run_spec(const Context& context, const RunOptions& options, const std::string& spec,
                     Progress& progress, const Cancel& cancel) {
  RunTask task;
  LoadOptions load;
  load.vars = options.vars;
  TRY_ASSIGN(task.spec, load_spec(spec, load));
  for (const auto& warning : task.spec.warnings) progress.say("warning: " + warning);
  if (options.dry_run) {
    TRY_ASSIGN(const auto variants, expand_variants(task.spec));
    const std::string text =
        context.json ? plan_json({task.spec}, {variants}) : plan_text(task.spec, variants);
    std::fputs(text.c_str(), stdout);
    return 0;
  }
  if (options.locked) {
    const fs::path file = lock_file_of(task.spec.file);
    const auto text = read_file(file);
    if (!text) {
      return fail(Exit::usage, "--locked: no lock to obey (" + text.error().message +
                                   "): `greta run --lock` writes it");
    }
    auto lock = read_lock(*text);
    if (!lock) {
      lock.error().file = shown_path(file);
      return tl::unexpected(lock.error());
    }
    TRY(check_spec_is_locked(*lock, task.spec, file));
    for (const auto& engine : lock->engines) task.pins.push_back(pin_of(engine));
    task.locked = std::move(*lock);
  }
  return run_task(context, options, std::move(task), progress, cancel).map([](const RunDone& done) {
    return done.exit_code;
  });
}

}  // namespace greta::runner
