#pragma once
// Attention in three kernels, with its scores and weights in global memory between them.

#include "gpu/attention.h"
#include "gpu/elementwise.h"

namespace greta::kernels::gpu {
inline namespace GRETA_ON_TARGET {

// scores = scale · Q Kᵀ. Grid: x over KV heads × chunks of query heads, y over tiles of keys, z
// rows.
template <class T, Route kRoute, class Sum, KernelFault kFault>
GRETA_KERNEL(kAttentionThreads)
attention_scores(AttentionLaunch<T> a) {
  GRETA_SHARED(float, queries, kHeads* kKeyStride);
  GRETA_SHARED(float, keys, kKeys* kKeyStride);
  GRETA_SHARED(float, scores, kHeads* kKeys);
  const int64_t seq_len = a.pos0.load(0) + block_z() + 1;
  const int64_t first = static_cast<int64_t>(block_y()) * kKeys;
  if (first >= seq_len) return;  // the whole block
  const int live = seq_len - first < kKeys ? static_cast<int>(seq_len - first) : kKeys;
  const HeadsHere here = heads_here(a.heads, a.kv_heads);
  load_queries<kFault>(queries, a, here);
  load_tile(keys, a.k, (static_cast<int64_t>(here.kv_head) * a.capacity + first) * a.head_dim, live,
            a.head_dim);
  block_sync();
  tile_scores<T, kRoute, Sum, kFault>(scores, queries, keys, here.count, live, a.head_dim, a.scale);
  block_sync();
  for (int i = thread_index(); i < here.count * kKeys; i += kAttentionThreads) {
    const int h = i / kKeys, key = i % kKeys;
    if (key >= live) continue;
    const int64_t row = static_cast<int64_t>(block_z()) * a.heads + here.head<kFault>(h);
    a.scores.store(row * a.keys_stride + first + key, scores.load(i));
  }
}

// weights = softmax(scores). Grid: x over heads, z over rows.
template <class T, KernelFault kFault>
GRETA_KERNEL(kAttentionThreads)
attention_softmax(AttentionLaunch<T> a) {
  GRETA_SHARED(float, of_waves, kAttentionThreads / kWave);
  const int64_t seq_len = a.pos0.load(0) + block_z() + 1;
  const int64_t row = (static_cast<int64_t>(block_z()) * a.heads + block_x()) * a.keys_stride;
  float largest = -INFINITY;
  for (int64_t key = thread_index(); key < seq_len; key += kAttentionThreads) {
    largest = fmaxf(largest, a.scores.load(row + key));
  }
  largest = over_block<true>(largest, of_waves);
  if (kFault == KernelFault::no_max_subtract) largest = 0.0f;
  float sum = 0;
  for (int64_t key = thread_index(); key < seq_len; key += kAttentionThreads) {
    sum += expf(a.scores.load(row + key) - largest);
  }
  sum = over_block<false>(sum, of_waves);
  for (int64_t key = thread_index(); key < seq_len; key += kAttentionThreads) {
    a.weights.store(row + key, expf(a.scores.load(row + key) - largest) / sum);
  }
}

// out = weights · V. Grid: x over KV heads × chunks of query heads, z over rows.
template <class T, Route kRoute, class Sum, KernelFault kFault>
GRETA_KERNEL(kAttentionThreads)
attention_values(AttentionLaunch<T> a) {
  GRETA_SHARED(float, weights, kHeads* kKeys);
  GRETA_SHARED(float, values, kKeys* kKeyStride);
  const int64_t seq_len = a.pos0.load(0) + block_z() + 1;
  const HeadsHere here = heads_here(a.heads, a.kv_heads);
  const int64_t head_slots = static_cast<int64_t>(here.kv_head) * a.capacity;
  const int64_t row = static_cast<int64_t>(block_z()) * a.heads;
  Mix<T, kRoute, Sum> mix;
  for (int64_t first = 0; first < seq_len; first += kKeys) {
    const int live = seq_len - first < kKeys ? static_cast<int>(seq_len - first) : kKeys;
    load_tile(values, a.v, (head_slots + first) * a.head_dim, live, a.head_dim);
    for (int i = thread_index(); i < here.count * kKeys; i += kAttentionThreads) {
      const int h = i / kKeys, key = i % kKeys;
      const int64_t at = (row + here.head<kFault>(h)) * a.keys_stride + first + key;
      weights.store(i, key < live ? a.weights.load(at) : 0.0f);
    }
    block_sync();
    mix.add(weights, values, here.count, live, a.head_dim);
    block_sync();
  }
  mix.store(here.count, a.head_dim, [&](int h, int d, float sum) {
    a.out.store((row + here.head<kFault>(h)) * a.head_dim + d, sum);
  });
}

}  // namespace GRETA_ON_TARGET
}  // namespace greta::kernels::gpu
