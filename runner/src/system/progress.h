#pragma once
// What a running greta says: on a terminal one live line for each thing under way, in a log a line
// when it ends, and now and then while it takes long, for programs (--json) one JSON object a line
// on stdout.

#include <chrono>
#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <thread>

namespace greta::runner {

class Progress {
 public:
  struct Options {
    bool terminal = false;  // stderr is one
    bool json = false;
    int verbosity = 1;
  };
  explicit Progress(Options options);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Something that takes time, from construction to done() or the end of its life.
  class Step {
   public:
    Step(Step&& other) noexcept;
    ~Step();
    // Replaces the live line by a last word: "built engine" → "built engine (35 s)". "" says
    // nothing.
    void done(const std::string& outcome);
    double seconds() const;

   private:
    friend class Progress;
    struct Line {
      std::string what;
      std::chrono::steady_clock::time_point start;
      double mention_at_s = 3;  // in a log: quick things are not mentioned before they end
    };
    Step(Progress* owner, std::shared_ptr<Line> line) : owner_(owner), line_(std::move(line)) {}
    Progress* owner_;
    std::shared_ptr<Line> line_;
  };
  // `what` reads with "…": "building engine", "B3.21 [2/8] fused, repeat 1: 2 prompts".
  Step begin(const std::string& what);

  void say(const std::string& line);     // unless −q
  void detail(const std::string& line);  // only with −v
  // One object on stdout, only with --json.
  void event(const nlohmann::json& event);

 private:
  void print(const std::string& line);
  void clear_live();
  void draw_live();
  void tick();

  Options options_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::list<std::shared_ptr<Step::Line>> live_;
  size_t drawn_ = 0;
  std::thread ticker_;
};

}  // namespace greta::runner
