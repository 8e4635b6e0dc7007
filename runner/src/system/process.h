#pragma once
// Running another program: no shell, its own process group, capped logs, timeouts, cancellation.

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "contract/result.h"

namespace greta::runner {

// Set by Ctrl-C or TERM, asked by everything that waits.
class Cancel {
 public:
  void request() { flag_.store(true, std::memory_order_relaxed); }
  bool requested() const { return flag_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> flag_ = false;
};
// The one that signals set; install_signal_handlers() makes INT, TERM and HUP do so.
Cancel& process_cancel();
void install_signal_handlers();

struct Command {
  std::vector<std::string> argv;         // argv[0] is searched in PATH unless it has a '/'
  std::filesystem::path working_folder;  // "" stays where we are
  std::optional<std::map<std::string, std::string>> environment;  // absent: ours
  std::filesystem::path stdout_file, stderr_file;                 // "" throws the stream away
  bool merge_streams = false;                                     // stderr goes where stdout goes
  int64_t most_log_bytes = int64_t{64} << 20;  // per stream; the rest is read and dropped
  double timeout_s = 0;                        // 0: none
  double grace_s = 3;                          // between TERM and KILL
  int64_t most_file_bytes = 0;                 // RLIMIT_FSIZE of the child; 0: ours
  // Asked about ten times a second; a text stops the program and is the reason.
  std::function<std::optional<std::string>()> watch;
};

// lost: not the program's doing; it never ran, or nobody knows how it ended.
enum class Stop { none, timeout, cancelled, watch, lost };

struct Finished {
  int exit_code = -1;  // when signal is 0
  int signal = 0;
  Stop stop = Stop::none;
  std::string reason;  // what the watch said
  double wall_s = 0;
  int tries = 1;  // more than one after `lost`
  bool logs_cut = false;
  bool left_running = false;  // a job on the host: something that it had started was killed then
  bool ok() const { return exit_code == 0 && signal == 0 && stop == Stop::none; }
};

// "exit 3", "signal 11", or why it was stopped.
std::string how_it_ended(const Finished& finished);

// Errors (infrastructure): the program does not exist or may not be executed, no process could be
// made, a log could not be written. Everything that the program itself does is a Finished. When the
// program has ended, whatever it left in its process group is killed.
Result<Finished> run_command(const Command& command, const Cancel& cancel);

// stdout of a short command, or an error that holds its exit code and the end of its stderr.
Result<std::string> output_of(const std::vector<std::string>& argv, const Cancel& cancel,
                              double timeout_s = 60);

// The program's full path by PATH, or "".
std::string find_program(const std::string& name);

}  // namespace greta::runner
