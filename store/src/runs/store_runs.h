#pragma once
// Runs and cells, as the other files of this room add them inside their own transactions.

#include <string>

#include "db/sqlite.h"
#include "store/store.h"

namespace greta::store {

struct NewRun {
  std::string name;  // unique
  std::string status = "running";
  std::string started_at;
  std::string ended_at;  // "" : not yet
  std::string note;
  bool with_process = false;
};
// Returns run.id.
Result<int64_t> add_run(Database& db, const RunStart& start, const NewRun& run);
// Takes the place of an earlier cell of the same variant, prompt and repeat.
Result<> add_cell(Database& db, int64_t run, const CellRow& cell);

// Whether this run, of those in the store, could come from elsewhere: its rows are whole, its cells
// those of their bundles.
Result<> check_stored_run(Database& db, int64_t run);

}  // namespace greta::store
