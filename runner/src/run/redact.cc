#include "run/redact.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "system/files.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

struct Needle {
  std::string bytes, instead;
};

// Longest first: one secret may hold another.
std::vector<Needle> needles_of(const std::map<std::string, std::string>& values) {
  std::vector<Needle> out;
  for (const auto& [name, value] : values) {
    const std::string instead = "[secret " + name + "]";
    out.push_back({value, instead});
    const std::string json =
        nlohmann::json(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    const std::string inner = json.substr(1, json.size() - 2);
    if (inner != value) out.push_back({inner, instead});
  }
  std::stable_sort(out.begin(), out.end(), [](const Needle& a, const Needle& b) {
    return a.bytes.size() > b.bytes.size();
  });
  return out;
}

// A file may be gigabytes: it is looked at where it lies, and read only when something is in it.
Result<bool> holds_any(const fs::path& file, const std::vector<Needle>& needles) {
  const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  struct stat state {};
  if (fd < 0 || fstat(fd, &state) != 0) {
    if (fd >= 0) close(fd);
    return fail(Exit::infrastructure, "cannot look for secrets in " + file.string());
  }
  bool found = false;
  const auto size = static_cast<size_t>(state.st_size);
  if (size > 0) {
    void* mapped = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (mapped == MAP_FAILED) {
      close(fd);
      return fail(Exit::infrastructure, "cannot look for secrets in " + file.string());
    }
    for (const Needle& needle : needles) {
      found |= memmem(mapped, size, needle.bytes.data(), needle.bytes.size()) != nullptr;
    }
    munmap(mapped, size);
  }
  close(fd);
  return found;
}

int64_t replace_all(std::string& text, const Needle& needle) {
  int64_t count = 0;
  for (size_t at = 0; (at = text.find(needle.bytes, at)) != std::string::npos;) {
    text.replace(at, needle.bytes.size(), needle.instead);
    at += needle.instead.size();
    ++count;
  }
  return count;
}

}  // namespace

Result<int64_t> redact(const fs::path& bundle, const std::map<std::string, std::string>& values) {
  int64_t places = 0;
  if (values.empty()) return places;
  const std::vector<Needle> needles = needles_of(values);
  std::vector<fs::path> files, named;
  std::error_code error;
  for (fs::recursive_directory_iterator it(bundle, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code ignored;
    const std::string name = it->path().filename().string();
    if (std::any_of(needles.begin(), needles.end(), [&](const Needle& needle) {
          return name.find(needle.bytes) != std::string::npos;
        })) {
      named.push_back(it->path());
      it.disable_recursion_pending();
    } else if (fs::is_regular_file(it->symlink_status(ignored))) {
      files.push_back(it->path());
    }
  }
  if (error) {
    return fail(Exit::infrastructure,
                "cannot look for secrets in " + bundle.string() + ": " + error.message());
  }
  for (const auto& path : named) {
    remove_tree(path);
    ++places;
  }
  for (const auto& file : files) {
    TRY_ASSIGN(const bool found, holds_any(file, needles));
    if (!found) continue;
    TRY_ASSIGN(std::string text, read_file(file));
    for (const Needle& needle : needles) places += replace_all(text, needle);
    TRY(write_file(file, text));
  }
  return places;
}

}  // namespace greta::runner
