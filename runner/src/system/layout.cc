#include "system/layout.h"

#include <atomic>

#include "store/store.h"
#include "system/files.h"

namespace greta::runner {
namespace fs = std::filesystem;

Layout layout_of(const fs::path& store_file) {
  Layout layout;
  std::error_code error;
  layout.store = fs::weakly_canonical(fs::absolute(store_file, error), error);
  const fs::path folder = layout.store.parent_path();
  layout.home = folder.filename() == ".greta" ? folder : fs::path(layout.store.string() + ".files");
  layout.label = store::sha256_hex(layout.store.string()).substr(0, 16);
  return layout;
}

Result<Layout> make_layout(const fs::path& store_file) {
  Layout layout = layout_of(store_file);
  for (const auto& path :
       {layout.bundles(), layout.engines(), layout.images(), layout.packages(), layout.temporary(),
        layout.mirrors(), layout.logs(), layout.reports(), layout.locks()}) {
    TRY(make_durable_folders(path));
  }
  return layout;
}

Result<fs::path> make_temporary(const Layout& layout) {
  static std::atomic<int> count = 0;
  std::string owner = this_owner();
  owner.at(owner.find(':')) = '.';
  const fs::path folder = layout.temporary() / (owner + "." + std::to_string(count++));
  TRY(make_folders(folder));
  return folder;
}

std::string owner_of_temporary(const fs::path& folder) {
  const std::string name = folder.filename().string();
  const size_t first = name.find('.');
  const size_t second = name.find('.', first == std::string::npos ? first : first + 1);
  if (second == std::string::npos) return {};
  return name.substr(0, first) + ":" + name.substr(first + 1, second - first - 1);
}

}  // namespace greta::runner
