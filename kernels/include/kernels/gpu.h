#pragma once
// The ops of a llama forward pass on a GPU, from one HIP source (kernels/gpu) for three targets:
//   emu   on this CPU, 64 lanes of a wave in lockstep, MFMA with its documented lanes and
//   arithmetic cuda  NVIDIA, sm_90 hip   AMD, gfx942
// Pointers are addresses of the device. Work is queued in order; download() and synchronize() wait.
// Each op checks shapes and alignment before it launches, and each launch is checked and counted.
//
// Shapes: T tokens, C columns, O outputs, Hq query heads, Hkv KV heads, D head_dim: a multiple of
// 8, up to 128. Row t of a launch stands at position *pos0 + t, where pos0 lies in device memory,
// so that a captured graph serves every step.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/types.h"

namespace greta::kernels {
class ThreadPool;
}

namespace greta::kernels::gpu {

enum class Target : uint8_t { emu, cuda, hip };
const char* to_string(Target target);

// How products of attention are formed: vector code, or the matrix unit (MFMA; mma.sync on NVIDIA).
enum class Route : uint8_t { valu, mfma };
// manual: scores, softmax and values, one kernel each. fused: one pass, in splits, and a merge.
enum class AttentionKernel : uint8_t { manual, fused };
// Running sums of attention: fp32, or rounded after each addition.
enum class Accumulate : uint8_t { f32, f16, bf16 };
// What the emulator's matrix unit does with 16-bit products: as published for CDNA3, or fp32 FMAs.
enum class MfmaArithmetic : uint8_t { cdna3, fma };

// Faults that a test puts into a kernel, each of which a check must find.
enum class KernelFault : uint8_t {
  none,
  transposed_tile,   // a result tile of the matrix unit stored with rows and columns exchanged
  no_split_rescale,  // splits added up without bringing them to one maximum
  gqa_map,           // query head h reads KV head h mod Hkv
  no_max_subtract,
  misaligned_load,      // q read one float further on
  query_heads_in_grid,  // the fused update launched over query heads instead of KV heads
};
const char* to_string(KernelFault fault);

// What went wrong, in one line; empty: nothing.
struct [[nodiscard]] Ran {
  std::string error;
  bool ok() const { return error.empty(); }
};

// Elements [0, size) in device memory.
template <class T>
struct Span {
  T* data = nullptr;
  int64_t size = 0;
  Span sub(int64_t first, int64_t count) const { return {data + first, count}; }
  operator Span<const T>() const requires(!std::is_const_v<T>) { return {data, size}; }
};

// A weight matrix (rows = outputs, columns = inputs) as it lies in the model file.
struct Matrix {
  DType type = DType::f32;
  Span<const std::byte> bytes = {};
  int64_t rows = 0, columns = 0;
};

// K and V of one layer, (Hkv, capacity, D) each; F32, F16 or BF16; 16-byte aligned.
struct KvLayer {
  DType type = DType::f32;
  Span<std::byte> k = {}, v = {};
  int64_t kv_heads = 0, capacity = 0, head_dim = 0;
};

struct EmbeddingOp {
  Matrix table = {};                // (vocab, C)
  Span<const int32_t> tokens = {};  // (T)
  Span<float> out = {};             // (T, C)
};
struct RmsNormOp {
  Span<const float> x = {}, weight = {};  // (T, C), (C)
  Span<float> out = {};                   // (T, C)
  float eps = 0;
};
// mfma: tiles of the matrix unit (fast numerics, many tokens), x rounded to bf16 where weights are.
struct MatmulOp {
  Matrix weight = {};        // (O, C)
  Span<const float> x = {};  // (T, C)
  Span<float> out = {};      // (T, O)
  Route route = Route::valu;
};
struct RopeOp {
  Span<float> x = {};               // (T, H, D)
  Span<const float> rotation = {};  // (positions, D): cos_0, sin_0, cos_1, …
  Span<const int32_t> pos0 = {};    // (1)
  int64_t heads = 0, head_dim = 0;
  bool half_split = false;
};
struct KvUpdateOp {
  Span<const float> k = {}, v = {};  // (T, Hkv, D)
  KvLayer cache = {};
  Span<const int32_t> pos0 = {};
};
struct FusedRopeKvUpdateOp {
  Span<float> q = {}, k = {};                          // (T, Hq, D), (T, Hkv, D): rotated in place
  Span<const float> v = {};                            // (T, Hkv, D)
  Span<const float> q_rotation = {}, k_rotation = {};  // (positions, D)
  KvLayer cache = {};
  Span<const int32_t> pos0 = {};
  int64_t heads = 0;
  bool half_split = false;
  KernelFault fault = KernelFault::none;
};
// out = softmax(scale · q Kᵀ) V for T rows; the keys [0, *pos0 + t] of row t. `keys`: the largest
// number of them that this launch may meet (≤ capacity); it sizes grid and scratch.
struct AttentionOp {
  Span<const float> q = {};  // (T, Hq, D) after RoPE, 16-byte aligned
  KvLayer cache = {};
  Span<const int32_t> pos0 = {};
  Span<float> out = {};  // (T, Hq, D)
  int64_t heads = 0, keys = 0;
  float scale = 0;
  AttentionKernel kernel = AttentionKernel::fused;
  Route route = Route::valu;
  Accumulate accumulate = Accumulate::f32;
  Span<std::byte> scratch = {};  // attention_scratch() bytes, 16-byte aligned
  // Where somebody asks: scaled scores and weights, (T, Hq, keys) each. Both or none.
  Span<float> scores = {}, weights = {};
  KernelFault fault = KernelFault::none;
};
int64_t attention_scratch(const AttentionOp& op);  // bytes
struct TwoInputsOp {
  Span<const float> a = {}, b = {};
  Span<float> out = {};  // may be a or b
};
struct ArgmaxOp {
  Span<const float> values = {};
  Span<int32_t> id = {};  // (1): of the largest value, the smallest of equals; −1: all are NaN
};

// A kernel that was launched: "attention_fused.emu", "mfma-bf16-f32".
struct KernelRun {
  std::string id, op, variant;
  uint64_t code_hash = 0;  // XXH3-64 over the machine code; 0: it could not be found
  int grid[3] = {};        // of the last launch
  int threads = 0;
  int64_t launches = 0;
  int64_t last = 0;  // its last launch was the device's n-th
};

class Graph {  // launches that were captured, to be replayed
 public:
  virtual ~Graph() = default;
};

class Device {
 public:
  virtual ~Device() = default;
  virtual Target target() const = 0;
  virtual std::string name() const = 0;  // "NVIDIA H100 80GB HBM3"
  virtual std::string isa() const = 0;   // "sm_90", "gfx942", "emu64-cdna3"

