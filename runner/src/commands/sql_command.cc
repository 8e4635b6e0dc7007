// greta sql: SQLite's own shell on the store, for reading.

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "contract/text.h"
#include "system/context.h"
#include "system/process.h"

namespace greta::runner {
namespace {

Result<> open_shell(Context& context, const std::string& named) {
  if (!named.empty()) context.store_path = named;
  const std::filesystem::path file = context.find_store();
  // Says what is wrong with the file, and brings an older one up where it can be written: views
  // must mean here what they mean to `greta query`.
  TRY(context.open_store(store::Access::read_only));
  const std::string shell = find_program("sqlite3");
  if (shell.empty()) {
    return fail(Exit::infrastructure,
                "there is no sqlite3 in PATH; on Debian: apt-get install sqlite3"
                " (greta query needs none)");
  }
  std::array<const char*, 6> argv = {"sqlite3", "-readonly",  "-header",
                                     "-box",    file.c_str(), nullptr};
  if (isatty(STDIN_FILENO) != 1) argv = {"sqlite3", "-readonly", file.c_str(), nullptr};
  execv(shell.c_str(), const_cast<char* const*>(argv.data()));
  return fail(Exit::infrastructure,
              printable(shell, 200) + " could not be started: " + std::strerror(errno));
}

}  // namespace

void register_sql(CLI::App& app, Context& context) {
  CLI::App* const command =
      app.add_subcommand("sql", "SQLite's shell on the history, for reading (needs sqlite3)");
  const auto file = std::make_shared<std::string>();
  command->add_option("file", *file, "a store; default: as --store");
  command->footer(
      "Tables and views are those of `greta query`, without its function greta_line.\n"
      "examples:\n"
      "  greta sql                                  .tables lists them, .quit ends\n"
      "  echo 'SELECT count(*) FROM runs;' | greta sql");
  command->callback([&context, file] {
    if (const auto done = open_shell(context, *file); !done) context.fail(done.error());
  });
}

}  // namespace greta::runner
