#pragma once
// A run that came from elsewhere against the bundles that came with it: what it says of its cells
// must be what their sealed manifests say.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "contract/result.h"

namespace greta::store {

// The run's own columns that another part of greta relies on: milestone, times, counts, purpose.
Result<> check_run_row(const nlohmann::json& run);

// Every cell of the run that names this bundle. A cell that an earlier run had executed may have
// another prompt id, variant and milestone: the same question under other names.
Result<> check_cells_of_bundle(const nlohmann::json& whole, const std::string& hash,
                               std::string_view manifest);

}  // namespace greta::store
