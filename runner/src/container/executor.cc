#include "container/executor.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <sstream>
#include <thread>

#include "container/init_report.h"
#include "system/environment.h"
#include "system/files.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kNobody = 65534;
constexpr int kMostTries = 3;
constexpr double kPause_s = 0.5;  // before the second try; twice that before the third
const char* const kInitInside = "/greta/init";
const char* const kReportInside = "/greta/end";

struct User {
  int64_t uid = kNobody, gid = kNobody;
};

// Root's engines run as nobody; anybody else's as themselves (in rootless podman the ids are
// mapped, with docker there is no other way to write where the user may).
User job_user() {
  if (geteuid() == 0) return {};
  return {static_cast<int64_t>(geteuid()), static_cast<int64_t>(getegid())};
}

std::string explain(const ToolState& state) {
  return state.problem + (state.fix.empty() ? "" : " → " + state.fix);
}

// A path of its own for what greta-init has to say, beside the job's logs.
fs::path report_of(const Job& job, const std::string& name) {
  return job.stdout_file.parent_path() / (name + ".end");
}

std::string job_name(const Job& job) {
  static std::atomic<int> count = 0;
  return "greta-" + job.purpose + "-" + std::to_string(getpid()) + "-" + std::to_string(count++);
}

tl::unexpected<Error> refused(const Job& job, int error, bool in_container) {
  std::string why = std::strerror(error);
  if (error == ENOEXEC) why += " (a script needs a first line like #!/bin/sh)";
  if (error == ENOENT && in_container) {
    why += " (the image has no such program, or lacks its interpreter or loader)";
  }
  return fail(Exit::infrastructure, "cannot execute " + job.argv[0] +
                                        (in_container ? " in the container: " : ": ") + why);
}

Command command_of(const Job& job) {
  Command command;
  command.stdout_file = job.stdout_file;
  command.stderr_file = job.stderr_file;
  command.merge_streams = job.merge_streams;
  command.most_log_bytes = job.log_bytes;
  command.timeout_s = job.timeout_s;
  command.watch = job.watch;
  return command;
}

Result<Finished> run_on_host(const Job& job, const Cancel& cancel) {
  TRY_ASSIGN(const fs::path init, find_init());
  const std::string program = find_program(job.argv.at(0));
  if (program.empty()) {
    return fail(Exit::infrastructure, "no program `" + job.argv[0] + "` here (not in PATH)");
  }
  const fs::path report_file = report_of(job, job_name(job));
  Command command = command_of(job);
  command.argv = init_argv(init.string(), report_file.string(), InitMode::host, job.argv);
  command.environment = job.environment;
  command.environment->insert(job.secrets.begin(), job.secrets.end());
  command.environment->try_emplace("PATH", search_path());
  command.environment->try_emplace("HOME", home_folder());
  command.working_folder = job.workdir;
  command.most_file_bytes = job.file_bytes;
  auto finished = run_command(command, cancel);
  const InitReport report = read_init_report(report_file);
  std::error_code ignored;
  fs::remove(report_file, ignored);
  if (!finished) return finished;
  if (report.refused != 0) return refused(job, report.refused, false);
  finished->left_running = report.strays > 0;
  if (report.ended) {
    finished->exit_code = report.exit_code;
    finished->signal = report.signal;
  }
  return finished;
}

std::string inside_of(const Job& job, const fs::path& host) {
  for (const auto& mount : job.mounts) {
    if (mount.host == host) return mount.inside;
  }
  return {};
}

ContainerSpec container_of(const Executor& executor, const Job& job) {
  const User user = job_user();
  ContainerSpec spec;
  spec.tool = executor.tool.tool;
  spec.quirks = executor.tool.quirks;
  spec.rootless = executor.tool.rootless;
  spec.image = executor.image;
  spec.name = job_name(job);
  spec.labels = {{"greta.owner", this_owner()},
                 {"greta.machine", this_machine()},
                 {"greta.store", executor.label}};
  if (!executor.run.empty()) spec.labels["greta.run"] = executor.run;
  spec.uid = user.uid;
  spec.gid = user.gid;
  spec.mounts = job.mounts;
  spec.environment = job.environment;
  // greta's own environment, which the tool inherits, is where the values come from.
  for (const auto& [name, value] : job.secrets) spec.secrets.push_back(name);
  spec.environment.try_emplace("HOME", "/tmp");
  spec.workdir = inside_of(job, job.workdir);
  spec.argv = job.argv;
  spec.memory_bytes = job.memory_bytes;
  spec.pids = job.pids;
  spec.file_bytes = job.file_bytes;
  spec.tmp_bytes = job.tmp_bytes;
  spec.devices = job.devices;
  return spec;
}

