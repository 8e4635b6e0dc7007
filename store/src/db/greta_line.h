#pragma once
// The SQL function greta_line(record): the line of that record exactly as it was written, without
// its newline, as text. NULL when there is no such record. On greta's own connections only.

#include "db/sqlite.h"

namespace greta::store {

Result<> add_greta_line(Database& db);

}  // namespace greta::store
