#pragma once
// The lints that compare the arms of one run.

#include <string>
#include <string_view>
#include <vector>

#include "compare/run_info.h"
#include "store/diff.h"

namespace greta::store {

struct LintRun {
  Store& store;
  RunInfo info;
  std::vector<KindInfo> kinds;  // those that the run has records of
  std::vector<Lint> found;

  const KindInfo* kind(std::string_view name) const;  // null when the run has none
  void add(std::string id, std::string query, std::string en, std::string es);
  void add_once(std::string id, std::string query, std::string en, std::string es);
};

// Variants that differ in a GRETA_FORCE_* axis and launched the same code, and shadow records whose
// two kernels are one.
Result<> arms_that_ran_one_kernel(LintRun& run);
// Record kinds that one variant left and another did not.
Result<> kinds_missing_in_an_arm(LintRun& run);

}  // namespace greta::store
