#pragma once
// Everything that can be known of a file without running anything.

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "spec/plan.h"
#include "spec/spec.h"

namespace greta::runner {

struct CheckedSpec {
  Spec spec;
  std::vector<Variant> variants;
};
// load_spec, expand_variants and, with the engine's description, check_flags.
Result<CheckedSpec> check_spec(const std::string& file, const LoadOptions& options,
                               const nlohmann::json* describe);

struct LintReport {
  std::string what;  // "8 cells", "19 prompts", "adapter `x`"
  std::vector<std::string> warnings;
  std::optional<Spec> spec;  // of an experiment; its warnings are above
};
// A spec, a prompt library or an adapter: the keys say which.
Result<LintReport> lint_file(const std::string& file, const LoadOptions& options,
                             const nlohmann::json* describe);

}  // namespace greta::runner
