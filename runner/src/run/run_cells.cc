#include "run/run_cells.h"

#include <algorithm>
#include <iterator>
#include <mutex>
#include <set>
#include <thread>

#include "system/json.h"
#include "system/lock.h"

namespace greta::runner {
namespace {

class Loop {
 public:
  Loop(const CellsJob& job, store::Store& store, Progress& progress, const Cancel& cancel)
      : job_(job), plan_(job.setting.plan), store_(store), progress_(progress), cancel_(cancel) {}

  CellsDone run() {
    if (auto cached = take_all_known(); !cached) done_.error = cached.error();
    group();
    std::vector<std::thread> workers;
    const size_t count = std::min<size_t>(static_cast<size_t>(job_.jobs), groups_.size());
    for (size_t i = 1; i < count; ++i) workers.emplace_back([this] { work(); });
    work();
    for (auto& worker : workers) worker.join();
    done_.interrupted = cancel_.requested();
    std::sort(rows_.begin(), rows_.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    for (auto& [index, row] : rows_) done_.rows.push_back(std::move(row));
    return std::move(done_);
  }

 private:
  store::CellRow row_of(size_t index) const {
    const Cell& cell = plan_.cells[index];
    const Variant& variant = plan_.variants[cell.variant];
    store::CellRow row;
    row.identity = cell.identity;
    row.variant = variant.name;
    row.variant_json =
        SortedJson(variant.axes).dump(-1, ' ', false, SortedJson::error_handler_t::replace);
    row.prompt = row.request = job_.setting.spec.prompts[cell.prompt].id;
    row.repeat = cell.repeat;
    return row;
  }

  using Row = std::pair<size_t, store::CellRow>;  // with its cell's index in the plan

  // All in one transaction: half an attempt in the store would run the other half again.
  Result<> keep(std::vector<Row> rows) {
    if (rows.empty()) return {};
    std::vector<store::CellRow> cells;
    for (const auto& [index, row] : rows) cells.push_back(row);
    TRY(store_.add_cells(job_.run, cells));
    for (const auto& row : cells) {
      progress_.event({{"event", "cell"},
                       {"run", job_.run},
                       {"variant", row.variant},
                       {"prompt", row.prompt},
                       {"repeat", row.repeat},
                       {"status", row.status},
                       {"reason", row.reason},
                       {"cached", row.cached},
                       {"bundle", row.bundle}});
    }
    std::move(rows.begin(), rows.end(), std::back_inserter(rows_));
    return {};
  }

  // The row of a cell that needs no execution.
  Result<std::optional<store::CellRow>> known_row(size_t index) {
    if (job_.force) return std::nullopt;
    store::CellRow row = row_of(index);
    TRY_ASSIGN(auto known, store_.find_cell(row.identity));
    if (!known) {
      const auto recovered = job_.recovered.find(row.identity);
      if (recovered == job_.recovered.end()) return std::nullopt;
      known = recovered->second;
    }
    row.status = "ok";
    row.bundle = known->bundle;
    row.request = known->request;
    row.cached = true;
    return row;
  }

  // Puts the cells that are known into the store with the run; answers the others.
  Result<std::vector<size_t>> take_known(const std::vector<size_t>& cells) {
    std::vector<Row> rows;
    std::vector<size_t> missing;
    for (const size_t index : cells) {
      TRY_ASSIGN(auto row, known_row(index));
      if (row) {
        rows.emplace_back(index, std::move(*row));
      } else {
        missing.push_back(index);
      }
    }
    TRY(keep(std::move(rows)));
    return missing;
  }

  Result<> take_all_known() {
    TRY_ASSIGN(const auto missing, take_known(job_.wanted));
    missing_.insert(missing.begin(), missing.end());
    return {};
  }

  void group() {
    if (done_.error) return;
    for (const auto& attempt : plan_.attempts) {
      std::vector<size_t> group;
      for (const size_t index : attempt) {
        if (missing_.contains(index)) group.push_back(index);
      }
      if (group.empty()) continue;
      const Variant& variant = plan_.variants[plan_.cells[group[0]].variant];
      if (job_.setting.spec.engines[variant.engine].adapter.request_mode == "one") {
        for (const size_t index : group) groups_.push_back({index});
      } else {
        groups_.push_back(std::move(group));
      }
    }
  }

  void work() {
    for (;;) {
      size_t mine = 0;
      {
        const std::lock_guard lock(mutex_);
        if (next_ == groups_.size() || stop_ || cancel_.requested()) return;
        mine = next_++;
      }
      if (auto result = run_group(mine); !result && !cancel_.requested()) {
        const std::lock_guard lock(mutex_);
        if (!done_.error) done_.error = result.error();
        stop_ = true;
      }
    }
  }

  std::string title(size_t group, const std::vector<size_t>& cells) const {
    const Cell& first = plan_.cells[cells[0]];
    std::string out = job_.setting.spec.milestone + " [" + std::to_string(group + 1) + "/" +
                      std::to_string(groups_.size()) + "] " + plan_.variants[first.variant].name;
    if (job_.setting.spec.repeat > 1) out += ", repeat " + std::to_string(first.repeat + 1);
    if (cells.size() == 1) {
      return out + ", " + job_.setting.spec.prompts[first.prompt].id;
    }
    return out + ", " + std::to_string(cells.size()) + " prompts";
  }

  Result<std::vector<FileLock>> lock_cells(const std::vector<size_t>& cells) {
    // In one order everywhere, so that two processes never wait for each other.
    std::set<std::string> names;
    for (const size_t index : cells) names.insert(plan_.cells[index].identity);
    std::vector<FileLock> locks;
    for (const auto& name : names) {
      TRY_ASSIGN(FileLock lock,
                 FileLock::acquire(job_.setting.layout.locks() / ("cell-" + name), cancel_, [&] {
                   progress_.say("waiting for another greta that runs the same cells");
                 }));
      locks.push_back(std::move(lock));
    }
    return locks;
  }

  Result<> run_group(size_t group) {
    std::vector<size_t> cells = groups_[group];
    TRY_ASSIGN(const auto locks, lock_cells(cells));
    {
      // Another greta may have run them while we waited for the locks.
      const std::lock_guard lock(mutex_);
      TRY_ASSIGN(cells, take_known(cells));
    }
    if (cells.empty()) return {};
    const std::string what = title(group, cells);
    auto step = progress_.begin(what);
    progress_.event({{"event", "attempt_started"}, {"run", job_.run}, {"what", what}});
    auto attempt = run_attempt(
        job_.setting, cells, [&](const std::string& line) { progress_.say(what + ": " + line); },
        cancel_);
    const std::lock_guard lock(mutex_);
    if (!attempt) {
      if (!cancel_.requested()) TRY(keep_failed(cells, attempt.error()));
      return tl::unexpected(attempt.error());
    }
    const Manifest& manifest = attempt->manifest;
    TRY_ASSIGN(const std::string hash, store_.ingest_bundle(attempt->bundle));
    std::vector<Row> rows;
    for (size_t i = 0; i < cells.size(); ++i) {
      store::CellRow row = row_of(cells[i]);
      row.status = manifest.cells[i].status;
      row.reason = manifest.cells[i].reason;
      row.bundle = hash;
      rows.emplace_back(cells[i], std::move(row));
    }
    TRY(keep(std::move(rows)));
    const bool ok = manifest.status == "ok";
    if (!ok && job_.fail_fast) stop_ = true;
    step.done(what + ": " + (ok ? "ok" : manifest.status + ": " + manifest.reason));
    if (!ok) progress_.say("  kept as failed: " + attempt->bundle.string());
    progress_.event({{"event", "attempt_finished"},
                     {"run", job_.run},
                     {"what", what},
                     {"status", manifest.status},
                     {"reason", manifest.reason},
                     {"wall_s", manifest.wall_s},
                     {"bundle", attempt->bundle.string()}});
    return {};
  }

  // An attempt that could not even be made has no bundle; the cells say why all the same.
  Result<> keep_failed(const std::vector<size_t>& cells, const Error& error) {
    std::vector<Row> rows;
    for (const size_t index : cells) {
      store::CellRow row = row_of(index);
      row.status = "failed";
      row.reason = error.message.substr(0, error.message.find('\n'));
      rows.emplace_back(index, std::move(row));
    }
    return keep(std::move(rows));
  }

  const CellsJob& job_;
  const Plan& plan_;
  store::Store& store_;
  Progress& progress_;
  const Cancel& cancel_;
  std::mutex mutex_;  // the store, and everything below
  std::set<size_t> missing_;
  std::vector<std::vector<size_t>> groups_;
  std::vector<Row> rows_;
  size_t next_ = 0;
  bool stop_ = false;
  CellsDone done_;
};

}  // namespace

CellsDone run_cells(const CellsJob& job, store::Store& store, Progress& progress,
                    const Cancel& cancel) {
  return Loop(job, store, progress, cancel).run();
}

}  // namespace greta::runner
