#include "system/context.h"

#include <cstdio>

#include "system/environment.h"

namespace greta::runner {
namespace fs = std::filesystem;

fs::path Context::find_store() const {
  if (!store_path.empty()) return store_path;
  if (const std::string named = store_variable(); !named.empty()) return named;
  const fs::path usual = fs::path(".greta") / "store.sqlite";
  std::error_code error;
  const fs::path here = fs::current_path(error);
  for (fs::path folder = here; !error; folder = folder.parent_path()) {
    if (fs::exists(folder / usual, error)) return folder / usual;
    if (folder == folder.parent_path()) break;
  }
  return here / usual;
}

Result<store::Store> Context::open_store(store::Access access) const {
  TRY_ASSIGN(store::Store store, store::Store::open(find_store(), access));
  if (const auto version = store.brought_up_from()) {
    say("note: " + find_store().string() + " was of an older greta (store version " +
        std::to_string(*version) +
        ") and has been brought up; that greta does not read it any more");
  }
  return store;
}

Result<store::Store> Context::open_store_to_change() const {
  TRY(open_store(store::Access::read_only));  // for writing, a missing one would be made
  return open_store(store::Access::read_write);
}

void Context::say(const std::string& line) const {
  if (verbosity >= 1) std::fprintf(stderr, "%s\n", line.c_str());
}

void Context::fail(const Error& error) {
  const char* const red = color ? "\x1b[31m" : "";
  const char* const plain = color ? "\x1b[0m" : "";
  std::fprintf(stderr, "%serror:%s %s\n", red, plain, error.str().c_str());
  exit_code = error.exit_code;
}

}  // namespace greta::runner
