#pragma once
// Which process a run belongs to, so that a later greta can tell whether it is still there. A pid
// alone does not: pids are reused, and another host or container has its own.

#include <cstdint>
#include <string>

namespace greta::store {

struct ProcessMark {
  int64_t id = 0;
  int64_t started_ticks = 0;  // since boot, /proc/PID/stat; 0 when there is no such process
  std::string host;           // "name|boot id|pid namespace"
};

ProcessMark mark_of(int64_t process_id);

// Whether it is certain that the process has ended: same host, and another boot, or same boot and
// namespace without such a process. What cannot be known is taken as alive.
bool is_gone(const ProcessMark& mark);

}  // namespace greta::store
