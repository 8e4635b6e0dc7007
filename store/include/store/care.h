#pragma once
// Care of a store: is everything in it what it was when it came in, what does nothing need any
// more, and the same history once more in a new file.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "store/store.h"

namespace greta::store {

struct Trouble {
  std::string where;  // "file out/readout.jsonl of bundle 0123…", "table rec_readout"
  std::string what;
};
struct Checked {
  int64_t runs = 0, bundles = 0, files = 0, bytes = 0, records = 0;
  std::vector<Trouble> troubles;   // damage: something is not what it was
  std::vector<std::string> notes;  // what is in order and still worth knowing
};
// Of `total` bytes, whatever is counted; false stops with exit code 130.
using CareProgress = std::function<bool(int64_t done, int64_t total)>;

// Reads everything and changes nothing: SQLite's own checks, foreign keys, every manifest and file
// against its hash, every record against the bytes of its file (each line is parsed once more and
// compared with its row), views, and what belongs to nothing. Trouble is no error; an error is a
// store that cannot be read at all.
Result<Checked> check(Store& store, const CareProgress& progress);

struct Unused {
  std::vector<std::string> bundles;  // hashes; in no run, or only in those to be removed
  int64_t runs = 0, files = 0, bytes = 0;
};
// What would go when these runs went, and bundles that belong to no run and ended before `before`
// (UTC as in bundle.ended_at).
Result<Unused> find_unused(Store& store, const std::vector<int64_t>& runs, std::string_view before);
// Removes it, in one transaction. The file keeps its size until `compact`.
Result<Unused> remove_unused(Store& store, const std::vector<int64_t>& runs,
                             std::string_view before);
// Gives the free pages back; waits for readers.
Result<> compact(Store& store);

struct Rebuilt {
  int64_t runs = 0, bundles = 0;
  std::vector<Trouble> lost;  // what could not be brought over, and why
};
// Every run of `from` with its bundles, and every bundle that belongs to no run, into `into`, which
// is checked as an archive from elsewhere would be. `folder` finds the sealed folder of a bundle
// whose bytes in `from` cannot be read; "" where there is none.
Result<Rebuilt> rebuild(Store& from, Store& into,
                        const std::function<std::filesystem::path(const std::string&)>& folder,
                        const CareProgress& progress);

}  // namespace greta::store
