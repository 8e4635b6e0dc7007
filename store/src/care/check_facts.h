#pragma once
// What the tables say of themselves, of bundles and of runs, against what it was made from: this
// greta's schema, the sealed manifests and the engine's own files, the cells. Private to care.

#include <vector>

#include "db/sqlite.h"
#include "store/care.h"

namespace greta::store {

// Every table of a new store is there, with its columns.
Result<> check_tables(Database& db, std::vector<Trouble>& troubles);

// Status, times, environment, flags, kernels, prompts and requests of every bundle are made once
// more from its manifest and the engine's files, and compared.
Result<> check_facts_of_bundles(Database& db, std::vector<Trouble>& troubles);

// Every run that has ended is one that `greta bundle import` would take from elsewhere: its cells
// are those of their bundles. What is copied from the cells for the views is what the cells say.
Result<> check_runs(Database& db, std::vector<Trouble>& troubles);

}  // namespace greta::store
