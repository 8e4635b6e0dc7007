#pragma once
// What a long step is at, as one line on stderr that is written over. Shown on a terminal, or where
// the user asks for it.

#include <chrono>
#include <string>

namespace greta::engine {

class Progress {
 public:
  enum class Show { on_terminal, always };
  explicit Progress(Show show);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() { clear(); }
  // A terminal is told of what takes longer than the eye follows; a log file has the first step,
  // then a line each two seconds.
  void show(const std::string& text);
  void show(const std::string& what, double done, double total, const std::string& unit);
  void clear();  // takes the line away

 private:
  const bool terminal_, on_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point next_;
};

}  // namespace greta::engine
