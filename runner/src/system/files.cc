#include "system/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <vector>

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

tl::unexpected<Error> io_error(const char* what, const fs::path& path) {
  return fail(Exit::infrastructure,
              std::string("cannot ") + what + " " + path.string() + ": " + std::strerror(errno));
}

// Start time of a process in clock ticks since boot; "" when there is no such process. A zombie is
// no owner: it can do nothing more.
std::string start_time(std::string_view pid) {
  std::ifstream in("/proc/" + std::string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(in)), {});
  // The second field is the program's name in brackets and may hold anything; fields count from
  // the last bracket: state is field 3, starttime field 22.
  const size_t bracket = text.rfind(')');
  if (bracket == std::string::npos) return {};
  size_t begin = bracket + 2;
  if (begin < text.size() && text[begin] == 'Z') return {};
  for (int field = 3; field < 22; ++field) {
    begin = text.find(' ', begin);
    if (begin == std::string::npos) return {};
    ++begin;
  }
  return text.substr(begin, text.find(' ', begin) - begin);
}

}  // namespace

Result<std::string> read_file(const fs::path& file) {
  const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return io_error("read", file);
  std::string bytes;
  char buffer[1 << 16];
  for (;;) {
    const ssize_t n = read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      auto error = io_error("read", file);
      close(fd);
      return error;
    }
    if (n == 0) break;
    bytes.append(buffer, static_cast<size_t>(n));
  }
  close(fd);
  return bytes;
}

Result<> write_file(const fs::path& file, std::string_view bytes) {
  const fs::path part = file.string() + ".part" + std::to_string(getpid());
  const int fd = open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return io_error("write", file);
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      auto error = io_error("write", file);
      close(fd);
      unlink(part.c_str());
      return error;
    }
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  if (fsync(fd) != 0 || close(fd) != 0 || rename(part.c_str(), file.c_str()) != 0) {
    auto error = io_error("write", file);
    unlink(part.c_str());
    return error;
  }
  return {};
}

Result<> make_folders(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    return fail(Exit::infrastructure,
                "cannot make the folder " + folder.string() + ": " + error.message());
  }
  return {};
}

Result<> make_durable_folders(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> parents;
  for (fs::path at = folder; !at.empty() && !fs::exists(at, error); at = at.parent_path()) {
    parents.push_back(at.has_parent_path() ? at.parent_path() : fs::path("."));
  }
  TRY(make_folders(folder));
  for (const auto& parent : parents) TRY(sync_path(parent));
  return {};
}

Result<> sync_path(const fs::path& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return io_error("open", path);
  const bool good = fsync(fd) == 0;
  auto error = io_error("flush", path);
  close(fd);
  if (!good) return error;
  return {};
}

Result<> sync_tree(const fs::path& folder) {
  std::vector<fs::path> paths = {folder};
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    paths.push_back(it->path());
  }
  if (error) {
    return fail(Exit::infrastructure, "cannot walk " + folder.string() + ": " + error.message());
  }
  for (auto it = paths.rbegin(); it != paths.rend(); ++it) TRY(sync_path(*it));
  return {};
}

void remove_tree(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (!error) return;
  // A build may leave folders without write permission; open them and try again.
  for (fs::recursive_directory_iterator it(path, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code ignored;
    if (it->is_directory(ignored) && !it->is_symlink(ignored)) {
      fs::permissions(it->path(), fs::perms::owner_all, fs::perm_options::add, ignored);
    }
  }
  fs::remove_all(path, error);
}

Result<> empty_folder(const fs::path& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) remove_tree(entry.path());
  if (!error && fs::is_empty(folder, error)) return {};
  return fail(Exit::infrastructure, "cannot empty " + folder.string());
}

std::string log_tail(const fs::path& file, size_t most) {
  auto text = read_file(file);
  if (!text) return {};
  while (!text->empty() && text->back() == '\n') text->pop_back();
  if (text->size() <= most) return *text;
  const size_t cut = text->size() - most;
  const size_t line = text->find('\n', cut);
  return text->substr(line == std::string::npos ? cut : line + 1);
}

std::string this_owner() {
  const std::string pid = std::to_string(getpid());
  return pid + ":" + start_time(pid);
}

bool owner_is_alive(std::string_view owner) {
  const size_t colon = owner.find(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const std::string_view pid = owner.substr(0, colon);
  if (pid.find_first_not_of("0123456789") != std::string_view::npos) return false;
  return start_time(pid) == owner.substr(colon + 1);
}

std::string this_machine() {
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  std::ifstream in("/proc/sys/kernel/random/boot_id");
  std::string boot;
  std::getline(in, boot);
  std::error_code ignored;
  return std::string(name) + "/" + boot + "/" +
         fs::read_symlink("/proc/self/ns/pid", ignored).string();
}

bool owner_is_gone(std::string_view owner, std::string_view machine) {
  const std::string here = this_machine();
  if (machine == here) return !owner_is_alive(owner);
  const auto host_of = [](std::string_view of) { return of.substr(0, of.find('/')); };
  const auto boot_of = [&](std::string_view of) {
    const size_t host = host_of(of).size();
    return of.substr(0, of.find('/', host + 1));
  };
  return !machine.empty() && host_of(machine) == host_of(here) && boot_of(machine) != boot_of(here);
}

std::string utc_time(std::chrono::system_clock::time_point when) {
  using namespace std::chrono;
  const auto ms = duration_cast<milliseconds>(when.time_since_epoch()).count();
  const std::time_t seconds = static_cast<std::time_t>(ms / 1000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char date[32];
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
  char text[48];
  std::snprintf(text, sizeof text, "%s.%03dZ", date, static_cast<int>(ms % 1000));
  return text;
}

std::string human_duration(double seconds) {
  char text[48];
  if (seconds < 10) {
    std::snprintf(text, sizeof text, "%.1f s", seconds);
  } else if (seconds < 100) {
    std::snprintf(text, sizeof text, "%.0f s", seconds);
  } else {
    const auto whole = static_cast<long>(std::lround(seconds));
    std::snprintf(text, sizeof text, "%ld min %02ld s", whole / 60, whole % 60);
  }
  return text;
}

std::string human_bytes(double bytes) {
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < std::size(units)) bytes /= 1024, ++unit;
  char text[32];
  std::snprintf(text, sizeof text, bytes < 10 && unit > 0 ? "%.1f %s" : "%.0f %s", bytes,
                units[unit]);
  return text;
}

}  // namespace greta::runner
