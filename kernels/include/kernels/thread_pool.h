#pragma once
// A persistent pool. An op is cut into pieces that depend on its shape alone; whoever is free takes
// the next one. No result depends on who computed it, and a worker that the system has put aside
// delays nobody: the others, the caller among them, take its pieces.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
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

  // Calls task(piece, worker) for every piece of [0, pieces) and returns when all are done. No two
  // calls at a time have the same worker (0 ≤ worker < size()).
  template <class Task>
  void run(int32_t pieces, const Task& task) {
    if (size_ == 1 || pieces <= 1) {
      for (int32_t piece = 0; piece < pieces; ++piece) task(piece, 0);
      return;
    }
    run_erased(
        pieces,
        [](const void* object, int32_t piece, int worker) {
          (*static_cast<const Task*>(object))(piece, worker);
        },
        &task);
  }

  // Cuts [0, count) at multiples of `grain` into at most four pieces a worker and calls
  // task(begin, end, worker) for each. A grain is what is worth waking a worker for: a range no
  // longer than that stays with the caller.
  template <class Task>
  void split(int64_t count, int64_t grain, const Task& task) {
    const int64_t grains = (count + grain - 1) / grain;
    const int64_t most = size_ == 1 ? 1 : 4 * size_;
    const int64_t step = (grains + most - 1) / most * grain;
    if (count <= 0) return;
    run(static_cast<int32_t>((count + step - 1) / step), [&](int32_t piece, int worker) {
      task(piece * step, std::min(count, (piece + 1) * step), worker);
    });
  }

 private:
  using Erased = void (*)(const void* object, int32_t piece, int worker);
  void run_erased(int32_t pieces, Erased call, const void* object);
  bool take_one(int worker);
  void work(int worker);

  static constexpr int32_t kStop = -1;
  int size_ = 1;
  int spins_ = 0;
  std::vector<std::thread> threads_;
  // Written between rounds, read by whoever has taken a piece.
  Erased call_ = nullptr;
  const void* object_ = nullptr;
  alignas(64) std::atomic<int32_t> left_{0};  // pieces nobody has taken yet; kStop ends the workers
  alignas(64) std::atomic<int32_t> unfinished_{0};
};

}  // namespace greta::kernels
