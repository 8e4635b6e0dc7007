#include "db/insert_rows.h"

namespace greta::store {

Result<InsertRows> InsertRows::prepare(Database& db, const std::string& into, size_t columns) {
  std::string row = "(?";
  for (size_t i = 1; i < columns; ++i) row += ", ?";
  row += ")";
  std::string rows = row;
  for (size_t i = 1; i < kRows; ++i) rows += ", " + row;
  InsertRows out;
  TRY_ASSIGN(out.one, db.prepare(into + row));
  TRY_ASSIGN(out.many, db.prepare(into + rows));
  return out;
}

}  // namespace greta::store
