#pragma once
// INSERT for the hot path: most of what a row costs in SQLite is the start and the end of a
// statement, so that one of sixteen rows takes two thirds of the time of sixteen of one.

#include "db/sqlite.h"

namespace greta::store {

struct InsertRows {
  static constexpr size_t kRows = 16;
  Statement one, many;  // VALUES (?1, …, ?columns), and kRows such rows in one statement

  // `into`: "INSERT INTO t (a, b) VALUES ".
  static Result<InsertRows> prepare(Database& db, const std::string& into, size_t columns);
};

}  // namespace greta::store