  virtual Ran allocate(int64_t bytes, std::byte** out) = 0;  // 256-byte aligned
  virtual void release(std::byte* memory) = 0;
  virtual Ran upload(void* to, const void* from, int64_t bytes) = 0;
  virtual Ran download(void* to, const void* from, int64_t bytes) = 0;
  virtual Ran copy(void* to, const void* from, int64_t bytes) = 0;
  virtual Ran fill(void* to, uint8_t byte, int64_t bytes) = 0;
  virtual Ran synchronize() = 0;

  virtual Ran run(const EmbeddingOp& op) = 0;
  virtual Ran run(const RmsNormOp& op) = 0;
  virtual Ran run(const MatmulOp& op) = 0;
  virtual Ran run(const RopeOp& op) = 0;
  virtual Ran run(const KvUpdateOp& op) = 0;
  virtual Ran run(const FusedRopeKvUpdateOp& op) = 0;
  virtual Ran run(const AttentionOp& op) = 0;
  virtual Ran swiglu(const TwoInputsOp& op) = 0;  // silu(a) · b
  virtual Ran add(const TwoInputsOp& op) = 0;
  virtual Ran run(const ArgmaxOp& op) = 0;

  // Between begin and end, launches are recorded instead of run. emu has no graphs: null.
  virtual bool has_graphs() const = 0;
  virtual Ran begin_capture() = 0;
  virtual Ran end_capture(std::unique_ptr<Graph>* graph) = 0;
  virtual Ran replay(const Graph& graph) = 0;

  // Every kernel that was launched, in order of first launch; a replay counts its launches.
  virtual std::vector<KernelRun> launched() const = 0;
};

struct OpenDevice {
  std::unique_ptr<Device> device;
  std::string why_not;  // where there is none: "not in this build", "no HIP device: …"
};
// `pool` is what the emulator runs blocks on; it must outlive the device.
OpenDevice open_emu(ThreadPool& pool, MfmaArithmetic arithmetic = MfmaArithmetic::cdna3);
OpenDevice open_cuda();
OpenDevice open_hip();

}  // namespace greta::kernels::gpu
