#pragma once
// Work of the reference over threads: the same shares for a count whatever they compute.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace greta::reference {

// f(first, last) over [0, count).
inline void share(int64_t threads, int64_t count, const std::function<void(int64_t, int64_t)>& f) {
  const int64_t shares = std::clamp<int64_t>(threads, 1, std::max<int64_t>(count, 1));
  std::vector<std::jthread> workers;
  for (int64_t i = 1; i < shares; ++i) {
    workers.emplace_back(f, count * i / shares, count * (i + 1) / shares);
  }
  f(0, count / shares);
}

}  // namespace greta::reference
