#pragma once
// flock on a file: one greta at a time for a cell, a build or an image. The kernel releases it when
// the process dies, however it dies.

#include <filesystem>
#include <functional>
#include <string>

#include "contract/result.h"
#include "system/process.h"

namespace greta::runner {

class FileLock {
 public:
  // Waits until it is free; `on_wait` is called once if it is not free at once. The file is removed
  // on release. Errors: interrupted, no permission.
  static Result<FileLock> acquire(const std::filesystem::path& file, const Cancel& cancel,
                                  const std::function<void()>& on_wait = {});
  // The same for a lock that several users share: the file is everybody's, and stays.
  static Result<FileLock> acquire_shared(const std::filesystem::path& file, const Cancel& cancel,
                                         const std::function<void()>& on_wait = {});
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock() { release(); }
  void release();

 private:
  FileLock(int fd, std::filesystem::path file) : fd_(fd), file_(std::move(file)) {}
  int fd_ = -1;
  std::filesystem::path file_;  // to be removed; "" stays
};

}  // namespace greta::runner
