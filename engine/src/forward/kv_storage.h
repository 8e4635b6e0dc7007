#pragma once
// Owns the memory of a KvCache.

#include <cstddef>
#include <cstdint>
#include <memory>

#include "forward/kv_cache.h"

namespace greta::engine {

// What slots hold before they are written.
enum class SlotFill : uint8_t {
  poison,  // NaN: whoever reads past the sequence gets NaN
  stale,   // finite numbers, as an earlier sequence leaves them (for faults that read such slots)
};

class KvStorage {
 public:
  KvStorage(KvType type, int64_t layers, int64_t kv_heads, int64_t capacity, int64_t head_dim,
            SlotFill fill);
  KvCache& cache() { return cache_; }
  const KvCache& cache() const { return cache_; }
  // Forgets the sequence; every slot that it may have written is filled again.
  void reset();

 private:
  struct Free {
    void operator()(std::byte* memory) const;
  };
  using Memory = std::unique_ptr<std::byte[], Free>;
  void fill(int64_t positions);

  SlotFill fill_;
  Memory k_, v_;
  KvCache cache_;
};

}  // namespace greta::engine
