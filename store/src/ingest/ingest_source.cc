#include "ingest/ingest_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "contract/text.h"

namespace greta::store {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

class FileReader : public ByteReader {
 public:
  FileReader(Descriptor fd, std::string place) : fd_(std::move(fd)), place_(std::move(place)) {}
  Result<size_t> read(char* to, size_t size) override {
    while (true) {
      const ssize_t got = ::read(fd_.get(), to, size);
      if (got >= 0) return static_cast<size_t>(got);
      if (errno != EINTR)
        return fail(Exit::infrastructure, place_ + ": cannot be read: " + std::strerror(errno));
    }
  }

 private:
  Descriptor fd_;
  std::string place_;
};

class MemoryReader : public ByteReader {
 public:
  explicit MemoryReader(std::string_view bytes) : bytes_(bytes) {}
  Result<size_t> read(char* to, size_t size) override {
    const size_t got = std::min(size, bytes_.size());
    std::copy_n(bytes_.data(), got, to);
    bytes_.remove_prefix(got);
    return got;
  }

 private:
  std::string_view bytes_;
};

Error unsafe(const std::string& name, const std::string& why) {
  return Error{.message = "file name `" + printable(name) + "` in the manifest: " + why};
}

}  // namespace

Result<std::unique_ptr<ByteReader>> FolderSource::open(const std::string& name) {
  const std::filesystem::path path(name);
  if (name.empty() || path.is_absolute() || name.find('\0') != std::string::npos)
    return tl::unexpected(unsafe(name, "must be relative to the bundle"));
  Descriptor at(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (at.get() < 0)
    return fail(Exit::infrastructure, folder_.string() + ": " + std::strerror(errno));
  for (auto part = path.begin(); part != path.end(); ++part) {
    if (*part == ".." || *part == "." || part->empty())
      return tl::unexpected(unsafe(name, "`" + part->string() + "` is not allowed in it"));
    const bool last = std::next(part) == path.end();
    // Step by step without following links: no component can lead elsewhere, not even by a race.
    const int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | (last ? O_NONBLOCK : O_DIRECTORY);
    Descriptor next(::openat(at.get(), part->c_str(), flags));
    if (next.get() < 0) {
      if (errno == ELOOP || errno == ENOTDIR)
        return tl::unexpected(unsafe(name, "symbolic links are not followed"));
      return fail(Exit::infrastructure, place(name) + ": " + std::strerror(errno));
    }
    at = std::move(next);
  }
  struct stat info {};
  if (fstat(at.get(), &info) != 0 || !S_ISREG(info.st_mode))
    return tl::unexpected(unsafe(name, "not a regular file"));
  return std::make_unique<FileReader>(std::move(at), place(name));
}

Result<std::unique_ptr<ByteReader>> MemorySource::open(const std::string& name) {
  const auto it = files_.find(name);
  if (it == files_.end()) return fail(Exit::infrastructure, name + ": no such file in the bundle");
  return std::make_unique<MemoryReader>(it->second);
}

Result<std::string> read_all(BundleSource& source, const std::string& name, size_t most) {
  TRY_ASSIGN(const auto reader, source.open(name));
  std::string out;
  std::string buffer(64 << 10, '\0');
  while (true) {
    TRY_ASSIGN(const size_t got, reader->read(buffer.data(), buffer.size()));
    if (got == 0) return out;
    out.append(buffer, 0, got);
    if (out.size() > most) {
      return fail(Exit::usage,
                  source.place(name) + ": larger than " + std::to_string(most) + " bytes");
    }
  }
}

}  // namespace greta::store
