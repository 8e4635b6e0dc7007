#pragma once
// Where engines run: podman, docker (sandboxed, the same for both) or this host (no isolation).

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "container/container.h"
#include "container/tool_probe.h"
#include "contract/result.h"
#include "system/process.h"

namespace greta::runner {

enum class ExecutorKind { podman, docker, host };
std::string to_string(ExecutorKind kind);

struct Executor {
  ExecutorKind kind = ExecutorKind::host;
  ToolState tool;     // podman, docker
  std::string image;  // what containers are made from; set once the image is resolved
  std::string label;  // greta.store on every container
  std::string run;    // greta.run on every container

  bool isolated() const { return kind != ExecutorKind::host; }
  std::string version() const;  // "podman 4.3.1", "host"
};

// `asked`: podman, docker, host, or "" for the best that works here. Errors (infrastructure) name
// what is missing and the fix.
Result<Executor> choose_executor(const std::string& asked, const Cancel& cancel);

// One program to run. Paths in argv come from place(): as the program will see them.
struct Job {
  std::string purpose;  // part of the container's name: run, build, describe
  std::vector<std::string> argv;
  std::map<std::string, std::string> environment;
  std::map<std::string, std::string> secrets;  // more of it, never on a command line
  std::vector<Mount> mounts;
  std::filesystem::path workdir;  // on this machine; must be one of the mounts
  std::filesystem::path stdout_file, stderr_file;
  bool merge_streams = false;
  double timeout_s = 0;
  int64_t memory_bytes = 0, pids = 0, file_bytes = 0;
  int64_t log_bytes = int64_t{64} << 20;  // kept of each stream
  int64_t tmp_bytes = int64_t{1} << 30;
  bool no_sockets = false;  // in a container: the first network socket stops it
  Devices devices;
  std::function<std::optional<std::string>()> watch;
  // Told why before the job is tried again; undoes what it may have written. Without it only a job
  // that never started is tried again.
  std::function<Result<>(const std::string& why)> again;
};

// Makes a path visible to the job and answers how the job will see it: `inside` in a container,
// the path itself on the host. A writable folder is given to the user that the job runs as.
std::string place(const Executor& executor, const std::filesystem::path& host,
                  const std::string& inside, bool writable, Job& job);

// Runs it to its end. A limit of the sandbox that struck (processes, memory, a network socket) is a
// Stop::watch whose reason names it. Where the container tool failed (a container that did not
// start, one that is gone without a word of its engine) the job is tried twice more, and then it is
// Stop::lost. Stopped containers are removed before this returns. On the host the environment is
// the job's, PATH and HOME, and nothing of what the job started outlives it. Errors
// (infrastructure): the program cannot be executed there.
Result<Finished> run_job(const Executor& executor, const Job& job, const Cancel& cancel);

// Ids of the containers, of any store, whose greta is certainly gone.
std::vector<std::string> find_orphans(const Executor& executor, const Cancel& cancel);
// Removes them. Returns how many.
int remove_orphans(const Executor& executor, const Cancel& cancel);

}  // namespace greta::runner
