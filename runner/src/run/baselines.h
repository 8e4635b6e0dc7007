#pragma once
// A run against the milestones that its spec names as baselines: one line each.

#include <string>
#include <vector>

#include "spec/spec.h"
#include "store/store.h"

namespace greta::runner {

// Recorded baselines that neither the store nor experiments/history knows: an error with the place
// in the spec. May import them.
Result<> check_baselines(store::Store& store, const Spec& spec);

// Recorded milestones that gates compare with come into the store, where experiments/history has
// them. What does not come in is for the gate to say.
void bring_in_partners(store::Store& store, const Spec& spec);
// Gates that compare with a run that neither the store nor experiments/history knows: a warning
// each, "file:line:col: …". It may be there by the time that the gate is judged.
std::vector<std::string> partner_warnings(store::Store& store, const Spec& spec);

struct BaselineLine {
  std::string baseline, verdict, reason;
  std::string text;  // "B3.20@recorded: not comparable: …"
};

// Never fails a run: a baseline that cannot be compared says why in its line.
std::vector<BaselineLine> baseline_lines(store::Store& store, int64_t run, const Spec& spec);

}  // namespace greta::runner
