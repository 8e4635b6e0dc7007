#pragma once
// SIGINT and SIGTERM stop a run between two tokens: files are closed whole, and the exit code is
// 128 + signal. A second signal ends the process at once.

#include <memory>

#include "forward/probe.h"

namespace greta::engine {

void catch_interrupts();
// A model is mapped, not copied: when its file is cut short while it is in use, the process says so
// and ends with EngineExit::input.
void catch_cut_files();
// Its end_pass() fails, with the exit code, once a signal came.
std::unique_ptr<Probe> make_interrupt_probe();

}  // namespace greta::engine
