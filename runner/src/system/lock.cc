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

namespace {

tl::unexpected<Error> cannot_lock(const std::filesystem::path& file) {
  return fail(Exit::infrastructure, "cannot lock " + file.string() + ": " + std::strerror(errno));
}

// Waits for the lock on an open file. `said`: on_wait was called, now or before.
Result<> wait_for(int fd, const Cancel& cancel, const std::function<void()>& on_wait, bool& said) {
  while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (cancel.requested()) return fail(Exit::interrupted, "interrupted");
    if (!said && on_wait) on_wait();
    said = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return {};
}

}  // namespace

Result<FileLock> FileLock::acquire(const std::filesystem::path& file, const Cancel& cancel,
                                   const std::function<void()>& on_wait) {
  bool said = false;
  for (;;) {
    const int fd = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) return cannot_lock(file);
    FileLock lock(fd, {});
    TRY(wait_for(fd, cancel, on_wait, said));
    // The holder before us may have removed the file while we waited: then our lock is on a file
    // that nobody else will find.
    struct stat ours {
    }, there{};
    if (fstat(fd, &ours) == 0 && stat(file.c_str(), &there) == 0 && ours.st_ino == there.st_ino) {
      lock.file_ = file;
      return lock;
    }
  }
}

Result<FileLock> FileLock::acquire_shared(const std::filesystem::path& file, const Cancel& cancel,
                                          const std::function<void()>& on_wait) {
  // First without O_CREAT: in a folder like /tmp the kernel refuses that for another user's file.
  int fd = -1;
  do {
    fd = open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT) {
      fd = open(file.c_str(), O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    }
  } while (fd < 0 && errno == EEXIST);
  if (fd < 0) return cannot_lock(file);
  FileLock lock(fd, {});
  bool said = false;
  TRY(wait_for(fd, cancel, on_wait, said));
  return lock;
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
  if (!file_.empty()) unlink(file_.c_str());
  close(fd_);
  fd_ = -1;
}

}  // namespace greta::runner
