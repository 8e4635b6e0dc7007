// greta-init: the parent of every engine, first process of its container. Linked statically, for it
// runs inside any image.
//
//   greta-init --report FILE [--contained] [--no-sockets] -- PROGRAM ARG…
//
// A program that is the first process of a container behaves otherwise than anywhere else: signals
// that it does not handle do not reach it, abort() shows as a crash of another kind, and nobody
// waits for what it leaves behind. So this one is the first: it passes signals on, waits for every
// orphan, and ends what outlives the program (on a host as well, in whatever process group).
//
// --contained: it also watches the counters of the container's own cgroup, since those are gone
// when the container is, and stops everything at the first limit that struck.
// --no-sockets: the first network socket stops everything. (There is no network to reach; this
// makes the attempt known.)
//
// FILE gets a line when it starts and others when it ends, which is what greta trusts; a container
// tool has one number for an engine's exit, a signal and a failure of its own:
//
//   started
//   strays N                    on a host: processes of PROGRAM that ran on, and were killed
//   exit N | signal N | refused ERRNO | limit pids | limit memory | limit machine-memory |
//   limit socket
//
// refused: PROGRAM could not be executed. machine-memory: killed for lack of memory, but not by the
// container's limit.

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <initializer_list>

namespace {

constexpr int kLookEveryMs = 100;
// Between passing TERM on and KILL; less than greta waits before it kills this process.
constexpr long kGraceMs = 2500;
constexpr long kStrayMs = 2000;

struct Options {
  const char* report = nullptr;
  bool contained = false;
  bool no_sockets = false;
  char** program = nullptr;
};

long now_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

[[noreturn]] void die(const char* what, const char* name) {
  std::fprintf(stderr, "Error: greta-init: %s %s: %s\n", what, name, std::strerror(errno));
  _exit(125);
}

// At most `size` - 1 bytes of a file; false if it cannot be read.
bool read_small(const char* path, char* out, size_t size) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const ssize_t n = read(fd, out, size - 1);
  close(fd);
  out[n < 0 ? 0 : n] = '\0';
  return n >= 0;
}

// Counters of this container's cgroup. In version 2 they lie in one folder, which is the root that
// the container sees unless it shares the host's view; in version 1 each controller has its own.
class Counters {
 public:
  Counters() {
    char line[512] = {};
    if (!read_small("/proc/self/cgroup", line, sizeof line)) return;
    const char* unified = std::strstr(line, "0::");
    if (unified == nullptr) return;
    std::snprintf(folder_, sizeof folder_, "/sys/fs/cgroup%.*s",
                  static_cast<int>(std::strcspn(unified + 3, "\n")), unified + 3);
  }

  long pids_refused() const {
    return first({count(folder_, "pids.events", "max"),
                  count("/sys/fs/cgroup", "pids.events", "max"),
                  count("/sys/fs/cgroup/pids", "pids.events", "max")});
  }
  long killed_for_memory() const {
    return first({count(folder_, "memory.events", "oom_kill"),
                  count("/sys/fs/cgroup", "memory.events", "oom_kill"),
                  count("/sys/fs/cgroup/memory", "memory.oom_control", "oom_kill")});
  }
  // Whether the container's own limit was reached, or the machine's memory was at its end. Version
  // 1 has no counter of it that every kernel keeps.
  bool memory_limit_reached() const {
    const long reached = first({count(folder_, "memory.events", "oom"),
                                count("/sys/fs/cgroup", "memory.events", "oom"), -1});
    if (reached >= 0) return reached > 0;
    const char* const folder = "/sys/fs/cgroup/memory";
    constexpr long kNearBytes = 1 << 20;
    return count(folder, "memory.max_usage_in_bytes", "") + kNearBytes >=
           count(folder, "memory.limit_in_bytes", "");
  }

 private:
  // The number after `key` in a file of "key number" lines; -1 when there is none.
  static long count(const char* folder, const char* file, const char* key) {
    char path[640], text[1024], wanted[32];
    std::snprintf(path, sizeof path, "%s/%s", folder, file);
    if (folder[0] == '\0' || !read_small(path, text, sizeof text)) return -1;
    std::snprintf(wanted, sizeof wanted, "%s ", key);
    for (const char* line = text; line != nullptr; line = std::strchr(line, '\n')) {
      if (*line == '\n') ++line;
      if (key[0] == '\0') return std::atol(line);
      if (std::strncmp(line, wanted, std::strlen(wanted)) == 0) {
        return std::atol(line + std::strlen(wanted));
      }
    }
    return -1;
  }
  struct Candidates {
    long a, b, c;
  };
  static long first(Candidates of) { return of.a >= 0 ? of.a : of.b >= 0 ? of.b : of.c; }

