#pragma once
// What the SQL of people may do: read. Prepares one statement behind SQLite's authorizer.

#include <set>
#include <string>
#include <string_view>

#include "db/sqlite.h"

namespace greta::store {

enum class Sees {
  every_run,
  one_run,  // TEMP views stand before everything: naming the schema `main` would go around them
};
// Once for a connection on which such SQL will run.
Result<> make_reader(Database& db);
// Errors (usage): no SQL, several statements, SQL that does not only read. `readers` gets the views
// and WITH clauses, as the SQL spells them, that read a table.
Result<Statement> prepare_reading(Database& db, std::string_view sql, Sees sees,
                                  std::set<std::string>* readers = nullptr);

}  // namespace greta::store
