#include "kernels/thread_pool.h"

#include <algorithm>

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
  spins_ = size_ <= processors ? 4000 : 0;
  for (int worker = 1; worker < size_; ++worker) {
    threads_.emplace_back([this, worker] { work(worker); });
  }
}

ThreadPool::~ThreadPool() {
  stop_.store(true, std::memory_order_relaxed);
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::run_erased(Erased call, const void* object) {
  if (size_ == 1) {
    call(object, 0);
    return;
  }
  call_ = call;
  object_ = object;
  running_.store(size_ - 1, std::memory_order_relaxed);
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  call(object, 0);
  for (int spin = 0; spin < spins_; ++spin) {
    if (running_.load(std::memory_order_acquire) == 0) return;
    relax();
  }
  for (int32_t left; (left = running_.load(std::memory_order_acquire)) != 0;) running_.wait(left);
}

void ThreadPool::work(int worker) {
  uint32_t seen = 0;
  while (true) {
    for (int spin = 0; spin < spins_; ++spin) {
      if (round_.load(std::memory_order_acquire) != seen) break;
      relax();
    }
    round_.wait(seen, std::memory_order_acquire);
    seen = round_.load(std::memory_order_acquire);
    if (stop_.load(std::memory_order_relaxed)) return;
    call_(object_, worker);
    if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) running_.notify_one();
  }
}

}  // namespace greta::kernels
