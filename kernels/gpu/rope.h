#pragma once
// RoPE and the KV cache, one after the other or in one launch.

#include "gpu/numbers.h"
#include "gpu/views.h"

namespace greta::kernels::gpu {
inline namespace GRETA_ON_TARGET {

constexpr int kRopeThreads = 128;

// Rows t of a launch stand at position pos0[0] + t. One rotation row is cos_0, sin_0, cos_1, ….
struct RopeLaunch {
  Global<float> x;               // (T, heads, head_dim)
  Global<const float> rotation;  // (positions, head_dim)
  Global<const int32_t> pos0;    // (1)
  int heads = 0, head_dim = 0;
  bool half_split = false;  // pairs (i, i + D/2) instead of (2i, 2i + 1)
};

struct Pair {
  float first, second;
};
GRETA_DEVICE Pair rotate(Pair x, float cosine, float sine) {
  return {x.first * cosine - x.second * sine, x.first * sine + x.second * cosine};
}
GRETA_DEVICE void rotate_head(const Global<float>& x, int64_t head,
                              const Global<const float>& rotation, int64_t position, int head_dim,
                              bool half_split) {
  for (int i = thread_index(); i < head_dim / 2; i += block_threads()) {
    const int64_t first = head + (half_split ? i : 2 * i);
    const int64_t second = half_split ? first + head_dim / 2 : first + 1;
    const float cosine = rotation.load(position * head_dim + 2 * i);
    const float sine = rotation.load(position * head_dim + 2 * i + 1);
    const Pair turned = rotate({x.load(first), x.load(second)}, cosine, sine);
    x.store(first, turned.first);
    x.store(second, turned.second);
  }
}
// Grid: x over heads, y over tokens.
GRETA_KERNEL(kRopeThreads)
rope_heads(RopeLaunch a) {
  const int64_t head = (static_cast<int64_t>(block_y()) * a.heads + block_x()) * a.head_dim;
  rotate_head(a.x, head, a.rotation, a.pos0.load(0) + block_y(), a.head_dim, a.half_split);
}

// One layer's K and V: (kv_heads, capacity, head_dim) each.
template <class T>
struct KvWriteLaunch {
  Global<const float> k, v;  // (tokens, kv_heads, head_dim)
  Global<T> k_cache, v_cache;
  Global<const int32_t> pos0;  // (1)
  int kv_heads = 0, head_dim = 0;
  int64_t capacity = 0;
};
template <class T>
GRETA_DEVICE void write_head(const Global<const float>& from, int64_t head, const Global<T>& cache,
                             int64_t slot, int head_dim) {
  for (int i = thread_index(); i < head_dim; i += block_threads()) {
    cache.store(slot + i, from_float<T>(from.load(head + i)));
  }
}
// Grid: x over KV heads, y over tokens.
template <class T>
GRETA_KERNEL(kRopeThreads)
kv_update_heads(KvWriteLaunch<T> a) {
  const int64_t head = (static_cast<int64_t>(block_y()) * a.kv_heads + block_x()) * a.head_dim;
  const int64_t position = a.pos0.load(0) + block_y();
  const int64_t slot = (block_x() * a.capacity + position) * a.head_dim;
  write_head(a.k, head, a.k_cache, slot, a.head_dim);
  write_head(a.v, head, a.v_cache, slot, a.head_dim);
}

template <class T>
struct FusedRopeKvLaunch {
  Global<float> q, k;  // (tokens, heads, head_dim), (tokens, kv_heads, head_dim): rotated in place
  Global<const float> v;
  Global<const float> q_rotation, k_rotation;
  Global<T> k_cache, v_cache;
  Global<const int32_t> pos0;
  int heads = 0, kv_heads = 0, head_dim = 0;
  int64_t capacity = 0;
  bool half_split = false;
};
// Grid: x over KV heads (never query heads), y over tokens.
template <class T>
GRETA_KERNEL(kRopeThreads)
fused_rope_kv_update_heads(FusedRopeKvLaunch<T> a) {
  const int64_t token = block_y(), kv_head = block_x();
  const int64_t position = a.pos0.load(0) + token;
  const int group = a.heads / a.kv_heads;
  for (int h = 0; h < group; ++h) {
    const int64_t head = (token * a.heads + kv_head * group + h) * a.head_dim;
    rotate_head(a.q, head, a.q_rotation, position, a.head_dim, a.half_split);
  }
  // A thread writes to the cache the pairs that it rotated itself: nobody waits.
  const int64_t head = (token * a.kv_heads + kv_head) * a.head_dim;
  const int64_t slot = (kv_head * a.capacity + position) * a.head_dim;
  rotate_head(a.k, head, a.k_rotation, position, a.head_dim, a.half_split);
  for (int i = thread_index(); i < a.head_dim / 2; i += block_threads()) {
    const int first = a.half_split ? i : 2 * i;
    const int second = a.half_split ? first + a.head_dim / 2 : first + 1;
    a.k_cache.store(slot + first, from_float<T>(a.k.load(head + first)));
    a.k_cache.store(slot + second, from_float<T>(a.k.load(head + second)));
  }
  write_head(a.v, head, a.v_cache, slot, a.head_dim);
}

}  // namespace GRETA_ON_TARGET
}  // namespace greta::kernels::gpu
