#include "model/new_file.h"

#include <system_error>

#include "contract/text.h"

namespace greta::engine {

Result<std::filesystem::path> place_of_new_file(const std::filesystem::path& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    const bool folder = std::filesystem::is_directory(status);
    return fail(EngineExit::usage, "cannot write " + printable(path.string()) + ": it is " +
                                       (folder ? "a folder" : "no regular file"));
  }
  std::filesystem::path place = path;
  constexpr int kMostLinks = 40;  // as many as the kernel follows
  for (int i = 0; i < kMostLinks && std::filesystem::is_symlink(place, error); ++i) {
    const auto target = std::filesystem::read_symlink(place, error);
    if (error) break;
    place = place.parent_path() / target;
  }
  return place;
}

}  // namespace greta::engine
