#include "system/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>

#include "system/files.h"
#include "system/json.h"

namespace greta::runner {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// The first `columns` characters; bytes that continue a UTF-8 character take no column.
std::string cut_to_columns(const std::string& text, size_t columns) {
  size_t used = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool starts = (static_cast<unsigned char>(text[i]) & 0xc0) != 0x80;
    if (starts && used++ == columns) return text.substr(0, i);
  }
  return text;
}

size_t terminal_columns() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

constexpr double kMentionEvery_s = 30;  // the first time after Step::Line::mention_at_s

}  // namespace

Progress::Progress(Options options) : options_(options) {
  if (options_.verbosity >= 1) ticker_ = std::thread([this] { tick(); });
}

Progress::~Progress() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    clear_live();
  }
  wake_.notify_all();
  if (ticker_.joinable()) ticker_.join();
}

void Progress::clear_live() {
  for (; drawn_ > 0; --drawn_) std::fputs("\x1b[1A\x1b[2K", stderr);
}

void Progress::draw_live() {
  if (!options_.terminal || options_.verbosity < 1) return;
  clear_live();
  for (const auto& line : live_) {
    const std::string text = line->what + " … " + human_duration(seconds_since(line->start));
    std::fprintf(stderr, "%s\n", cut_to_columns(text, terminal_columns() - 1).c_str());
    ++drawn_;
  }
  std::fflush(stderr);
}

void Progress::print(const std::string& text) {
  clear_live();
  std::fprintf(stderr, "%s\n", text.c_str());
  draw_live();
}

void Progress::tick() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    wake_.wait_for(lock, std::chrono::milliseconds(200));
    if (stopping_) return;
    if (options_.terminal) {
      draw_live();
      continue;
    }
    for (const auto& line : live_) {
      const double elapsed_s = seconds_since(line->start);
      if (elapsed_s < line->mention_at_s) continue;
      line->mention_at_s = elapsed_s + kMentionEvery_s;
      std::fprintf(stderr, "%s … %s\n", line->what.c_str(), human_duration(elapsed_s).c_str());
    }
  }
}

Progress::Step Progress::begin(const std::string& what) {
  auto line = std::make_shared<Step::Line>(
      Step::Line{.what = what, .start = std::chrono::steady_clock::now()});
  const std::lock_guard lock(mutex_);
  live_.push_back(line);
  draw_live();
  return {this, line};
}

Progress::Step::Step(Step&& other) noexcept
    : owner_(std::exchange(other.owner_, nullptr)), line_(std::move(other.line_)) {}

Progress::Step::~Step() {
  if (owner_ != nullptr) done("");
}

double Progress::Step::seconds() const { return seconds_since(line_->start); }

void Progress::Step::done(const std::string& outcome) {
  if (owner_ == nullptr) return;
  const std::lock_guard lock(owner_->mutex_);
  owner_->live_.remove(line_);
  if (!outcome.empty() && owner_->options_.verbosity >= 1) {
    owner_->print(outcome + " (" + human_duration(seconds()) + ")");
  } else {
    owner_->draw_live();
  }
  owner_ = nullptr;
}

void Progress::say(const std::string& line) {
  const std::lock_guard lock(mutex_);
  if (options_.verbosity >= 1) print(line);
}

void Progress::detail(const std::string& line) {
  const std::lock_guard lock(mutex_);
  if (options_.verbosity >= 2) print(line);
}

void Progress::event(const nlohmann::json& event) {
  if (!options_.json) return;
  const std::lock_guard lock(mutex_);
  std::printf("%s\n", event.dump(-1, ' ', false, SortedJson::error_handler_t::replace).c_str());
  std::fflush(stdout);
}

}  // namespace greta::runner
