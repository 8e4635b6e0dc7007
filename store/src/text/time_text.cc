#include "text/time_text.h"

#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>

namespace greta::store {
namespace {

std::string format(const char* pattern, bool milliseconds) {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 40> text{};
  size_t size = std::strftime(text.data(), text.size(), pattern, &utc);
  if (milliseconds) {
    const auto since = now.time_since_epoch();
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(since).count() % 1000;
    size += static_cast<size_t>(
        std::snprintf(text.data() + size, text.size() - size, ".%03dZ", static_cast<int>(ms)));
  }
  return {text.data(), size};
}

}  // namespace

std::string utc_now() { return format("%Y-%m-%dT%H:%M:%S", true); }
std::string utc_now_basic() { return format("%Y%m%dT%H%M%SZ", false); }

}  // namespace greta::store
