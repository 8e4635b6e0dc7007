#pragma once
// How a store file came to its present shape: named steps, each in one transaction (those of a new
// file all in one), counted by PRAGMA user_version. A file is a greta store when PRAGMA
// application_id says so.

#include "db/sqlite.h"

namespace greta::store {

inline constexpr int64_t kApplicationId = 0x47524554;  // "GRET"
int64_t newest_version();

// Creates or migrates. Returns the version that it had; 0: it was nothing yet. Errors: a file that
// is something else, a store of a newer greta.
Result<int64_t> migrate(Database& db);
// The same checks without writing, for read-only use; an older store is an error as well.
Result<> check_version(Database& db);

}  // namespace greta::store
