#pragma once
// A persistent pool. Work is split statically, by worker number alone, so that who computes what is
// the same in every run. Workers spin briefly between ops of a forward pass, then sleep.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

namespace greta::kernels {

class ThreadPool {
 public:
  // `threads` workers, the caller being worker 0; at least one.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return size_; }

  // Calls task(worker) once on each of the workers and returns when all are done.
  template <class Task>
  void run(const Task& task) {
    run_erased([](const void* object, int worker) { (*static_cast<const Task*>(object))(worker); },
               &task);
  }

  // Splits [0, count) into one range a worker, cut at multiples of `grain`, and calls
  // task(begin, end, worker) for those that are not empty. Small work stays on the caller.
  template <class Task>
  void split(int64_t count, int64_t grain, const Task& task) {
    const int64_t grains = (count + grain - 1) / grain;
    if (size_ == 1 || grains <= 1) {
      if (count > 0) task(int64_t{0}, count, 0);
      return;
    }
    run([&](int worker) {
      const int64_t begin = grains * worker / size_ * grain;
      const int64_t end = std::min(count, grains * (worker + 1) / size_ * grain);
      if (begin < end) task(begin, end, worker);
    });
  }

 private:
  using Erased = void (*)(const void* object, int worker);
  void run_erased(Erased call, const void* object);
  void work(int worker);

  int size_ = 1;
  int spins_ = 0;
  std::vector<std::thread> threads_;
  Erased call_ = nullptr;
  const void* object_ = nullptr;
  alignas(64) std::atomic<uint32_t> round_{0};
  alignas(64) std::atomic<int32_t> running_{0};
  std::atomic<bool> stop_{false};
};

}  // namespace greta::kernels