void give_to_job(const fs::path& path) {
  if (geteuid() != 0) return;
  const auto give = [](const fs::path& one) {
    return lchown(one.c_str(), static_cast<uid_t>(kNobody), static_cast<gid_t>(kNobody));
  };
  static_cast<void>(give(path));  // a failure shows as the job's own "permission denied"
  std::error_code error;
  for (fs::recursive_directory_iterator it(path, error), end; !error && it != end;
       it.increment(error)) {
    static_cast<void>(give(it->path()));
  }
}

std::string limit_text(const std::string& limit, const Job& job) {
  if (limit == "pids") return "pid limit: " + std::to_string(job.pids) + " processes";
  if (limit == "memory") {
    return "out of memory: the limit is " + human_bytes(static_cast<double>(job.memory_bytes));
  }
  if (limit == "machine-memory") {
    return "killed by the kernel: this machine is out of memory (the limit of " +
           human_bytes(static_cast<double>(job.memory_bytes)) + " was not reached)";
  }
  return "opened a network socket: the sandbox has no network";
}

// Whether the tool's client saw the end that greta-init saw. If not, the way between was cut, and
// what the program wrote to its streams may not be whole.
bool agree(const InitReport& report, const Finished& client) {
  const int told = report.signal != 0 ? 128 + report.signal : report.exit_code;
  return report.ended && client.signal == 0 && (report.refused != 0 || client.exit_code == told);
}

// What the tool itself says has no line of greta-init behind it, and no number that an engine could
// not exit with as well.
Finished lost(Finished finished, const InitReport& report, const std::string& tool,
              const std::string& log) {
  const std::string how = finished.signal != 0
                              ? "was killed by signal " + std::to_string(finished.signal)
                              : "exit " + std::to_string(finished.exit_code);
  finished.stop = Stop::lost;
  finished.reason = report.started ? "the container is gone, how its program ended is unknown (" +
                                         tool + ": " + how + ")"
                                   : "the container did not start (" + tool + ": " + how + ")";
  if (!log.empty()) finished.reason += ": " + log;
  return finished;
}

Result<Finished> run_in_container(const Executor& executor, const Job& job, const Cancel& cancel,
                                  bool& started) {
  TRY_ASSIGN(const fs::path init, find_init());
  ContainerSpec spec = container_of(executor, job);
  const fs::path report_file = report_of(job, spec.name);
  TRY(write_file(report_file, ""));
  give_to_job(report_file);
  spec.mounts.push_back({init, kInitInside, false});
  spec.mounts.push_back({report_file, kReportInside, true});
  spec.argv = init_argv(kInitInside, kReportInside,
                        job.no_sockets ? InitMode::contained_without_sockets : InitMode::contained,
                        job.argv);
  Command command = command_of(job);
  command.argv = run_argv(spec);
  // podman's monitor leaves a file `oom` in its working folder when the memory limit strikes.
  command.working_folder = job.stdout_file.parent_path();
  auto finished = run_command(command, cancel);
  const InitReport report = read_init_report(report_file);
  std::error_code ignored;
  fs::remove(report_file, ignored);
  const bool saw_oom = fs::remove(command.working_folder / "oom", ignored);
  const bool known = finished && agree(report, *finished);
  if (!known || finished->stop != Stop::none) {
    // The client is gone, the container may not be. This must happen even when we are interrupted.
    const Cancel never;
    static_cast<void>(output_of(remove_argv(spec.tool, spec.name), never, 60));
  }
  started = report.started;
  if (!finished || finished->stop != Stop::none) return finished;
  if (report.refused != 0) return refused(job, report.refused, true);
  if (!report.limit.empty() || (!known && saw_oom)) {
    finished->stop = Stop::watch;
    finished->reason = limit_text(report.limit.empty() ? "memory" : report.limit, job);
  } else if (!known) {
    const std::string log = log_tail(job.merge_streams ? job.stdout_file : job.stderr_file, 1500);
    return lost(*finished, report, to_string(spec.tool), log);
  }
  finished->exit_code = report.exit_code;
  finished->signal = report.signal;
  return finished;
}

