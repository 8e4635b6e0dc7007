#pragma once
// What `greta plan` prints; `greta run --dry-run` shows the same tree.

#include <map>
#include <string>
#include <vector>

#include "contract/result.h"
#include "spec/plan.h"
#include "spec/spec.h"

namespace greta::runner {

// Variants × prompts × repeats as a tree, the settings that differ, the totals.
std::string plan_text(const Spec& spec, const std::vector<Variant>& variants);
// {"specs":[…],"cells":n,"attempts":n}; the same as JSON, flags in full.
std::string plan_json(const std::vector<Spec>& specs,
                      const std::vector<std::vector<Variant>>& variants);

// "NAME=VALUE" options of the command line.
Result<std::map<std::string, std::string>> parse_vars(const std::vector<std::string>& options);

}  // namespace greta::runner
