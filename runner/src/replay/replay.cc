#include "replay/replay.h"

#include "replay/earlier_run.h"
#include "run/model.h"

namespace greta::runner {
namespace {

Result<bool> same_programs(store::Store& store, int64_t a, int64_t b) {
  const char* const kPrograms =
      "SELECT DISTINCT variant, value FROM environment WHERE key = 'binary_sha256' ORDER BY 1, 2";
  TRY_ASSIGN(const store::Table before, store.query(kPrograms, a));
  TRY_ASSIGN(const store::Table now, store.query(kPrograms, b));
  const auto same = [](const auto& x, const auto& y) {
    return x.at(0).text == y.at(0).text && x.at(1).text == y.at(1).text;
  };
  return std::equal(before.rows.begin(), before.rows.end(), now.rows.begin(), now.rows.end(), same);
}

}  // namespace

Result<Replayed> replay(const Context& context, const ReplayOptions& options, Progress& progress,
                        const Cancel& cancel) {
  TRY_ASSIGN(store::Store store, context.open_store(store::Access::read_write));
  TRY_ASSIGN(EarlierRun earlier, earlier_run(store, options.selector));
  RunTask task;
  task.spec = std::move(earlier.spec);
  if (!options.model.empty()) task.spec.model_file = std::filesystem::absolute(options.model);
  if (const auto model = check_model(task.spec, progress); !model) {
    return fail(Exit::not_comparable, "not replayable: " + earlier.name + ": " +
                                          model.error().message +
                                          "\n  (--model FILE says where it is now)");
  }
  for (const LockedEngine& engine : earlier.lock.engines) {
    task.pins.push_back(pin_of(engine));
    task.pins.back().rebuild = options.rebuild;
  }
  task.purpose = "replay";
  task.replay_of = earlier.name;
  task.cells = std::move(earlier.cells);
  RunOptions run;
  run.executor = options.executor.empty() ? earlier.lock.executor : options.executor;
  run.jobs = options.jobs;
  run.force = true;
  const auto ran = run_task(context, run, std::move(task), progress, cancel);
  if (!ran) return tl::unexpected(as_not_replayable(ran.error(), earlier.name));
  const RunDone& done = *ran;
  if (done.exit_code == static_cast<int>(Exit::interrupted)) {
    return fail(Exit::interrupted, "interrupted");
  }
  Replayed out;
  out.of = earlier.name;
  out.run = done.run;
  out.complete = done.exit_code != static_cast<int>(Exit::infrastructure);
  TRY_ASSIGN(const int64_t id, store.resolve(done.run));
  TRY_ASSIGN(out.same_program, same_programs(store, earlier.id, id));
  TRY_ASSIGN(out.diff, store::diff(store, earlier.id, id));
  return out;
}

}  // namespace greta::runner