void pause(double seconds, const Cancel& cancel) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (std::chrono::steady_clock::now() < until && !cancel.requested()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

}  // namespace

std::string to_string(ExecutorKind kind) {
  switch (kind) {
    case ExecutorKind::podman:
      return "podman";
    case ExecutorKind::docker:
      return "docker";
    case ExecutorKind::host:
      break;
  }
  return "host";
}

std::string Executor::version() const {
  return isolated() ? to_string(kind) + " " + tool.version : "host";
}

Result<Executor> choose_executor(const std::string& asked, const Cancel& cancel) {
  Executor executor;
  if (asked == "host") return executor;
  if (!asked.empty() && asked != "podman" && asked != "docker") {
    return fail(Exit::usage, "--executor: `" + asked + "` is none of podman, docker, host");
  }
  std::string missing;
  for (const auto& [kind, tool] : {std::pair{ExecutorKind::podman, Tool::podman},
                                   std::pair{ExecutorKind::docker, Tool::docker}}) {
    if (!asked.empty() && asked != to_string(kind)) continue;
    executor.kind = kind;
    executor.tool = probe_tool(tool, cancel);
    if (executor.tool.usable) return executor;
    if (cancel.requested()) return fail(Exit::interrupted, "interrupted");
    missing += "\n  " + explain(executor.tool);
  }
  return fail(Exit::infrastructure,
              "no container tool works here:" + missing +
                  "\n  or `--executor host` runs the engine on this machine without isolation");
}

std::string place(const Executor& executor, const fs::path& host, const std::string& inside,
                  bool writable, Job& job) {
  if (!executor.isolated()) return host.string();
  if (writable) give_to_job(host);
  job.mounts.push_back({host, inside, writable});
  return inside;
}

Result<Finished> run_job(const Executor& executor, const Job& job, const Cancel& cancel) {
  if (!executor.isolated()) return run_on_host(job, cancel);
  for (int tries = 1;; ++tries) {
    bool started = false;
    TRY_ASSIGN(Finished finished, run_in_container(executor, job, cancel, started));
    finished.tries = tries;
    const bool last = tries == kMostTries || cancel.requested() || (started && !job.again);
    if (finished.stop != Stop::lost || last) return finished;
    if (job.again) TRY(job.again(finished.reason));
    pause(kPause_s * tries, cancel);
  }
}

std::vector<std::string> find_orphans(const Executor& executor, const Cancel& cancel) {
  std::vector<std::string> orphans;
  if (!executor.isolated()) return orphans;
  const bool podman = executor.kind == ExecutorKind::podman;
  const auto listed = output_of(
      {to_string(executor.kind), "ps", "--all", "--filter", "label=greta.owner", "--format",
       podman ? "{{.ID}} {{index .Labels \"greta.owner\"}} {{index .Labels \"greta.machine\"}}"
              : "{{.ID}} {{.Label \"greta.owner\"}} {{.Label \"greta.machine\"}}"},
      cancel, 30);
  if (!listed) return orphans;
  std::istringstream lines(*listed);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string id, owner, machine;
    words >> id >> owner >> machine;
    if (owner_is_gone(owner, machine)) orphans.push_back(id);
  }
  return orphans;
}

int remove_orphans(const Executor& executor, const Cancel& cancel) {
  int removed = 0;
  for (const auto& id : find_orphans(executor, cancel)) {
    removed += output_of(remove_argv(executor.tool.tool, id), cancel, 60).has_value();
  }
  return removed;
}

}  // namespace greta::runner
