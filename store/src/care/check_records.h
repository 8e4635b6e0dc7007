#pragma once
// The rows of the records against each other, and against the lines that they were made from.
// Private to care.

#include <vector>

#include "db/sqlite.h"
#include "store/care.h"

namespace greta::store {

// What can be told without the bytes: spans, records and typed rows belong together, one for one.
Result<> check_rows(Database& db, std::vector<Trouble>& troubles);

// Every records file with this content: each line taken apart once more, against its record and the
// values of its row.
Result<> check_lines_of_content(Database& db, int64_t content, const std::string& where,
                                std::vector<Trouble>& troubles);

}  // namespace greta::store