  char folder_[512] = {};
};

#if defined(__x86_64__)
constexpr unsigned kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr unsigned kArchitecture = AUDIT_ARCH_AARCH64;
#endif

// Everything that follows, children too, asks us before it gets a network socket. Answers the
// descriptor to listen on. Where somebody listens already (a container within one that does), such
// a call kills its process instead, and SIGSYS says so; then the answer is -1.
int refuse_sockets() {
  const auto load = [](size_t offset) {
    return sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<unsigned>(offset)};
  };
  const auto jump = [](unsigned value, unsigned char yes, unsigned char no) {
    return sock_filter{BPF_JMP | BPF_JEQ | BPF_K, yes, no, value};
  };
  const auto answer = [](unsigned action) { return sock_filter{BPF_RET | BPF_K, 0, 0, action}; };
  for (const unsigned action : {SECCOMP_RET_USER_NOTIF, SECCOMP_RET_KILL_PROCESS}) {
    sock_filter code[] = {load(offsetof(seccomp_data, arch)),
                          jump(kArchitecture, 0, 6),
                          load(offsetof(seccomp_data, nr)),
                          jump(SYS_socket, 0, 4),
                          load(offsetof(seccomp_data, args[0])),
                          jump(AF_INET, 3, 0),
                          jump(AF_INET6, 2, 0),
                          jump(AF_PACKET, 1, 0),
                          answer(SECCOMP_RET_ALLOW),
                          answer(action)};
    const sock_fprog program{sizeof code / sizeof *code, code};
    const unsigned flags = action == SECCOMP_RET_USER_NOTIF ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0;
    const long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
    if (fd >= 0) return flags != 0 ? static_cast<int>(fd) : -1;
  }
  die("cannot set", "a filter for network sockets");
}

