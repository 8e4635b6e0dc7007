#pragma once
// Where kernels run (a pool of threads, scratch memory) and where launches are counted.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/thread_pool.h"
#include "kernels/types.h"

namespace greta::kernels {

enum class Op : uint8_t {
  embedding,
  rms_norm,
  matmul,
  matmul_int8,
  matmul_int8_tiles,
  rope,
  kv_update,
  fused_rope_kv_update_decode,
  attention_decode,
  attention_prefill,
  attention_decode_bf16acc,
  swiglu,
  add,
};
inline constexpr int kOps = 13;
inline constexpr int kDTypes = 9;
const char* to_string(Op op);

// What runs when `op` is launched on this machine for elements of `type` (weights for embedding and
// matmul, cache for kv_update, fused_… and attention_…; f32 elsewhere).
struct KernelIdentity {
  std::string id;       // "attention_decode.cpu"
  std::string op;       // "attention_decode"
  std::string variant;  // instruction set, and element type where it selects the code: "avx512-f16"
  // XXH3-64 over the machine code of the function. The same for every run of one binary; a rebuild
  // may change it. 0: the binary has no symbol table (variant ends in "-stripped").
  uint64_t code_hash = 0;
};
KernelIdentity identity(Op op, DType type);

// The instruction set that was chosen for this CPU: "avx512", "avx2", "sse4", …
std::string isa();

struct Launched {
  KernelIdentity kernel;
  int64_t launches = 0;
};

class Context {
 public:
  explicit Context(int threads) : pool_(threads), scratch_(static_cast<size_t>(pool_.size()) + 1) {}
  ThreadPool& pool() { return pool_; }
  // Scratch memory of one worker, 64-byte aligned, contents undefined. It only grows, so that a
  // steady decode loop allocates nothing.
  std::span<float> scratch(int worker, int64_t floats);
  // The same for what all workers read.
  std::span<float> shared_scratch(int64_t floats) { return scratch(pool_.size(), floats); }
  void count(Op op, DType type) { ++launches_[static_cast<int>(op)][static_cast<int>(type)]; }
  // What was launched at least once, in the order of Op.
  std::vector<Launched> launched() const;

 private:
  struct AlignedFree {
    void operator()(float* memory) const;
  };
  struct Scratch {
    std::unique_ptr<float[], AlignedFree> memory;
    int64_t floats = 0;
  };
  ThreadPool pool_;
  std::vector<Scratch> scratch_;
  int64_t launches_[kOps][kDTypes] = {};
};

}  // namespace greta::kernels
