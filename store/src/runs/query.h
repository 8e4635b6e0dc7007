#pragma once
// What can be told of a query beside its rows.

#include <set>
#include <string>
#include <string_view>

#include "store/store.h"

namespace greta::store {

// The views of a run that the SQL reads. Nothing runs. Errors: as Store::query.
Result<std::set<std::string>> views_read(Store& store, std::string_view sql, int64_t run);

}  // namespace greta::store
