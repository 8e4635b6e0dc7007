#include "build/git.h"
#include "build/source.h"
#include "system/files.h"

namespace greta::runner {
namespace fs = std::filesystem;

Result<std::string> worktree_diff(const Source& source, const Layout& layout,
                                  const Cancel& cancel) {
  TRY_ASSIGN(const fs::path scratch, make_temporary(layout));
  struct Cleaner {
    fs::path folder;
    ~Cleaner() { remove_tree(folder); }
  } cleaner{scratch};
  TRY_ASSIGN(
      const std::string objects,
      git(source.top, {"rev-parse", "--path-format=absolute", "--git-path", "objects"}, cancel));
  TRY(make_folders(scratch / "objects"));
  // An index and objects of our own: asking must change nothing in the repository.
  const std::vector<std::string> aside = {
      "GIT_INDEX_FILE=" + (scratch / "index").string(),
      "GIT_OBJECT_DIRECTORY=" + (scratch / "objects").string(),
      "GIT_ALTERNATE_OBJECT_DIRECTORIES=" + without_newline(objects)};
  TRY(git(source.top, {"read-tree", source.commit}, cancel, 120, aside));
  std::vector<std::string> paths = source.paths;
  if (paths.empty()) paths = {"."};
  std::vector<std::string> words = {"add", "--all", "--"};
  words.insert(words.end(), paths.begin(), paths.end());
  TRY(git(source.top, words, cancel, 120, aside));
  words = {"diff", "--cached", "--binary", "--no-ext-diff", "--no-textconv", source.commit, "--"};
  words.insert(words.end(), paths.begin(), paths.end());
  return git(source.top, words, cancel, 120, aside);
}

}  // namespace greta::runner
