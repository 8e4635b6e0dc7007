#include "system/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>

#include "system/environment.h"
#include "system/files.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    reset();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  ~Fd() { reset(); }
  void reset() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

// One captured stream: what the child writes, copied to a file up to a limit.
struct Stream {
  Fd pipe;
  Fd file;
  fs::path path;
  int64_t left = 0;
  bool cut = false;

  // Reads what is there. False when the stream ended.
  Result<bool> drain() {
    char buffer[1 << 16];
    for (;;) {
      const ssize_t n = read(pipe.get(), buffer, sizeof buffer);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) return true;
      if (n <= 0) return false;
      if (file.get() < 0) continue;
      const char* at = buffer;
      int64_t keep = std::min<int64_t>(n, left);
      cut = cut || keep < n;
      left -= keep;
      while (keep > 0) {
        const ssize_t written = write(file.get(), at, static_cast<size_t>(keep));
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) {
          return fail(Exit::infrastructure,
                      "cannot write the log " + path.string() + ": " + std::strerror(errno));
        }
        at += written;
        keep -= written;
      }
    }
  }
};

Result<Stream> open_stream(const fs::path& path, int64_t most, Fd& child_end) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return fail(Exit::infrastructure, std::string("cannot make a pipe: ") + std::strerror(errno));
  }
  Stream stream{.pipe = Fd(ends[0]), .file = Fd(), .path = path, .left = most};
  child_end = Fd(ends[1]);
  fcntl(stream.pipe.get(), F_SETFL, O_NONBLOCK);
  if (!path.empty()) {
    stream.file = Fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (stream.file.get() < 0) {
      return fail(Exit::infrastructure,
                  "cannot write the log " + path.string() + ": " + std::strerror(errno));
    }
  }
  return stream;
}

// What the child needs between fork and exec, made before: after the fork of a program with
// threads only async-signal-safe calls are allowed.
struct ChildPlan {
  const char* program;
  char* const* argv;
  char* const* envp;
  const char* folder;  // nullptr: stay
  int null_fd, out_fd, err_fd, status_fd;
  int64_t most_file_bytes;
  pid_t parent;
};

[[noreturn]] void child_main(const ChildPlan& plan) {
  // A killed greta takes its engine with it. If greta died before the call, nobody would tell us.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != plan.parent) _exit(127);
  setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) std::signal(signal, SIG_DFL);
  if (plan.most_file_bytes > 0) {
    const rlimit limit{static_cast<rlim_t>(plan.most_file_bytes),
                       static_cast<rlim_t>(plan.most_file_bytes)};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  const bool ready = dup2(plan.null_fd, 0) >= 0 && dup2(plan.out_fd, 1) >= 0 &&
                     dup2(plan.err_fd, 2) >= 0 &&
                     (plan.folder == nullptr || chdir(plan.folder) == 0);
  if (ready) execve(plan.program, plan.argv, plan.envp);
  const int error = errno;
  const ssize_t ignored = write(plan.status_fd, &error, sizeof error);
  static_cast<void>(ignored);
  _exit(127);
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (auto& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

std::vector<std::string> environment_of(const Command& command) {
  std::vector<std::string> out;
  if (!command.environment) {
    for (char** entry = environ; *entry != nullptr; ++entry) out.emplace_back(*entry);
  } else {
    for (const auto& [name, value] : *command.environment) out.push_back(name + "=" + value);
  }
  return out;
}

struct Child {
  pid_t pid = -1;
  Fd pidfd;
};

Result<Child> start(const Command& command, int out_fd, int err_fd) {
  const std::string program = find_program(command.argv.at(0));
  if (program.empty()) {
    return fail(Exit::infrastructure, "no program `" + command.argv[0] + "` here (not in PATH)");
  }
  auto argv = command.argv;
  auto environment = environment_of(command);
  const auto argv_pointers = pointers(argv);
  const auto environment_pointers = pointers(environment);
  const std::string folder = command.working_folder.string();
  const Fd null_fd(open("/dev/null", O_RDONLY | O_CLOEXEC));
  int status[2];
  if (pipe2(status, O_CLOEXEC) != 0) {
    return fail(Exit::infrastructure, std::string("cannot make a pipe: ") + std::strerror(errno));
  }
  Fd status_read(status[0]), status_write(status[1]);
  const ChildPlan plan{.program = program.c_str(),
                       .argv = argv_pointers.data(),
                       .envp = environment_pointers.data(),
                       .folder = folder.empty() ? nullptr : folder.c_str(),
                       .null_fd = null_fd.get(),
                       .out_fd = out_fd,
                       .err_fd = err_fd,
                       .status_fd = status_write.get(),
                       .most_file_bytes = command.most_file_bytes,
                       .parent = getpid()};
  const pid_t pid = fork();
  if (pid < 0) {
    return fail(Exit::infrastructure,
                std::string("cannot start a process: ") + std::strerror(errno));
  }
  if (pid == 0) child_main(plan);
  setpgid(pid, pid);  // whichever of the two comes first
  status_write.reset();
  int error = 0;
  ssize_t n = 0;
  do {
    n = read(status_read.get(), &error, sizeof error);
  } while (n < 0 && errno == EINTR);
  if (n == sizeof error) {
    int ignored = 0;
    waitpid(pid, &ignored, 0);
    return fail(Exit::infrastructure,
                "cannot execute " + program + (folder.empty() ? "" : " in " + folder) + ": " +
                    std::strerror(error) +
                    (error == ENOEXEC ? " (a script needs a first line like #!/bin/sh)" : ""));
  }
  return Child{.pid = pid, .pidfd = Fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)))};
}

