#pragma once
// Which tokens of a text are scored, and with how much text before them. A model sees at most
// `context` tokens at a time; a window is one such sequence, from an empty cache.

#include <cstdint>
#include <vector>

#include "contract/result.h"

namespace greta::engine {

struct WindowLayout {
  int64_t context = 0;  // tokens of a window
  // 0: windows side by side; the second half of each is scored, so that every scored token has at
  // least half a window before it; what does not fill a window is left out (as llama.cpp does).
  // Else a window starts this many tokens after the one before and scores what none has scored yet:
  // all of the first, the last `stride` tokens of the others.
  int64_t stride = 0;
  int32_t bos = -1;  // put in the place of the first token of every window; −1: nothing is
  bool operator==(const WindowLayout&) const = default;
};

// Row r of a window predicts token first + r + 1 of the text; rows [first_scored, length − 1)
// count.
struct Window {
  int64_t first = 0, length = 0, first_scored = 0;
  int64_t scored() const { return length - 1 - first_scored; }
  int64_t target(int64_t row) const { return first + row + 1; }
};

// Errors (EngineExit::usage): a context below 2, a stride below 0 or not below the context;
// (EngineExit::input) too few tokens to score one.
Result<std::vector<Window>> make_windows(int64_t tokens, const WindowLayout& layout);

int64_t scored_rows(const std::vector<Window>& windows);

}  // namespace greta::engine
