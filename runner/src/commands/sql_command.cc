// greta sql: SQLite's own shell on the store, for reading.

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "commands/option_checks.h"
#include "contract/text.h"
#include "system/context.h"
#include "system/process.h"

namespace greta::runner {
namespace {

constexpr int kNotStarted = 127;

// The shell's own exit code; its statements that fail give 1, which here is a gate's word.
Result<int> exit_code_of(int status) {
  constexpr int kStatementFailed = 1;
  if (WIFEXITED(status)) {
    return WEXITSTATUS(status) == kStatementFailed ? static_cast<int>(Exit::usage)
                                                   : WEXITSTATUS(status);
  }
  if (WTERMSIG(status) == SIGPIPE) return 0;  // the reader has had enough
  if (WTERMSIG(status) == SIGINT) return fail(Exit::interrupted, "interrupted");
  return fail(Exit::infrastructure,
              "sqlite3 was ended by signal " + std::to_string(WTERMSIG(status)));
}

// With our own standard streams, as a shell would start it. Ctrl-C is for it alone.
Result<int> run_shell(const std::string& program, const std::vector<const char*>& argv) {
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGQUIT, SIG_IGN);
  const pid_t child = fork();
  if (child < 0)
    return fail(Exit::infrastructure, std::string("no process can be made: ") + strerror(errno));
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    std::signal(SIGINT, SIG_DFL);
    std::signal(SIGQUIT, SIG_DFL);
    execv(program.c_str(), const_cast<char* const*>(argv.data()));
    _exit(kNotStarted);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return fail(Exit::infrastructure, "sqlite3 was lost");
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNotStarted)
    return fail(Exit::infrastructure, printable(program, 200) + " could not be started");
  return exit_code_of(status);
}

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
  std::vector<const char*> argv = {"sqlite3", "-readonly"};
  if (context.json) {
    argv.push_back("-json");
  } else if (isatty(STDIN_FILENO) == 1) {
    argv.insert(argv.end(), {"-header", "-box"});
  }
  argv.insert(argv.end(), {file.c_str(), nullptr});
  TRY_ASSIGN(context.exit_code, run_shell(shell, argv));
  return {};
}

}  // namespace

void register_sql(CLI::App& app, Context& context) {
  CLI::App* const command =
      app.add_subcommand("sql", "SQLite's shell on the history, for reading (needs sqlite3)");
  const auto file = std::make_shared<std::string>();
  command->add_option("file", *file, "a store; default: as --store")->check(not_empty());
  command->footer(
      "Tables and views are those of `greta query`, without its function greta_line.\n"
      "examples:\n"
      "  greta sql                                  .tables lists them, .quit ends\n"
      "  echo 'SELECT count(*) FROM runs;' | greta sql\n"
      "exit code: 0 answered, 2 a statement failed or no store, 4 no sqlite3; after .exit N, N");
  command->callback([&context, file] {
    if (const auto done = open_shell(context, *file); !done) context.fail(done.error());
  });
}

}  // namespace greta::runner