// Follows a started program to its end.
class Waiter {
 public:
  Waiter(const Command& command, const Cancel& cancel, Child child, std::vector<Stream*> streams)
      : command_(command),
        cancel_(cancel),
        child_(std::move(child)),
        streams_(std::move(streams)) {}

  Result<Finished> wait() {
    Result<> log_state;
    while (!ended()) {
      decide_to_stop();
      auto state = poll_once();
      if (!state && log_state) {  // a log that cannot be written ends the program
        log_state = state;
        stop(Stop::watch, state.error().message);
      }
    }
    // What it left running in its group.
    kill(-child_.pid, SIGKILL);
    finished_.wall_s = seconds_since(start_);
    drain_rest();
    for (const auto* stream : streams_) finished_.logs_cut |= stream->cut;
    if (!log_state) return tl::unexpected(log_state.error());
    return finished_;
  }

 private:
  bool ended() {
    int status = 0;
    const pid_t got = waitpid(child_.pid, &status, WNOHANG);
    if (got == 0 || (got < 0 && errno == EINTR)) return false;
    if (WIFSIGNALED(status)) {
      finished_.signal = WTERMSIG(status);
    } else {
      finished_.exit_code = WEXITSTATUS(status);
    }
    return true;
  }

  void stop(Stop why, const std::string& reason) {
    if (finished_.stop != Stop::none) return;
    finished_.stop = why;
    finished_.reason = reason;
    stopped_at_ = Clock::now();
    kill(-child_.pid, SIGTERM);
  }

  void decide_to_stop() {
    if (finished_.stop != Stop::none) {
      if (!killed_ && seconds_since(stopped_at_) >= command_.grace_s) {
        kill(-child_.pid, SIGKILL);
        killed_ = true;
      }
      return;
    }
    if (cancel_.requested()) return stop(Stop::cancelled, "interrupted");
    if (command_.timeout_s > 0 && seconds_since(start_) >= command_.timeout_s) {
      return stop(Stop::timeout, "timed out after " + human_duration(command_.timeout_s));
    }
    if (command_.watch && seconds_since(watched_at_) >= 0.1) {
      watched_at_ = Clock::now();
      if (const auto reason = command_.watch()) stop(Stop::watch, *reason);
    }
  }

