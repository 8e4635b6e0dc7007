#pragma once
// Whether podman or docker can run a sandboxed container here, and with which options. Machines
// differ (runtime, hard limits on open files, cgroup versions), so the probe runs the real command
// line on a tiny container and goes down a ladder until one works; the answer is remembered.

#include <string>

#include "container/container.h"
#include "system/process.h"

namespace greta::runner {

struct ToolState {
  Tool tool = Tool::podman;
  bool installed = false;
  bool usable = false;
  bool rootless = false;
  std::string version;  // "4.3.1"
  Quirks quirks;
  std::string found;    // "with --runtime runc", "as it is"
  std::string problem;  // why not usable
  std::string fix;      // what to do about it
};

// greta.store of the containers that a probe makes.
inline constexpr char kProbeLabel[] = "probe";

enum class Memory { use, probe_again };
ToolState probe_tool(Tool tool, const Cancel& cancel, Memory memory = Memory::use);

// The sets of options that are tried, in this order; the machine's own defaults come first.
std::vector<Quirks> quirk_ladder(const std::vector<std::string>& runtimes, int64_t hard_nofile);

}  // namespace greta::runner
