#pragma once
// What the SQL of people may do: read. Prepares one statement behind SQLite's authorizer.

#include <string_view>

#include "db/sqlite.h"

namespace greta::store {

enum class Sees {
  every_run,
  one_run,  // TEMP views stand before everything: naming the schema `main` would go around them
};
// Once for a connection on which such SQL will run.
Result<> make_reader(Database& db);
Result<Statement> prepare_reading(Database& db, std::string_view sql, Sees sees);

}  // namespace greta::store