class Init {
 public:
  explicit Init(const Options& options) : options_(options) {
    report_ = open(options.report, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (report_ < 0) die("cannot write", options.report);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_DUMPABLE, 0);  // the program may not reach into this process
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, nullptr);
    signals_ = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    if (options.no_sockets) {
      prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
      sockets_ = refuse_sockets();
    }
  }

  int run() {
    say("started", -1);
    const int error = start();
    if (error != 0) {
      say("refused", error);
      return 127;
    }
    while (!ended_ && limit_ == nullptr && !overdue()) look();
    // An engine may end before anybody looked.
    if (options_.contained && limit_ == nullptr) check_counters();
    if (!options_.contained) end_strays();
    if (getpid() == 1) kill(-1, SIGKILL);  // nobody is left to write over the last line
    return conclude();
  }

 private:
  // All lines again each time: the file is open to the program too, and whatever it wrote there
  // must not stand beside what is true.
  void say(const char* what, int number) {
    const size_t room = sizeof lines_ - said_;
    const int n = number < 0 ? std::snprintf(lines_ + said_, room, "%s\n", what)
                             : std::snprintf(lines_ + said_, room, "%s %d\n", what, number);
    said_ += static_cast<size_t>(n);
    const bool emptied = ftruncate(report_, 0) == 0;
    if (!emptied || pwrite(report_, lines_, said_, 0) != static_cast<ssize_t>(said_)) {
      die("cannot write", options_.report);
    }
  }

  // 0, or why the program cannot be executed.
  int start() {
    int status[2];
    if (pipe2(status, O_CLOEXEC) != 0) die("cannot make", "a pipe");
    const pid_t self = getpid();
    child_ = fork();
    if (child_ < 0) die("cannot start", options_.program[0]);
    if (child_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != self) _exit(127);
      if (options_.contained) setpgid(0, 0);
      sigset_t none;
      sigemptyset(&none);
      sigprocmask(SIG_SETMASK, &none, nullptr);
      // execvp would hand a text without a first line to the shell.
      if (std::strchr(options_.program[0], '/') != nullptr) {
        execv(options_.program[0], options_.program);
      } else {
        execvp(options_.program[0], options_.program);
      }
      const int error = errno;
      const ssize_t ignored = write(status[1], &error, sizeof error);
      static_cast<void>(ignored);
      _exit(127);
    }
    close(status[1]);
    int error = 0;
    const ssize_t n = read(status[0], &error, sizeof error);
    close(status[0]);
    return n == sizeof error ? error : 0;
  }

  bool overdue() const { return stop_at_ != 0 && now_ms() >= stop_at_; }

  void look() {
    pollfd fds[] = {{signals_, POLLIN, 0}, {sockets_, POLLIN, 0}};
    poll(fds, 2, kLookEveryMs);
    signalfd_siginfo got{};
    while (read(signals_, &got, sizeof got) == sizeof got) pass_on(static_cast<int>(got.ssi_signo));
    reap();
    if ((fds[1].revents & POLLIN) != 0 && asked_for_socket()) limit_ = "limit socket";
    if (options_.contained && limit_ == nullptr) check_counters();
  }

  void pass_on(int signal) {
    if (signal != SIGTERM && signal != SIGINT && signal != SIGHUP && signal != SIGQUIT) return;
    // On a host the sender reached the whole process group.
    if (options_.contained) kill(-child_, signal);
    if (stop_at_ == 0) stop_at_ = now_ms() + kGraceMs;
  }

  void reap() {
    for (;;) {
      int status = 0;
      const pid_t pid = waitpid(-1, &status, WNOHANG);
      if (pid <= 0) return;
      if (pid != child_) continue;
      ended_ = true;
      if (WIFSIGNALED(status)) {
        signal_ = WTERMSIG(status);
      } else {
        exit_code_ = WEXITSTATUS(status);
      }
    }
  }

  bool asked_for_socket() const {
    seccomp_notif request{};
    return ioctl(sockets_, SECCOMP_IOCTL_NOTIF_RECV, &request) == 0;
  }

  void check_counters() {
    if (counters_.killed_for_memory() > 0) {
      limit_ = counters_.memory_limit_reached() ? "limit memory" : "limit machine-memory";
    } else if (counters_.pids_refused() > 0) {
      limit_ = "limit pids";
    }
  }

  // What is left of the program on a host: each orphan is our child, and when it is killed so are
  // its own.
  void end_strays() {
    const long until = now_ms() + kStrayMs;
    char path[64], list[4096];
    int strays = 0, first = 1;  // counted in the first list; those of later ones are theirs
    std::snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    while (waitpid(-1, nullptr, WNOHANG) >= 0 && now_ms() < until) {
      if (!read_small(path, list, sizeof list)) break;
      for (char* at = list; *at != '\0';) {
        char* end = at;
        const long pid = std::strtol(at, &end, 10);
        if (end == at) break;
        kill(static_cast<pid_t>(pid), SIGKILL);
        strays += first;
        at = end;
      }
      first = 0;
      usleep(500);
    }
    if (strays > 0) say("strays", strays);
  }

  int conclude() {
    if (limit_ != nullptr) {
      say(limit_, -1);
      return 128 + SIGKILL;
    }
    if (ended_ && signal_ == 0) {
      say("exit", exit_code_);
      return exit_code_;
    }
    const int signal = ended_ ? signal_ : SIGKILL;
    // Without a listener the kernel itself ends who asks for a socket.
    if (options_.no_sockets && sockets_ < 0 && signal == SIGSYS) {
      say("limit socket", -1);
    } else {
      say("signal", signal);
    }
    return 128 + signal;
  }

  const Options& options_;
  Counters counters_;
  char lines_[256] = {};
  size_t said_ = 0;
  int report_ = -1, signals_ = -1, sockets_ = -1;
  pid_t child_ = -1;
  bool ended_ = false;
  int exit_code_ = 0, signal_ = 0;
  long stop_at_ = 0;  // 0: nobody asked us to stop
  const char* limit_ = nullptr;
};

}  // namespace

int main(int argc, char** argv) {
  Options options;
  int i = 1;
  for (; i < argc && std::strcmp(argv[i], "--") != 0; ++i) {
    if (std::strcmp(argv[i], "--contained") == 0) {
      options.contained = true;
    } else if (std::strcmp(argv[i], "--no-sockets") == 0) {
      options.no_sockets = true;
    } else if (std::strcmp(argv[i], "--report") == 0 && i + 1 < argc) {
      options.report = argv[++i];
    } else {
      break;
    }
  }
  if (options.report == nullptr || i + 1 >= argc || std::strcmp(argv[i], "--") != 0) {
    std::fputs(
        "usage: greta-init --report FILE [--contained] [--no-sockets] -- PROGRAM ARG…\n"
        "greta starts it; nobody needs to.\n",
        stderr);
    return 2;
  }
  options.program = argv + i + 1;
  return Init(options).run();
}
