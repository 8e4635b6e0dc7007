#pragma once
// greta-init (init.cc) is the parent of every engine; what it saw is in a file that only it writes.

#include <filesystem>
#include <string>
#include <vector>

#include "contract/result.h"

namespace greta::runner {

struct InitReport {
  bool started = false;  // the program was about to run: whatever it may have written is there
  bool ended = false;    // one of the following is known
  int exit_code = -1;    // when signal is 0
  int signal = 0;
  int refused = 0;    // errno: the program could not be executed
  int strays = 0;     // on a host: what it had started and left, killed then
  std::string limit;  // what stopped it: pids, memory, machine-memory, socket
};

// A missing file has not started.
InitReport read_init_report(const std::filesystem::path& file);

// greta-init stands beside the running program. Errors (infrastructure): it does not.
Result<std::filesystem::path> find_init();

enum class InitMode { host, contained, contained_without_sockets };
// {init, --report, report, …, --, argv…}
std::vector<std::string> init_argv(const std::string& init, const std::string& report,
                                   InitMode mode, const std::vector<std::string>& argv);

}  // namespace greta::runner
