#include "db/process_mark.h"

#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

namespace greta::store {
namespace {

constexpr int kStartTimeField = 22;  // of /proc/PID/stat, proc(5)

int64_t start_ticks(int64_t process_id) {
  std::ifstream in("/proc/" + std::to_string(process_id) + "/stat");
  std::stringstream all;
  all << in.rdbuf();
  std::string text = all.str();
  // The second field is the program's name in parentheses and may hold anything: count after it.
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(text.substr(name_end + 1));
  std::string word;
  std::string state;
  fields >> state;
  if (state == "Z" || state == "X") return 0;  // ended, only not yet waited for
  for (int field = 4; field <= kStartTimeField; ++field) fields >> word;
  return fields ? std::strtoll(word.c_str(), nullptr, 10) : 0;
}

std::string host_mark() {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  std::string boot;
  std::ifstream in("/proc/sys/kernel/random/boot_id");
  std::getline(in, boot);
  std::error_code ignored;
  const auto space = std::filesystem::read_symlink("/proc/self/ns/pid", ignored);
  return std::string(name.data()) + "|" + boot + "|" + space.string();
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, '|');) out.push_back(part);
  out.resize(3);
  return out;
}

}  // namespace

ProcessMark mark_of(int64_t process_id) {
  return {.id = process_id, .started_ticks = start_ticks(process_id), .host = host_mark()};
}

bool is_gone(const ProcessMark& mark) {
  const auto here = split(host_mark());
  const auto there = split(mark.host);
  if (there[0] != here[0]) return false;
  if (there[1] != here[1]) return true;
  if (there[2] != here[2]) return false;
  return start_ticks(mark.id) != mark.started_ticks || mark.started_ticks == 0;
}

}  // namespace greta::store
