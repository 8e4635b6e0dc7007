#pragma once
// Runs into one archive: what the store knows of them, their bundles byte by byte (out of the
// store, so that it does not matter whether their folders are still there), on request the engines
// and images that they ran with.

#include <filesystem>
#include <string>
#include <vector>

#include "contract/result.h"
#include "store/store.h"
#include "system/layout.h"
#include "system/process.h"

namespace greta::runner {

struct ExportOptions {
  bool with_engine = false, with_image = false;
};

struct Exported {
  std::vector<std::string> runs;
  size_t bundles = 0, engines = 0, images = 0;
  int64_t bytes = 0;  // of the file
};

// Equal runs give equal files. Errors: a run that is running, an engine or image that is asked for
// and not kept here (both name it), no room.
Result<Exported> export_runs(store::Store& store, const Layout& layout,
                             const std::vector<int64_t>& runs, const ExportOptions& options,
                             const std::filesystem::path& file, const Cancel& cancel);

}  // namespace greta::runner
