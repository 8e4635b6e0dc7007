#pragma once
// An archive into a store. Everything is unpacked beside it, in a folder of this process, and
// checked there; only then does anything appear: bundles, engines and images by renames, each run
// in one transaction. A process that is killed in the middle leaves nothing half.

#include <filesystem>
#include <string>
#include <vector>

#include "contract/result.h"
#include "store/store.h"
#include "system/layout.h"
#include "system/process.h"

namespace greta::runner {

inline constexpr int64_t kMostArchiveBytes = int64_t{64} << 30;

struct ImportedArchive {
  std::vector<store::ImportedRun> runs;
  size_t bundles = 0, engines = 0;  // in the archive
  std::vector<std::string> notes;   // what became of its images
};

// Errors: usage with the archive's name for whatever is wrong with it (read_archive, and: a bundle
// that is not what its name and manifest say, one without a run, a run without a bundle, a run that
// the store has with other content), infrastructure when there is no room.
Result<ImportedArchive> import_archive(store::Store& store, const Layout& layout,
                                       const std::filesystem::path& file, int64_t most_bytes,
                                       const Cancel& cancel);

}  // namespace greta::runner
