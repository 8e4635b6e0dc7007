#include "run/baselines.h"

#include <set>

#include "run/history.h"
#include "spec/yaml_problems.h"
#include "store/diff.h"
#include "store/gates.h"

namespace greta::runner {
namespace {

// <root>/experiments/history
std::filesystem::path history_root(const Spec& spec) {
  return find_history(spec.file.parent_path()).parent_path().parent_path();
}

}  // namespace

Result<> check_baselines(store::Store& store, const Spec& spec) {
  const auto root = history_root(spec);
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

void bring_in_partners(store::Store& store, const Spec& spec) {
  std::set<std::string> selectors;
  for (const store::Gate& gate : spec.expect) {
    if (gate.partner.what == store::Partner::What::run) selectors.insert(gate.partner.run);
    if (gate.partner.what == store::Partner::What::baseline)
      selectors.insert(spec.baseline.begin(), spec.baseline.end());
  }
  for (const std::string& selector : selectors)
    if (selector.ends_with(kRecorded))
      (void)select_with_history(store, selector, history_root(spec));
}

std::vector<std::string> partner_warnings(store::Store& store, const Spec& spec) {
  std::vector<std::string> out;
  for (const store::Gate& gate : spec.expect) {
    if (gate.partner.what != store::Partner::What::run) continue;
    const std::string& selector = gate.partner.run;
    const auto found = store.select(selector);
    if (found ||
        (selector.ends_with(kRecorded) &&
         is_recorded(selector.substr(0, selector.size() - kRecorded.size()), history_root(spec)))) {
      continue;
    }
    const auto place = spec.places.find("expect." + gate.id);
    const std::string where = place == spec.places.end() ? "" : to_string(place->second) + ": ";
    out.push_back(where + "gate `" + gate.id + "`: " + found.error().message +
                  "; without that run it measures nothing");
  }
  return out;
}

std::vector<BaselineLine> baseline_lines(store::Store& store, int64_t run, const Spec& spec) {
  const auto root = history_root(spec);
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
