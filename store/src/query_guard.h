#pragma once
// What the SQL of people may do: read. Prepares one statement behind SQLite's authorizer.

#include <set>
#include <string>

#include "sqlite.h"

namespace greta::store {

// `hidden`: names in the main schema that this query must not name itself, because they hold more than
// the run that it sees; the TEMP views over them stay usable. Empty: nothing is hidden.
Result<Statement> prepare_reading(Database& db, std::string_view sql,
                                  const std::set<std::string, std::less<>>& hidden);

}  // namespace greta::store
