#pragma once
// Timings of a diff: samples against samples, and nothing claimed where there are too few.

#include "compare/run_records.h"
#include "diff/diff_side.h"

namespace greta::store {

// A sample and the record that it stands in: a record that both sides have was measured once.
struct TimingSample {
  int64_t record = 0;
  double value = 0;
};
// Of a field of a record; values that are no finite numbers are no samples.
std::vector<TimingSample> timing_samples(const DiffRecord& record, size_t field);

// Fills samples, medians and verdict. Of rates (unit …/s) more is faster.
void judge_timing(TimingDiff& timing, const std::vector<TimingSample>& a,
                  const std::vector<TimingSample>& b);

// Worst first: what is slower by its ratio, then what is faster, then the others.
void sort_timings(std::vector<TimingDiff>& timings);

// Of the confounders, those of the machine that make timings incomparable.
std::vector<std::string> timing_confounders(const Diff& diff);

// Adds cells.wall_s: seconds of each engine process that ran for the runs, by arm and, where a
// process served one prompt alone, by prompt.
Result<> add_wall_seconds(Store& store, const SidePair& sides, Diff& diff);

}  // namespace greta::store
