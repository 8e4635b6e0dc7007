#pragma once
// The ops of a device: which kernel, which grid, which checks. Included once for each target.

#include <cassert>
#include <limits>

#include "gpu/attention_fused.h"
#include "gpu/attention_manual.h"
#include "gpu/elementwise.h"
#include "gpu/matmul.h"
#include "gpu/rope.h"
#if GRETA_TARGET_EMU
#include "gpu/device_emu.h"
#else
#include "gpu/device_gpu.h"
#endif

namespace greta::kernels::gpu {
inline namespace GRETA_ON_TARGET {

// Why an op was not launched.
inline Ran refuse(const char* op, const std::string& why) { return {std::string(op) + ": " + why}; }
inline bool on_16_bytes(const void* address) {
  return reinterpret_cast<uintptr_t>(address) % 16 == 0;
}

template <class T>
Global<T> global(const Span<T>& span) {
  return {span.data, span.size};
}
// Of memory that was found to lie on 16 bytes.
template <class T>
Global<T, 16> aligned(const Span<T>& span) {
  assert(on_16_bytes(span.data));
  return {span.data, span.size};
}
template <class T>
Global<T> global_as(const Span<std::byte>& span) {
  return {reinterpret_cast<T*>(span.data), span.size / static_cast<int64_t>(sizeof(T))};
}

inline WeightMatrix weight_matrix(const Matrix& m) {
  const int64_t bytes = row_bytes(m.type, m.columns);
  const auto* data = reinterpret_cast<const uint8_t*>(m.bytes.data);
  WeightMatrix out;
  out.bytes = {data, m.bytes.size};
  if (bytes % 16 == 0 && on_16_bytes(data)) out.packs = {data, m.bytes.size};
  out.row_bytes = bytes;
  out.columns = static_cast<int>(m.columns);
  return out;
}
inline Ran check_matrix(const char* op, const Matrix& m) {
  constexpr int64_t kMost = std::numeric_limits<int>::max();
  if (m.rows <= 0 || m.columns <= 0 || m.rows > kMost || m.columns > kMost ||
      !whole_blocks(m.type, m.columns) || m.bytes.size != m.rows * row_bytes(m.type, m.columns)) {
    return refuse(op, "a matrix of " + std::to_string(m.rows) + " x " + std::to_string(m.columns) +
                          " " + to_string(m.type) + " in " + std::to_string(m.bytes.size) +
                          " bytes");
  }
  if (reinterpret_cast<uintptr_t>(m.bytes.data) % 4 != 0) {
    return refuse(op, "the weights are not aligned to 4 bytes");
  }
  return {};
}

// Calls f with a Chunk's type as a constant.
template <class F>
Ran with_weight_type(DType type, const F& f) {
  switch (type) {
    case DType::f32:
      return f(std::integral_constant<DType, DType::f32>());
    case DType::f16:
      return f(std::integral_constant<DType, DType::f16>());
    case DType::bf16:
      return f(std::integral_constant<DType, DType::bf16>());
    case DType::q8_0:
      return f(std::integral_constant<DType, DType::q8_0>());
    case DType::q4_0:
      return f(std::integral_constant<DType, DType::q4_0>());
    case DType::q5_0:
      return f(std::integral_constant<DType, DType::q5_0>());
    case DType::q4_k:
      return f(std::integral_constant<DType, DType::q4_k>());
    case DType::q5_k:
      return f(std::integral_constant<DType, DType::q5_k>());
    case DType::q6_k:
      return f(std::integral_constant<DType, DType::q6_k>());
  }
  return {"unknown weight type"};
}
// The same for the element type of a KV cache, by a value of that type.
template <class F>
Ran with_kv_type(DType type, const F& f) {
  switch (type) {
    case DType::f32:
      return f(float());
    case DType::f16:
      return f(F16());
    case DType::bf16:
      return f(Bf16());
    default:
      return {std::string("a KV cache of ") + to_string(type)};
  }
}
inline int64_t kv_bytes(const KvLayer& c) {
  return c.kv_heads * c.capacity * c.head_dim * (c.type == DType::f32 ? 4 : 2);
}
inline Ran check_cache(const char* op, const KvLayer& c) {
  if (c.kv_heads <= 0 || c.capacity <= 0 || c.head_dim <= 0 || c.head_dim % 8 != 0 ||
      c.head_dim > kMaxHeadDim) {
    return refuse(op, "a cache of " + std::to_string(c.kv_heads) + " KV heads, capacity " +
                          std::to_string(c.capacity) + ", head_dim " + std::to_string(c.head_dim) +
                          " (a multiple of 8 up to 128)");
  }
  if (c.k.size != kv_bytes(c) || c.v.size != kv_bytes(c))
    return refuse(op, "a cache of another size");
  if (!on_16_bytes(c.k.data) || !on_16_bytes(c.v.data)) {
    return refuse(op, "the cache is not aligned to 16 bytes");
  }
  return {};
}

class OpsDevice final : public Runtime {
 public:
  using Runtime::Runtime;

  Ran run(const EmbeddingOp& op) override {
    if (const Ran ran = check_matrix("embedding", op.table); !ran.ok()) return ran;
    if (op.out.size != op.tokens.size * op.table.columns) return refuse("embedding", "shapes");
    return with_weight_type(op.table.type, [&](auto type) {
      return launch({"embedding", to_string(op.table.type)}, embedding_row<type.value>,
                    static_cast<int>(op.tokens.size), 1, 1, kElementThreads,
                    EmbeddingLaunch{weight_matrix(op.table), global(op.tokens), global(op.out)});
    });
  }

  Ran run(const RmsNormOp& op) override {
    const int64_t columns = op.weight.size;
    if (columns <= 0 || op.x.size % columns != 0 || op.out.size != op.x.size) {
      return refuse("rms_norm", "shapes");
    }
    return launch({"rms_norm", "f32"}, rms_norm_row, static_cast<int>(op.x.size / columns), 1, 1,
                  kElementThreads,
                  RmsNormLaunch{global(op.x), global(op.weight), global(op.out),
                                static_cast<int>(columns), op.eps});
  }

  Ran run(const MatmulOp& op) override {
    if (const Ran ran = check_matrix("matmul", op.weight); !ran.ok()) return ran;
    const int64_t tokens = op.x.size / op.weight.columns;
    if (tokens <= 0 || op.x.size != tokens * op.weight.columns ||
        op.out.size != tokens * op.weight.rows) {
      return refuse("matmul", "shapes");
    }
    if (!on_16_bytes(op.x.data)) return refuse("matmul", "x is not aligned to 16 bytes");
    const MatmulLaunch args = {weight_matrix(op.weight), aligned(op.x), global(op.out),
                               static_cast<int>(tokens), static_cast<int>(op.weight.rows)};
    return with_weight_type(op.weight.type, [&](auto type) {
      if (op.route == Route::mfma) return tiles<type.value>(args);
      return tokens == 1 ? rows<type.value, 1>(args) : rows<type.value, 4>(args);
    });
  }

  Ran run(const RopeOp& op) override {
    const int64_t row = op.heads * op.head_dim;
    if (row <= 0 || op.head_dim % 2 != 0 || op.x.size % row != 0 || op.pos0.size != 1) {
      return refuse("rope", "shapes");
    }
    return launch(
        {"rope", "f32"}, rope_heads, static_cast<int>(op.heads), static_cast<int>(op.x.size / row),
        1, kRopeThreads,
        RopeLaunch{global(op.x), global(op.rotation), global(op.pos0), static_cast<int>(op.heads),
                   static_cast<int>(op.head_dim), op.half_split});
  }

  Ran run(const KvUpdateOp& op) override {
    if (const Ran ran = check_cache("kv_update", op.cache); !ran.ok()) return ran;
    const int64_t row = op.cache.kv_heads * op.cache.head_dim;
    if (op.k.size % row != 0 || op.v.size != op.k.size || op.pos0.size != 1) {
      return refuse("kv_update", "shapes");
    }
    return with_kv_type(op.cache.type, [&](auto element) {
      using T = decltype(element);
      return launch({"kv_update", to_string(op.cache.type)}, kv_update_heads<T>,
                    static_cast<int>(op.cache.kv_heads), static_cast<int>(op.k.size / row), 1,
                    kRopeThreads,
                    KvWriteLaunch<T>{global(op.k), global(op.v), global_as<T>(op.cache.k),
                                     global_as<T>(op.cache.v), global(op.pos0),
                                     static_cast<int>(op.cache.kv_heads),
                                     static_cast<int>(op.cache.head_dim), op.cache.capacity});
    });
  }

  Ran run(const FusedRopeKvUpdateOp& op) override {
    constexpr auto kName = "fused_rope_kv_update";
    if (const Ran ran = check_cache(kName, op.cache); !ran.ok()) return ran;
    const KvLayer& c = op.cache;
    const int64_t row = c.kv_heads * c.head_dim;
    const int64_t tokens = op.k.size / row;
    if (op.heads <= 0 || op.heads % c.kv_heads != 0 || op.k.size != tokens * row ||
        op.v.size != op.k.size || op.q.size != tokens * op.heads * c.head_dim ||
        op.pos0.size != 1) {
      return refuse(kName, "shapes");
    }
    const bool too_wide = op.fault == KernelFault::query_heads_in_grid;
    return with_kv_type(c.type, [&](auto element) {
      using T = decltype(element);
      return launch({kName, to_string(c.type)}, fused_rope_kv_update_heads<T>,
                    static_cast<int>(too_wide ? op.heads : c.kv_heads), static_cast<int>(tokens), 1,
                    kRopeThreads,
                    FusedRopeKvLaunch<T>{global(op.q), global(op.k), global(op.v),
                                         global(op.q_rotation), global(op.k_rotation),
                                         global_as<T>(c.k), global_as<T>(c.v), global(op.pos0),
                                         static_cast<int>(op.heads), static_cast<int>(c.kv_heads),
                                         static_cast<int>(c.head_dim), c.capacity, op.half_split});
    });
  }

  Ran run(const AttentionOp& op) override {
    constexpr auto kName = "attention";
    const KvLayer& c = op.cache;
    if (const Ran ran = check_cache(kName, c); !ran.ok()) return ran;
    const int64_t row = op.heads * c.head_dim;
    if (op.heads <= 0 || op.heads % c.kv_heads != 0 || op.q.size <= 0 || op.q.size % row != 0 ||
        op.out.size != op.q.size || op.keys <= 0 || op.keys > c.capacity || op.pos0.size != 1) {
      return refuse(kName, "shapes");
    }
    const int64_t shown = op.q.size / c.head_dim * op.keys;
    if (op.scores.size != op.weights.size || (op.scores.size != 0 && op.scores.size != shown)) {
      return refuse(kName, "room for scores and weights");
    }
    if (!on_16_bytes(op.q.data) || !on_16_bytes(op.scratch.data)) {
      return refuse(kName, "q or scratch is not aligned to 16 bytes");
    }
    if (op.scratch.size < attention_scratch(op)) return refuse(kName, "too little scratch");
    return with_kv_type(c.type, [&](auto element) {
      return op.route == Route::mfma ? attend<decltype(element), Route::mfma>(op)
                                     : attend<decltype(element), Route::valu>(op);
    });
  }

  Ran swiglu(const TwoInputsOp& op) override { return elements("swiglu", swiglu_elements, op); }
  Ran add(const TwoInputsOp& op) override { return elements("add", add_elements, op); }

  Ran run(const ArgmaxOp& op) override {
    if (op.values.size <= 0 || op.id.size != 1) return refuse("argmax", "shapes");
    return launch({"argmax", "f32"}, argmax_block, 1, 1, 1, kElementThreads,
                  ArgmaxLaunch{global(op.values), global(op.id), op.values.size});
  }

 private:
  static int parts(int64_t count, int64_t size) {
    return static_cast<int>((count + size - 1) / size);
  }

  template <DType W, int kTokens>
  Ran rows(const MatmulLaunch& args) {
    const int outputs = kMatmulRows * (kMatmulThreads / kWave);
    return launch({"matmul_rows", std::string(to_string(W)) + "-t" + std::to_string(kTokens)},
                  matmul_rows<W, kTokens>, parts(args.outputs, outputs),
                  parts(args.tokens, kTokens), 1, kMatmulThreads, args);
  }
  template <DType W>
  Ran tiles(const MatmulLaunch& args) {
    using T = std::conditional_t<W == DType::bf16, Bf16, float>;
    return launch({"matmul_tiles", std::string("mfma-") + to_string(W)}, matmul_tiles<W, T>,
                  parts(args.outputs, kTileOutputs), parts(args.tokens, kTileTokens), 1,
                  kMatmulThreads, args);
  }

  Ran elements(const char* name, void (*kernel)(TwoInputsLaunch), const TwoInputsOp& op) {
    if (op.out.size <= 0 || op.a.size != op.out.size || op.b.size != op.out.size) {
      return refuse(name, "shapes");
    }
    return launch({name, "f32"}, kernel, parts(op.out.size, kElementThreads), 1, 1, kElementThreads,
                  TwoInputsLaunch{global(op.a), global(op.b), global(op.out), op.out.size});
  }

  // Faults are built for a cache of F32 and sums in fp32, so that they do not double every kernel.
  template <class T, Route kRoute>
  Ran attend(const AttentionOp& op) {
    if (op.fault != KernelFault::none) {
      if (!std::is_same_v<T, float> || op.accumulate != Accumulate::f32) {
        return refuse("attention", "faults are built for a cache of F32 and fp32 sums");
      }
      return attend_with_fault<kRoute>(op);
    }
    switch (op.accumulate) {
      case Accumulate::f32:
        return attend_as<T, kRoute, SumF32, KernelFault::none>(op);
      case Accumulate::f16:
        return attend_as<T, kRoute, SumF16, KernelFault::none>(op);
      case Accumulate::bf16:
        return attend_as<T, kRoute, SumBf16, KernelFault::none>(op);
    }
    return refuse("attention", "unknown accumulator");
  }
  template <Route kRoute>
  Ran attend_with_fault(const AttentionOp& op) {
    switch (op.fault) {
      case KernelFault::transposed_tile:
        return attend_as<float, kRoute, SumF32, KernelFault::transposed_tile>(op);
      case KernelFault::no_split_rescale:
        return attend_as<float, kRoute, SumF32, KernelFault::no_split_rescale>(op);
      case KernelFault::gqa_map:
        return attend_as<float, kRoute, SumF32, KernelFault::gqa_map>(op);
      case KernelFault::no_max_subtract:
        return attend_as<float, kRoute, SumF32, KernelFault::no_max_subtract>(op);
      case KernelFault::misaligned_load:
        return attend_as<float, kRoute, SumF32, KernelFault::misaligned_load>(op);
      case KernelFault::none:
      case KernelFault::query_heads_in_grid:
        break;
    }
    return refuse("attention", "has no such fault");
  }

  template <class T, Route kRoute, class Sum, KernelFault kFault>
  Ran attend_as(const AttentionOp& op) {
    const KvLayer& c = op.cache;
    const int64_t tokens = op.q.size / (op.heads * c.head_dim), rows = tokens * op.heads;
    AttentionLaunch<T> a;
    a.q = aligned(op.q);
    a.k = {reinterpret_cast<const T*>(c.k.data), c.k.size / static_cast<int64_t>(sizeof(T))};
    a.v = {reinterpret_cast<const T*>(c.v.data), c.v.size / static_cast<int64_t>(sizeof(T))};
    a.pos0 = global(op.pos0);
    a.out = global(op.out);
    a.heads = static_cast<int>(op.heads);
    a.kv_heads = static_cast<int>(c.kv_heads);
    a.head_dim = static_cast<int>(c.head_dim);
    a.splits = parts(op.keys, kSplitKeys);
    a.capacity = c.capacity;
    a.keys_stride = op.keys;
    a.scale = op.scale;
    a.scores = global(op.scores);
    a.weights = global(op.weights);
    const Global<float> scratch = global_as<float>(op.scratch);
    std::string variant = kRoute == Route::mfma ? "mfma-" : "valu-";
    variant += std::string(to_string(c.type)) + "-sum_";
    variant += std::is_same_v<Sum, SumF32> ? "f32" : std::is_same_v<Sum, SumF16> ? "f16" : "bf16";
    std::string fault;
    if (kFault != KernelFault::none) fault = std::string("-fault_") + to_string(kFault);
    variant += fault;
    const int group = a.heads / a.kv_heads;
    const int blocks = a.kv_heads * parts(group, kHeads), z = static_cast<int>(tokens);
    if (op.kernel == AttentionKernel::fused) {
      const int64_t stats = rows * a.splits * 2;
      a.stats = {scratch.data(), stats};
      a.partial = {scratch.data() + stats, rows * a.splits * a.head_dim};
      const Ran ran =
          launch({"attention_fused", variant}, attention_fused_splits<T, kRoute, Sum, kFault>,
                 blocks, a.splits, z, kAttentionThreads, a);
      if (!ran.ok()) return ran;
      // One merge serves both routes and all sums.
      return launch({"attention_merge", to_string(c.type) + fault}, attention_merge<T, kFault>,
                    a.heads, 1, z, kMergeThreads, a);
    }
    if (a.scores.size() == 0) {
      a.scores = {scratch.data(), rows * op.keys};
      a.weights = {scratch.data() + rows * op.keys, rows * op.keys};
    }
    Ran ran = launch({"attention_scores", variant}, attention_scores<T, kRoute, Sum, kFault>,
                     blocks, parts(op.keys, kKeys), z, kAttentionThreads, a);
    if (!ran.ok()) return ran;
    ran = launch({"attention_softmax", "f32" + fault}, attention_softmax<float, kFault>, a.heads, 1,
                 z, kAttentionThreads, softmax_of(a));
    if (!ran.ok()) return ran;
    return launch({"attention_values", variant}, attention_values<T, kRoute, Sum, kFault>, blocks,
                  1, z, kAttentionThreads, a);
  }
  // The softmax sees no cache: one kernel serves all of its types.
  template <class T>
  static AttentionLaunch<float> softmax_of(const AttentionLaunch<T>& a) {
    AttentionLaunch<float> out;
    out.pos0 = a.pos0;
    out.scores = a.scores;
    out.weights = a.weights;
    out.heads = a.heads;
    out.keys_stride = a.keys_stride;
    return out;
  }
};

}  // namespace GRETA_ON_TARGET
}  // namespace greta::kernels::gpu
