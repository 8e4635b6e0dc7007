// Verdicts of a diff as exit codes and words.

#include <algorithm>

#include "contract/result.h"
#include "store/diff.h"

namespace greta::store {

namespace {

Exit exit_of_timings(const Diff& diff) {
  const auto has = [&](auto... verdicts) {
    return std::any_of(diff.timings.begin(), diff.timings.end(), [&](const TimingDiff& timing) {
      return ((timing.verdict == verdicts) || ...);
    });
  };
  if (!has(TimingVerdict::slower, TimingVerdict::faster, TimingVerdict::no_difference))
    return Exit::not_measured;
  if (!diff.timing_confounders.empty()) return Exit::not_comparable;
  return has(TimingVerdict::slower) ? Exit::diverged : Exit::ok;
}

}  // namespace

int exit_code(const Diff& diff) {
  if (diff.matched == 0) return static_cast<int>(Exit::not_measured);
  if (diff.verdict == Verdict::diverged) return static_cast<int>(Exit::diverged);
  if (diff.verdict == Verdict::not_comparable) return static_cast<int>(Exit::not_comparable);
  return static_cast<int>(diff.timings_count ? exit_of_timings(diff) : Exit::ok);
}

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::identical:
      return "identical";
    case Verdict::within_floor:
      return "within_floor";
    case Verdict::diverged:
      return "diverged";
    case Verdict::only_a:
      return "only_a";
    case Verdict::only_b:
      return "only_b";
    case Verdict::not_comparable:
      return "not_comparable";
  }
  return "not_comparable";
}

}  // namespace greta::store
