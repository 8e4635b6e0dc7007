#pragma once
// One metric over time: a point a run (or commit, milestone, day) in each series, in order of the
// runs' start. The order of commits is that of their runs: git is not asked.

#include <optional>
#include <string>
#include <vector>

#include "store/metric.h"
#include "store/statistics.h"

namespace greta::store {

struct HistoryQuestion {
  // Its `agg` is that of a point, its `by` what tells the series apart, its `limit` how many runs
  // have points: the newest that have any (0: all of them).
  MetricQuestion metric;
  std::string point = "run";  // run, commit, milestone, day
};

struct HistoryPoint {
  size_t series = 0;       // index into History::series
  size_t place = 0;        // on the axis of time: points of one run, commit, … share theirs
  std::string run;         // of `runs` the first by name
  std::string milestone;   // of several the names, with commas
  std::string started_at;  // of the first to begin
  std::string commit;      // "" when unknown, or of several
  std::string provenance;  // executed, recorded, reenacted
  int64_t runs = 1, records = 0;
  Value value;
  double number = 0;                 // `value`; NaN and infinities as such, NaN for texts
  std::vector<double> samples;       // timings: every finite value
  std::optional<Interval> interval;  // timings of enough samples: of the median, 95 %
  // Against the point before in its series, of the same provenance and (timings) machine.
  std::optional<double> change;                // of numbers
  std::optional<SampleComparison> comparison;  // timings
  std::string machine;                         // timings: the device, else the CPU; "" when unknown
};

// Where the timings of a series went over to another level.
struct HistoryChange {
  size_t point = 0;  // index into History::points: the first of the new level
  ChangePoint change;
  SampleComparison levels;  // all samples of the level before with all of the one after
};

struct History {
  std::string sql;     // gives the points
  std::string metric;  // "readout.gap"; "gap" where several kinds have it
  std::string agg, unit;
  bool timing = false, numeric = true;
  std::vector<std::string> series;    // "p4_sys, manual"; one empty name where nothing varies
  std::vector<std::string> constant;  // what all series share: "prompt p4_sys"
  std::vector<HistoryPoint> points;   // in order of time
  std::vector<HistoryChange> changes;
  bool older = false;              // there are runs with points that `limit` left out
  std::vector<std::string> notes;  // as metric_notes
};

// Runs with a fault injected on purpose, replays and probes of a bisection are left out, unless a
// filter names `run` or `provenance`.
// Errors (usage): as metric_query; an unknown `point`.
Result<History> metric_history(Store& store, const HistoryQuestion& question,
                               const Cancelled& cancelled);
// The query of that history, without running it.
Result<std::string> history_sql(Store& store, const HistoryQuestion& question,
                                const Cancelled& cancelled);

}  // namespace greta::store
