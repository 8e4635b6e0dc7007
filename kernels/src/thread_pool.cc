#include "kernels/thread_pool.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace greta::kernels {
namespace {

inline void relax() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads) : size_(std::max(1, threads)) {
  // The gap between two ops is a few microseconds; waking a sleeper costs more. With more workers
  // than processors spinning would only take time from the one that is waited for.
  const auto processors = static_cast<int>(std::thread::hardware_concurrency());
  spins_ = size_ <= processors ? 2000 : 0;
  for (int worker = 1; worker < size_; ++worker) {
    threads_.emplace_back([this, worker] { work(worker); });
  }
}

ThreadPool::~ThreadPool() {
  left_.store(kStop, std::memory_order_release);
  left_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::run_erased(int32_t pieces, Erased call, const void* object) {
  call_ = call;
  object_ = object;
  unfinished_.store(pieces, std::memory_order_relaxed);
  left_.store(pieces, std::memory_order_release);
  left_.notify_all();
  while (take_one(0)) {
  }
  for (int spin = 0; spin < spins_; ++spin) {
    if (unfinished_.load(std::memory_order_acquire) == 0) return;
    relax();
  }
  for (int32_t open; (open = unfinished_.load(std::memory_order_acquire)) != 0;) {
    unfinished_.wait(open);
  }
}

// A piece taken keeps its round open, so that call_ and object_ are those of the round: a worker
// that read left_ in an earlier round and takes a piece now takes it in this one.
bool ThreadPool::take_one(int worker) {
  int32_t left = left_.load(std::memory_order_acquire);
  do {
    if (left <= 0) return false;
  } while (!left_.compare_exchange_weak(left, left - 1, std::memory_order_acq_rel,
                                        std::memory_order_acquire));
  call_(object_, left - 1, worker);
  if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished_.notify_one();
  return true;
}

void ThreadPool::work(int worker) {
  while (true) {
    for (int spin = 0; spin < spins_; ++spin) {
      if (left_.load(std::memory_order_acquire) != 0) break;
      relax();
    }
    left_.wait(0, std::memory_order_acquire);
    if (left_.load(std::memory_order_acquire) == kStop) return;
    while (take_one(worker)) {
    }
  }
}

}  // namespace greta::kernels