  Result<> poll_once() {
    std::vector<pollfd> fds;
    for (const auto* stream : streams_) {
      if (stream->pipe.get() >= 0) fds.push_back({stream->pipe.get(), POLLIN, 0});
    }
    if (child_.pidfd.get() >= 0) fds.push_back({child_.pidfd.get(), POLLIN, 0});
    // Without a pidfd (kernels before 5.3) the end is noticed by asking often.
    poll(fds.data(), fds.size(), child_.pidfd.get() >= 0 ? 50 : 5);
    for (auto* stream : streams_) {
      if (stream->pipe.get() < 0) continue;
      TRY_ASSIGN(const bool more, stream->drain());
      if (!more) stream->pipe.reset();
    }
    return {};
  }

  // A grandchild in a group of its own may hold a pipe open for ever; what is there is taken.
  void drain_rest() {
    for (auto* stream : streams_) {
      if (stream->pipe.get() < 0) continue;
      const auto more = stream->drain();
      static_cast<void>(more);  // the program has ended; its exit matters more than the log's end
    }
  }

  const Command& command_;
  const Cancel& cancel_;
  Child child_;
  std::vector<Stream*> streams_;
  Finished finished_;
  bool killed_ = false;
  Clock::time_point start_ = Clock::now(), stopped_at_ = start_, watched_at_ = start_;
};

void on_signal(int) { process_cancel().request(); }

}  // namespace

Cancel& process_cancel() {
  static Cancel cancel;
  return cancel;
}

void install_signal_handlers() {
  process_cancel();  // made before a handler may touch it
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaction(signal, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

Result<Finished> run_command(const Command& command, const Cancel& cancel) {
  Fd out_end, err_end;
  TRY_ASSIGN(Stream out, open_stream(command.stdout_file, command.most_log_bytes, out_end));
  Stream err;
  std::vector<Stream*> streams = {&out};
  if (!command.merge_streams) {
    TRY_ASSIGN(err, open_stream(command.stderr_file, command.most_log_bytes, err_end));
    streams.push_back(&err);
  }
  const int err_fd = command.merge_streams ? out_end.get() : err_end.get();
  TRY_ASSIGN(Child child, start(command, out_end.get(), err_fd));
  out_end.reset();
  err_end.reset();
  return Waiter(command, cancel, std::move(child), streams).wait();
}

Result<std::string> output_of(const std::vector<std::string>& argv, const Cancel& cancel,
                              double timeout_s) {
  const Fd out(memfd_create("stdout", MFD_CLOEXEC)), err(memfd_create("stderr", MFD_CLOEXEC));
  if (out.get() < 0 || err.get() < 0) {
    return fail(Exit::infrastructure,
                std::string("cannot make a memory file: ") + std::strerror(errno));
  }
  Command command;
  command.argv = argv;
  command.stdout_file = "/proc/self/fd/" + std::to_string(out.get());
  command.stderr_file = "/proc/self/fd/" + std::to_string(err.get());
  command.timeout_s = timeout_s;
  auto finished = run_command(command, cancel);
  auto text = read_file(command.stdout_file);
  const std::string errors = log_tail(command.stderr_file, 600);
  if (!finished) return tl::unexpected(finished.error());
  if (!finished->ok()) {
    std::string line;
    for (size_t i = 0; i < argv.size() && i < 4; ++i) line += (i ? " " : "") + argv[i];
    return fail(finished->stop == Stop::cancelled ? Exit::interrupted : Exit::infrastructure,
                "`" + line + (argv.size() > 4 ? " …" : "") + "` failed (" +
                    how_it_ended(*finished) + ")" + (errors.empty() ? "" : ": " + errors));
  }
  return text;
}

std::string find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const std::string path = search_path();
  std::string_view rest = path;
  while (!rest.empty()) {
    const size_t colon = rest.find(':');
    const std::string candidate = std::string(rest.substr(0, colon)) + "/" + name;
    if (access(candidate.c_str(), X_OK) == 0 && fs::is_regular_file(candidate)) return candidate;
    if (colon == std::string_view::npos) break;
    rest.remove_prefix(colon + 1);
  }
  return {};
}

std::string how_it_ended(const Finished& finished) {
  if (finished.stop != Stop::none) return finished.reason;
  if (finished.signal != 0) return "signal " + std::to_string(finished.signal);
  return "exit " + std::to_string(finished.exit_code);
}

}  // namespace greta::runner
