#pragma once
// What the attention kernels share: tiles of keys in shared memory, and the two products of
// attention on a tile, by vector code (valu) or by the matrix unit (mfma).
//
// A block has one KV head and up to 16 of its query heads, so that 16 rows of a matrix tile are
// query heads. Keys are taken 32 at a time. mfma on a cache of F32 or F16 multiplies in fp32 form
// (mma.h); on a BF16 cache the other factor is split into three of BF16, exactly: both routes
// multiply the same numbers and differ in how they add.

#include "gpu/limits.h"
#include "gpu/mma.h"
#include "gpu/wave.h"
#include "kernels/gpu.h"

namespace greta::kernels::gpu {
inline namespace GRETA_ON_TARGET {

constexpr int kAttentionThreads = 256;
constexpr int kHeads = 16;  // query heads of a block
constexpr int kKeys = 32;   // of a tile
constexpr int kMaxHeadDim = 128;
constexpr int kKeyStride = kMaxHeadDim + 4;  // floats; no two keys in one bank
constexpr int kOutputs = kHeads * kMaxHeadDim / kAttentionThreads;  // of a thread, at most

// Running sums: fp32, or rounded after each addition.
struct SumF32 {
  GRETA_DEVICE static float keep(float x) { return x; }
};
struct SumF16 {
  GRETA_DEVICE static float keep(float x) { return to_float(from_float<F16>(x)); }
};
struct SumBf16 {
  GRETA_DEVICE static float keep(float x) { return to_float(from_float<Bf16>(x)); }
};

// Row r of a launch stands at position pos0[0] + r and sees the keys [0, pos0[0] + r].
template <class T>
struct AttentionLaunch {
  Global<const float, 16> q;   // (rows, heads, head_dim) after RoPE
  Global<const T, 16> k, v;    // one layer: (kv_heads, capacity, head_dim)
  Global<const int32_t> pos0;  // (1)
  Global<float> out;           // (rows, heads, head_dim)
  // Fused: what splits leave for the merge, (rows, heads, splits, head_dim) numerators and
  // (rows, heads, splits, 2) maximum and sum.
  Global<float> partial, stats;
  // Scaled scores and weights, (rows, heads, keys_stride): always in the manual kernels; scores of
  // the fused one where somebody asks (else empty).
  Global<float> scores, weights;
  int heads = 0, kv_heads = 0, head_dim = 0, splits = 0;
  int64_t capacity = 0, keys_stride = 0;
  float scale = 0;
};

// The block's place: blocks along x are KV heads times chunks of 16 query heads.
struct HeadsHere {
  int kv_head, first, count, group, kv_heads;
  // Query head number i of this block.
  template <KernelFault kFault>
  GRETA_DEVICE int head(int i) const {
    if (kFault == KernelFault::gqa_map) return (first + i) * kv_heads + kv_head;
    return kv_head * group + first + i;
  }
};
GRETA_DEVICE HeadsHere heads_here(int heads, int kv_heads) {
  const int group = heads / kv_heads, chunks = (group + kHeads - 1) / kHeads;
  const int first = block_x() % chunks * kHeads;
  const int left = group - first;
  return {block_x() / chunks, first, left < kHeads ? left : kHeads, group, kv_heads};
}

// q of the block's heads, kKeyStride apart.
template <KernelFault kFault, class T>
GRETA_DEVICE void load_queries(const Shared<float>& queries, const AttentionLaunch<T>& a,
                               const HeadsHere& here) {
  const int packs = a.head_dim / 4;
  for (int i = thread_index(); i < kHeads * packs; i += kAttentionThreads) {
    const int h = i / packs, d = i % packs * 4;
    Pack<float, 4> pack = {};
    if (h < here.count) {
      int64_t at =
          (static_cast<int64_t>(block_z()) * a.heads + here.head<kFault>(h)) * a.head_dim + d;
      if (kFault == KernelFault::misaligned_load) at += 1;
      pack = a.q.template load_pack<4>(at);
    }
    queries.store_pack(h * kKeyStride + d, pack);
  }
}

// Keys (or values) [first, first + live) of a KV head as fp32, kKeyStride apart; zeros after them:
// slots past the sequence are never read.
template <class T>
GRETA_DEVICE void load_tile(const Shared<float>& tile, const Global<const T, 16>& cache,
                            int64_t slot, int live, int head_dim) {
  constexpr int kPack = 16 / static_cast<int>(sizeof(T));
  const int packs = head_dim / kPack;
  for (int i = thread_index(); i < kKeys * packs; i += kAttentionThreads) {
    const int key = i / packs, d = i % packs * kPack;
    Pack<T, kPack> pack = {};
    if (key < live) pack = cache.template load_pack<kPack>(slot + key * head_dim + d);
    GRETA_UNROLL
    for (int j = 0; j < kPack; j += 4) {
      Pack<float, 4> four;
      GRETA_UNROLL
      for (int n = 0; n < 4; ++n) four.at[n] = to_float(pack.at[j + n]);
      tile.store_pack(key * kKeyStride + d + j, four);
    }
  }
}

// Part 0, 1 or 2 of x: the next eight bits of its significand. They add up to x.
GRETA_DEVICE Bf16 bf16_part(float x, int part) {
  for (int i = 0; i < part; ++i) x -= bits_as<float>(bits_as<uint32_t>(x) & 0xffff0000u);
  return {static_cast<uint16_t>(bits_as<uint32_t>(x) >> 16)};
}

// d += A·B where B has numbers of type T. a(e), b(e): the elements that this lane holds.
template <class T, class A, class B>
GRETA_DEVICE void multiply_add_as(Accumulator& d, const A& a, const B& b) {
  if constexpr (std::is_same_v<T, Bf16>) {
    Operand<Bf16> left, right;
    GRETA_UNROLL
    for (int e = 0; e < Tile::kElements; ++e) right.at[e] = from_float<Bf16>(b(e));
    GRETA_UNROLL
    for (int part = 2; part >= 0; --part) {
      GRETA_UNROLL
      for (int e = 0; e < Tile::kElements; ++e) left.at[e] = bf16_part(a(e), part);
      multiply_add(d, left, right);
    }
  } else {
    Operand<float> left, right;
    GRETA_UNROLL
    for (int e = 0; e < Tile::kElements; ++e) {
      left.at[e] = a(e);
      right.at[e] = b(e);
    }
    multiply_add(d, left, right);
  }
}

// scores[h][key] = scale · q_h · k_key for a tile; rows kKeys apart, keys past `live` −infinity.
template <class T, Route kRoute, class Sum, KernelFault kFault>
GRETA_DEVICE void tile_scores(const Shared<float>& scores, const Shared<float>& queries,
                              const Shared<float>& keys, int heads, int live, int head_dim,
                              float scale) {
  if constexpr (kRoute == Route::valu) {
    for (int i = thread_index(); i < heads * kKeys; i += kAttentionThreads) {
      const int h = i / kKeys, key = i % kKeys;
      float sum = 0;
      for (int d = 0; d < head_dim; d += 4) {
        const auto q = queries.template load_pack<4>(h * kKeyStride + d);
        const auto k = keys.template load_pack<4>(key * kKeyStride + d);
        GRETA_UNROLL
        for (int j = 0; j < 4; ++j) sum = Sum::keep(fmaf(q.at[j], k.at[j], sum));
      }
      scores.store(i, key < live ? sum * scale : -INFINITY);
    }
  } else {
    for (int tile = wave_index(); tile < kKeys / Tile::kSide; tile += block_waves()) {
      const int first = tile * Tile::kSide;
      Accumulator sum;
      for (int d = 0; d < head_dim; d += Tile::kSide) {
        multiply_add_as<T>(
            sum,
            [&](int e) {
              const int at = d + Tile::a_k(e);
              return at < head_dim ? queries.load(Tile::a_row(e) * kKeyStride + at) : 0.0f;
            },
            [&](int e) {
              const int at = d + Tile::b_k(e);
              return at < head_dim ? keys.load((first + Tile::b_column(e)) * kKeyStride + at)
                                   : 0.0f;
            });
        for (float& element : sum.at) element = Sum::keep(element);
      }
      GRETA_UNROLL
      for (int e = 0; e < Tile::kElements; ++e) {
        int h = Tile::d_row(e), key = Tile::d_column(e);
        if (kFault == KernelFault::transposed_tile) {
          h = Tile::d_column(e);
          key = Tile::d_row(e);
        }
        key += first;
        if (h < heads) scores.store(h * kKeys + key, key < live ? sum.at[e] * scale : -INFINITY);
      }
    }
  }
}

// out[h][d] += Σ_key weights[h][key] · values[key][d], first multiplied by rescale[h]. The thread
// (valu) or wave (mfma) that owns an output keeps it in registers.
template <class T, Route kRoute, class Sum>
class Mix;

template <class T, class Sum>
class Mix<T, Route::valu, Sum> {
 public:
  GRETA_DEVICE void rescale(const Shared<float>& by, int heads, int head_dim) {
    each(heads, head_dim, [&](float& sum, int h, int) { sum = Sum::keep(sum * by.load(h)); });
  }
  GRETA_DEVICE void add(const Shared<float>& weights, const Shared<float>& values, int heads,
                        int live, int head_dim) {
    each(heads, head_dim, [&](float& sum, int h, int d) {
      for (int key = 0; key < live; ++key) {
        sum =
            Sum::keep(fmaf(weights.load(h * kKeys + key), values.load(key * kKeyStride + d), sum));
      }
    });
  }
  template <class Store>
  GRETA_DEVICE void store(int heads, int head_dim, const Store& store) {
    each(heads, head_dim, [&](float& sum, int h, int d) { store(h, d, sum); });
  }

 private:
  template <class Do>
  GRETA_DEVICE void each(int heads, int head_dim, const Do& one) {
    GRETA_UNROLL
    for (int j = 0; j < kOutputs; ++j) {
      const int i = thread_index() + j * kAttentionThreads;
      if (i < heads * head_dim) one(sums_[j], i / head_dim, i % head_dim);
    }
  }
  float sums_[kOutputs] = {};
};

template <class T, class Sum>
class Mix<T, Route::mfma, Sum> {
 public:
  GRETA_DEVICE void rescale(const Shared<float>& by, int heads, int head_dim) {
    each(head_dim, [&](Accumulator& sum, int) {
      for (int e = 0; e < Tile::kElements; ++e) {
        const int h = Tile::d_row(e);
        if (h < heads) sum.at[e] = Sum::keep(sum.at[e] * by.load(h));
      }
    });
  }
  GRETA_DEVICE void add(const Shared<float>& weights, const Shared<float>& values, int heads,
                        int live, int head_dim) {
    each(head_dim, [&](Accumulator& sum, int first) {
      for (int key = 0; key < live; key += Tile::kSide) {
        multiply_add_as<T>(
            sum,
            [&](int e) {
              const int h = Tile::a_row(e);
              return h < heads ? weights.load(h * kKeys + key + Tile::a_k(e)) : 0.0f;
            },
            [&](int e) {
              const int d = first + Tile::b_column(e);
              return d < head_dim ? values.load((key + Tile::b_k(e)) * kKeyStride + d) : 0.0f;
            });
        for (float& element : sum.at) element = Sum::keep(element);
      }
    });
  }
  template <class Store>
  GRETA_DEVICE void store(int heads, int head_dim, const Store& store) {
    each(head_dim, [&](Accumulator& sum, int first) {
      for (int e = 0; e < Tile::kElements; ++e) {
        const int h = Tile::d_row(e), d = first + Tile::d_column(e);
        if (h < heads && d < head_dim) store(h, d, sum.at[e]);
      }
    });
  }

 private:
  static constexpr int kWaves = kAttentionThreads / kWave;
  static constexpr int kTiles = (kMaxHeadDim / Tile::kSide + kWaves - 1) / kWaves;
  template <class Do>
  GRETA_DEVICE void each(int head_dim, const Do& one) {
    GRETA_UNROLL
    for (int i = 0; i < kTiles; ++i) {
      const int first = (wave_index() + i * kWaves) * Tile::kSide;
      if (first < head_dim) one(sums_[i], first);
    }
  }
  Accumulator sums_[kTiles];
};

}  // namespace GRETA_ON_TARGET
}  // namespace greta::kernels::gpu
