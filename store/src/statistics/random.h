#pragma once
// Random numbers that are the same on every machine: the distributions of the standard library are
// not.

#include <cstdint>
#include <random>
#include <utility>
#include <vector>

namespace greta::store {

class Draw {
 public:
  explicit Draw(uint64_t seed) : engine_(seed) {}

  // 0 … count - 1; count below 2^32.
  size_t below(size_t count) {
    return static_cast<size_t>(((engine_() >> 32) * static_cast<uint64_t>(count)) >> 32);
  }
  void shuffle(std::vector<double>& values) {
    for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[below(i)]);
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace greta::store
