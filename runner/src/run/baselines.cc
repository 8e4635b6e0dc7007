#include "run/baselines.h"

#include "run/history.h"
#include "store/diff.h"

namespace greta::runner {

Result<> check_baselines(store::Store& store, const Spec& spec) {
  const auto root = find_history(spec.file.parent_path()).parent_path().parent_path();
  for (const auto& baseline : spec.baseline) {
    // Recorded figures come from files: what they lack now they will lack at the end. A milestone
    // that runs may have its first run later.
    if (!baseline.ends_with("@recorded")) continue;
    const auto found = resolve_with_history(store, baseline, root);
    if (found) continue;
    Error error = found.error();
    error.message = "`baseline: " + baseline + "`: " + error.message;
    const auto place = spec.places.find("baseline");
    if (place != spec.places.end()) {
      error.file = place->second.file;
      error.line = place->second.line;
      error.column = place->second.column;
    }
    return tl::unexpected(error);
  }
  return {};
}

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
