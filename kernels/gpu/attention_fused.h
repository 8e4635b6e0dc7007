#pragma once
// Attention in one pass over the keys (online softmax), splits of kSplitKeys keys side by side, and
// the merge of the splits. A row's arithmetic depends on its own length alone, so that a row of a
// prefill is bitwise equal to a decode.

#include "gpu/attention.h"

namespace greta::kernels::gpu {
inline namespace GRETA_ON_TARGET {

// Grid: x over KV heads × chunks of query heads, y over splits, z over rows.
template <class T, Route kRoute, class Sum, KernelFault kFault>
GRETA_KERNEL(kAttentionThreads)
attention_fused_splits(AttentionLaunch<T> a) {
  GRETA_SHARED(float, queries, kHeads* kKeyStride);
  GRETA_SHARED(float, tile, kKeys* kKeyStride);
  GRETA_SHARED(float, scores, kHeads* kKeys);
  GRETA_SHARED(float, rescale, kHeads);
  GRETA_SHARED(float, stats, kHeads * 2);
  const int64_t seq_len = a.pos0.load(0) + block_z() + 1;
  const int64_t begin = static_cast<int64_t>(block_y()) * kSplitKeys;
  const int64_t end = begin + kSplitKeys < seq_len ? begin + kSplitKeys : seq_len;
  if (begin >= end) return;  // the whole block
  const HeadsHere here = heads_here(a.heads, a.kv_heads);
  const int64_t head_slots = static_cast<int64_t>(here.kv_head) * a.capacity;
  load_queries<kFault>(queries, a, here);
  if (thread_index() < here.count) {
    stats.store(2 * thread_index(), -INFINITY);
    stats.store(2 * thread_index() + 1, 0.0f);
  }
  Mix<T, kRoute, Sum> mix;
  for (int64_t first = begin; first < end; first += kKeys) {
    const int live = end - first < kKeys ? static_cast<int>(end - first) : kKeys;
    const int64_t slot = (head_slots + first) * a.head_dim;
    load_tile(tile, a.k, slot, live, a.head_dim);
    block_sync();
    tile_scores<T, kRoute, Sum, kFault>(scores, queries, tile, here.count, live, a.head_dim,
                                        a.scale);
    block_sync();
    load_tile(tile, a.v, slot, live, a.head_dim);
    // A wave has a head: the largest score so far, the weights, their sum.
    for (int h = wave_index(); h < here.count; h += block_waves()) {
      const bool mine = lane_index() < kKeys;
      const float score = mine ? scores.load(h * kKeys + lane_index()) : -INFINITY;
      if (a.scores.size() > 0 && lane_index() < live) {
        const int64_t row = static_cast<int64_t>(block_z()) * a.heads + here.head<kFault>(h);
        a.scores.store(row * a.keys_stride + first + lane_index(), score);
      }
      const float before = stats.load(2 * h), sum = stats.load(2 * h + 1);
      float largest = fmaxf(before, wave_max(score));
      if (kFault == KernelFault::no_max_subtract) largest = 0.0f;
      const float weight = expf(score - largest), factor = expf(before - largest);
      const float all = Sum::keep(fmaf(sum, factor, wave_sum(weight)));
      wave_sync();  // every lane has read what is written now
      if (mine) scores.store(h * kKeys + lane_index(), weight);
      if (lane_index() == 0) {
        stats.store(2 * h, largest);
        stats.store(2 * h + 1, all);
        rescale.store(h, factor);
      }
    }
    block_sync();
    mix.rescale(rescale, here.count, a.head_dim);
    mix.add(scores, tile, here.count, live, a.head_dim);
    block_sync();
  }
  const int64_t row = static_cast<int64_t>(block_z()) * a.heads;
  mix.store(here.count, a.head_dim, [&](int h, int d, float sum) {
    const int64_t split = (row + here.head<kFault>(h)) * a.splits + block_y();
    a.partial.store(split * a.head_dim + d, sum);
  });
  if (thread_index() < here.count) {
    const int64_t split = (row + here.head<kFault>(thread_index())) * a.splits + block_y();
    a.stats.store(2 * split, stats.load(2 * thread_index()));
    a.stats.store(2 * split + 1, stats.load(2 * thread_index() + 1));
  }
}

constexpr int kMergeThreads = 128;

// The splits of a head, brought to their common maximum and added in order. Grid: x over heads, z
// over rows.
template <class T, KernelFault kFault>
GRETA_KERNEL(kMergeThreads)
attention_merge(AttentionLaunch<T> a) {
  const int64_t row = static_cast<int64_t>(block_z()) * a.heads + block_x();
  const int64_t seq_len = a.pos0.load(0) + block_z() + 1;
  const int splits = static_cast<int>((seq_len + kSplitKeys - 1) / kSplitKeys);
  float largest = -INFINITY;
  for (int s = 0; s < splits; ++s) largest = fmaxf(largest, a.stats.load((row * a.splits + s) * 2));
  for (int d = thread_index(); d < a.head_dim; d += kMergeThreads) {
    float sum = 0, all = 0;
    for (int s = 0; s < splits; ++s) {
      const int64_t split = row * a.splits + s;
      float factor = expf(a.stats.load(2 * split) - largest);
      if (kFault == KernelFault::no_split_rescale) factor = 1.0f;
      sum = fmaf(a.partial.load(split * a.head_dim + d), factor, sum);
      all = fmaf(a.stats.load(2 * split + 1), factor, all);
    }
    a.out.store(row * a.head_dim + d, sum / all);
  }
  if (a.scores.size() == 0) return;
  // For whoever asked: the weights that these sums make of the scores.
  float all = 0;
  for (int s = 0; s < splits; ++s) {
    const int64_t split = row * a.splits + s;
    all = fmaf(a.stats.load(2 * split + 1), expf(a.stats.load(2 * split) - largest), all);
  }
  for (int64_t key = thread_index(); key < seq_len; key += kMergeThreads) {
    const int64_t at = row * a.keys_stride + key;
    a.weights.store(at, expf(a.scores.load(at) - largest) / all);
  }
}

}  // namespace GRETA_ON_TARGET
}  // namespace greta::kernels::gpu
