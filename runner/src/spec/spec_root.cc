#include "spec/spec_root.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

template <class Predicate>
fs::path nearest_above(fs::path folder, const Predicate& predicate) {
  while (!folder.empty()) {
    if (predicate(folder)) return folder;
    if (folder == folder.parent_path()) break;
    folder = folder.parent_path();
  }
  return {};
}

fs::path absolute_folder(const fs::path& folder) {
  std::error_code ec;
  const fs::path out = fs::weakly_canonical(fs::absolute(folder, ec), ec);
  return ec ? folder : out;
}

}  // namespace

bool is_greta_tree(const fs::path& folder) {
  std::error_code ec;
  return !folder.empty() && fs::is_regular_file(folder / "CMakeLists.txt", ec) &&
         fs::is_regular_file(folder / "engine/contract/records.json", ec);
}

fs::path find_git_top(const fs::path& start) {
  return nearest_above(absolute_folder(start), [](const fs::path& folder) {
    std::error_code ec;
    return fs::exists(folder / ".git", ec);
  });
}

fs::path find_greta_tree(const fs::path& start) {
  return nearest_above(absolute_folder(start), is_greta_tree);
}

Roots find_roots(const fs::path& spec_folder, OwnEngine own, const LoadOptions& options) {
  std::error_code ec;
  const fs::path working =
      options.working_folder.empty() ? fs::current_path(ec) : options.working_folder;
  const fs::path program =
      options.program.empty() ? fs::read_symlink("/proc/self/exe", ec) : options.program;

  Roots roots;
  roots.kept = options.text.has_value();
  const fs::path git_top = find_git_top(spec_folder);
  if (is_greta_tree(git_top)) roots.tree = git_top;
  if (roots.tree.empty()) roots.tree = find_greta_tree(spec_folder);
  if (roots.tree.empty()) roots.tree = find_greta_tree(working);
  if (roots.tree.empty()) roots.tree = find_greta_tree(program.parent_path());

  if (!git_top.empty() && (own != OwnEngine::no || is_greta_tree(git_top))) {
    roots.root = git_top;
  } else if (own != OwnEngine::repo) {
    roots.root = roots.tree;
  }
  if (roots.root.empty()) roots.root = absolute_folder(spec_folder);
  return roots;
}

std::string shown_path(const fs::path& file) {
  std::error_code ec;
  const fs::path relative = file.lexically_proximate(fs::current_path(ec));
  return relative.empty() || *relative.begin() == ".." ? file.string() : relative.string();
}

}  // namespace greta::runner
