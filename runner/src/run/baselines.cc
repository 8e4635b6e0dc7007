#include "run/baselines.h"

#include "run/history.h"
#include "store/diff.h"

namespace greta::runner {

std::vector<BaselineLine> baseline_lines(store::Store& store, int64_t run, const Spec& spec) {
  // <root>/experiments/history
  const auto root = find_history(spec.file.parent_path()).parent_path().parent_path();
  std::vector<BaselineLine> out;
  for (const auto& baseline : spec.baseline) {
    BaselineLine line;
    line.baseline = baseline;
    line.verdict = "not_compared";
    const auto diff = [&]() -> Result<store::Diff> {
      TRY_ASSIGN(const int64_t past, resolve_with_history(store, baseline, root));
      return store::diff(store, past, run);
    }();
    if (diff) {
      line.verdict = store::to_string(diff->verdict);
      line.reason = diff->reason;
    } else {
      line.reason = diff.error().str();
    }
    line.text = baseline + ": " + line.verdict + (line.reason.empty() ? "" : ": " + line.reason);
    out.push_back(std::move(line));
  }
  return out;
}

}  // namespace greta::runner
