#include "cli/cli_progress.h"

#include <unistd.h>

#include <cstdio>

namespace greta::engine {
namespace {

constexpr std::chrono::milliseconds kNoPause(0), kTerminalPause(200), kLogPause(2000);

}  // namespace

Progress::Progress(Show show)
    : terminal_(isatty(STDERR_FILENO) == 1),
      on_(terminal_ || show == Show::always),
      next_(std::chrono::steady_clock::now() + (terminal_ ? kTerminalPause : kNoPause)) {}

void Progress::show(const std::string& text) {
  const auto now = std::chrono::steady_clock::now();
  if (!on_ || now < next_) return;
  next_ = now + (terminal_ ? kTerminalPause : kLogPause);
  shown_ = true;
  std::fprintf(stderr, terminal_ ? "\r\033[K%s" : "%s\n", text.c_str());
}

void Progress::show(const std::string& what, double done, double total, const std::string& unit) {
  char numbers[80];
  std::snprintf(numbers, sizeof numbers, " %.0f %% of %.4g ", 100 * done / total, total);
  show(what + numbers + unit);
}

void Progress::clear() {
  if (shown_ && terminal_) std::fputs("\r\033[K", stderr);
  shown_ = false;
}

}  // namespace greta::engine
