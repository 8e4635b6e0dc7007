#pragma once
// greta doctor: what works on this machine, what is missing, and the fix for each.

#include <string>
#include <vector>

#include "container/machine.h"
#include "container/tool_probe.h"

namespace greta::runner {

enum class Health { good, note, bad };

struct Finding {
  Health health = Health::good;
  std::string what = {};   // "podman"
  std::string state = {};  // "4.3.1, with --runtime runc"
  std::string fix = {};    // "" when nothing is to be done
};

// Pure: what the state of machine and tools means for a user.
std::vector<Finding> tool_findings(const ToolState& podman, const ToolState& docker);
std::vector<Finding> device_findings(const Machine& machine);

std::string to_text(const std::vector<Finding>& findings);

}  // namespace greta::runner
