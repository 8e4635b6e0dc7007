#include "session/windows.h"

#include <algorithm>
#include <string>

namespace greta::engine {
namespace {

std::vector<Window> side_by_side(int64_t tokens, int64_t context) {
  std::vector<Window> windows;
  for (int64_t first = 0; first + context <= tokens; first += context) {
    windows.push_back({first, context, std::min(context / 2, context - 2)});
  }
  return windows;
}

std::vector<Window> sliding(int64_t tokens, int64_t context, int64_t stride) {
  std::vector<Window> windows;
  int64_t next_target = 1;
  for (int64_t first = 0; next_target < tokens; first += stride) {
    const int64_t length = std::min(context, tokens - first);
    windows.push_back({first, length, next_target - 1 - first});
    next_target = first + length;
  }
  return windows;
}

}  // namespace

Result<std::vector<Window>> make_windows(int64_t tokens, const WindowLayout& layout) {
  const auto [context, stride, bos] = layout;
  if (context < 2) {
    return fail(EngineExit::usage,
                "--context " + std::to_string(context) +
                    ": a window has at least 2 tokens, one to predict the other");
  }
  if (stride < 0 || stride >= context) {
    return fail(EngineExit::usage, "--stride " + std::to_string(stride) + ": expected 1 to " +
                                       std::to_string(context - 1) +
                                       ", below the context, or 0 for windows side by side");
  }
  auto windows = stride == 0 ? side_by_side(tokens, context) : sliding(tokens, context, stride);
  if (windows.empty()) {
    const std::string needed = stride == 0 ? "a window of " + std::to_string(context) +
                                                 "; give a longer text, a smaller --context, or a "
                                                 "--stride, which takes the rest as well"
                                           : "2, one to predict the other";
    return fail(EngineExit::input,
                "the text has " + std::to_string(tokens) + " tokens, fewer than " + needed);
  }
  return windows;
}

int64_t scored_rows(const std::vector<Window>& windows) {
  int64_t rows = 0;
  for (const Window& window : windows) rows += window.scored();
  return rows;
}

}  // namespace greta::engine
