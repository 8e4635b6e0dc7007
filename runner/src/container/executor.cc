#include "container/executor.h"

#include <unistd.h>

#include <atomic>
#include <sstream>

#include "system/environment.h"
#include "system/files.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kNobody = 65534;

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

Result<Finished> run_on_host(const Job& job, const Cancel& cancel) {
  Command command;
  command.argv = job.argv;
  command.environment = job.environment;
  command.environment->insert(job.secrets.begin(), job.secrets.end());
  command.environment->try_emplace("PATH", search_path());
  command.environment->try_emplace("HOME", home_folder());
  command.working_folder = job.workdir;
  command.stdout_file = job.stdout_file;
  command.stderr_file = job.stderr_file;
  command.merge_streams = job.merge_streams;
  command.most_log_bytes = job.log_bytes;
  command.timeout_s = job.timeout_s;
  command.most_file_bytes = job.file_bytes;
  command.watch = job.watch;
  return run_command(command, cancel);
}

std::string inside_of(const Job& job, const fs::path& host) {
  for (const auto& mount : job.mounts) {
    if (mount.host == host) return mount.inside;
  }
  return {};
}

ContainerSpec container_of(const Executor& executor, const Job& job) {
  static std::atomic<int> count = 0;
  const User user = job_user();
  ContainerSpec spec;
  spec.tool = executor.tool.tool;
  spec.quirks = executor.tool.quirks;
  spec.rootless = executor.tool.rootless;
  spec.image = executor.image;
  spec.name =
      "greta-" + job.purpose + "-" + std::to_string(getpid()) + "-" + std::to_string(count++);
  spec.labels = {{"greta.owner", this_owner()}, {"greta.store", executor.label}};
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

// podman and docker answer 125, 126 or 127 for a container that did not start, and say so in a line
// of their own; an engine may exit with the same numbers.
bool did_not_start(const Finished& finished, const std::string& log) {
  if (finished.exit_code < 125 || finished.exit_code > 127) return false;
  return log.starts_with("Error: ") || log.find("\nError: ") != std::string::npos ||
         log.find("docker: Error response") != std::string::npos;
}

Result<Finished> run_in_container(const Executor& executor, const Job& job, const Cancel& cancel) {
  const ContainerSpec spec = container_of(executor, job);
  Command command;
  command.argv = run_argv(spec);
  // podman's monitor leaves a file `oom` in its working folder when the memory limit strikes.
  command.working_folder = job.stdout_file.parent_path();
  command.stdout_file = job.stdout_file;
  command.stderr_file = job.stderr_file;
  command.merge_streams = job.merge_streams;
  command.most_log_bytes = job.log_bytes;
  command.timeout_s = job.timeout_s;
  command.watch = job.watch;
  auto finished = run_command(command, cancel);
  if (!finished || finished->stop != Stop::none || finished->signal != 0) {
    // The client is gone, the container may not be. This must happen even when we are interrupted.
    const Cancel never;
    static_cast<void>(output_of(remove_argv(spec.tool, spec.name), never, 60));
  }
  if (!finished) return finished;
  const std::string log = log_tail(job.merge_streams ? job.stdout_file : job.stderr_file, 1500);
  if (finished->stop == Stop::none && did_not_start(*finished, log)) {
    return fail(Exit::infrastructure, "the container did not start: " + log);
  }
  if (finished->signal == 0 && finished->exit_code > 128 && finished->exit_code < 128 + 65) {
    finished->signal = finished->exit_code - 128;
    finished->exit_code = -1;
  }
  return finished;
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
  return executor.isolated() ? run_in_container(executor, job, cancel) : run_on_host(job, cancel);
}

int remove_orphans(const Executor& executor, const Cancel& cancel) {
  if (!executor.isolated()) return 0;
  const auto listed = output_of(
      {to_string(executor.kind), "ps", "--all", "--filter", "label=greta.owner", "--format",
       executor.kind == ExecutorKind::podman
           ? "{{.ID}} {{index .Labels \"greta.owner\"}} {{index .Labels \"greta.store\"}}"
           : "{{.ID}} {{.Label \"greta.owner\"}} {{.Label \"greta.store\"}}"},
      cancel, 30);
  if (!listed) return 0;
  int removed = 0;
  std::istringstream lines(*listed);
  for (std::string id, owner, store; lines >> id >> owner >> store;) {
    const bool ours = store == executor.label || store == kProbeLabel;
    if (!ours || owner_is_alive(owner)) continue;
    removed += output_of(remove_argv(executor.tool.tool, id), cancel, 60).has_value();
  }
  return removed;
}

}  // namespace greta::runner
