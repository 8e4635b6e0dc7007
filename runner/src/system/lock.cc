#include "system/lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

namespace greta::runner {

Result<FileLock> FileLock::acquire(const std::filesystem::path& file, const Cancel& cancel,
                                   const std::function<void()>& on_wait) {
  bool said = false;
  for (;;) {
    const int fd = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
      return fail(Exit::infrastructure,
                  "cannot lock " + file.string() + ": " + std::strerror(errno));
    }
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
      if (cancel.requested()) {
        close(fd);
        return fail(Exit::interrupted, "interrupted");
      }
      if (!said && on_wait) on_wait();
      said = true;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    // The holder before us may have removed the file while we waited: then our lock is on a file
    // that nobody else will find.
    struct stat ours {
    }, there{};
    if (fstat(fd, &ours) == 0 && stat(file.c_str(), &there) == 0 && ours.st_ino == there.st_ino) {
      return FileLock(fd, file);
    }
    close(fd);
  }
}

FileLock::FileLock(FileLock&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), file_(std::move(other.file_)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  release();
  fd_ = std::exchange(other.fd_, -1);
  file_ = std::move(other.file_);
  return *this;
}

void FileLock::release() {
  if (fd_ < 0) return;
  unlink(file_.c_str());
  close(fd_);
  fd_ = -1;
}

}  // namespace greta::runner
