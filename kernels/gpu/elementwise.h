#pragma once
// Ops that look at one row, or at one element, at a time.

#include "gpu/wave.h"
#include "gpu/weights.h"

namespace greta::kernels::gpu {
inline namespace GRETA_ON_TARGET {

constexpr int kElementThreads = 256;

struct EmbeddingLaunch {
  WeightMatrix table;            // (vocab, columns)
  Global<const int32_t> tokens;  // (T)
  Global<float> out;             // (T, columns)
};
// Grid: x over tokens.
template <DType W>
GRETA_KERNEL(kElementThreads)
embedding_row(EmbeddingLaunch a) {
  constexpr int kColumns = Chunk<W>::kColumns;
  const int columns = a.table.columns;
  const int64_t row = a.tokens.load(block_x()) * a.table.row_bytes;
  for (int c = thread_index(); c * kColumns < columns; c += kElementThreads) {
    float w[kColumns];
    Chunk<W>::load(a.table, row, c, w);
    // Unrolled whole: hipcc puts what is indexed at run time into scratch.
    GRETA_UNROLL
    for (int i = 0; i < kColumns; ++i) {
      if (c * kColumns + i < columns) {
        a.out.store(static_cast<int64_t>(block_x()) * columns + c * kColumns + i, w[i]);
      }
    }
  }
}

// The sum (or maximum) over the block of what its threads give; the same bits in every thread.
// Shared memory of one float a wave, free for reuse after the call.
template <bool kMaximum>
GRETA_DEVICE float over_block(float value, const Shared<float>& of_waves) {
  const float of_wave = kMaximum ? wave_max(value) : wave_sum(value);
  if (lane_index() == 0) of_waves.store(wave_index(), of_wave);
  block_sync();
  float all = of_waves.load(0);
  for (int w = 1; w < block_waves(); ++w) {
    all = kMaximum ? fmaxf(all, of_waves.load(w)) : all + of_waves.load(w);
  }
  block_sync();
  return all;
}

struct RmsNormLaunch {
  Global<const float> x, weight;  // (T, columns), (columns)
  Global<float> out;              // (T, columns)
  int columns = 0;
  float eps = 0;
};
// Grid: x over tokens.
GRETA_KERNEL(kElementThreads)
rms_norm_row(RmsNormLaunch a) {
  GRETA_SHARED(float, of_waves, kElementThreads / kWave);
  const int64_t row = static_cast<int64_t>(block_x()) * a.columns;
  float squares = 0;
  for (int c = thread_index(); c < a.columns; c += kElementThreads) {
    const float x = a.x.load(row + c);
    squares = fmaf(x, x, squares);
  }
  const float mean = over_block<false>(squares, of_waves) / static_cast<float>(a.columns);
  const float scale = 1.0f / sqrtf(mean + a.eps);
  for (int c = thread_index(); c < a.columns; c += kElementThreads) {
    a.out.store(row + c, a.x.load(row + c) * scale * a.weight.load(c));
  }
}

struct TwoInputsLaunch {
  Global<const float> a, b;
  Global<float> out;
  int64_t count = 0;
};
GRETA_DEVICE int64_t element_index() {
  return static_cast<int64_t>(block_x()) * kElementThreads + thread_index();
}
// silu(a) · b
GRETA_KERNEL(kElementThreads)
swiglu_elements(TwoInputsLaunch l) {
  const int64_t i = element_index();
  if (i >= l.count) return;
  const float gate = l.a.load(i);
  l.out.store(i, gate / (1.0f + expf(-gate)) * l.b.load(i));
}
GRETA_KERNEL(kElementThreads)
add_elements(TwoInputsLaunch l) {
  const int64_t i = element_index();
  if (i < l.count) l.out.store(i, l.a.load(i) + l.b.load(i));
}

struct ArgmaxLaunch {
  Global<const float> values;  // (count)
  Global<int32_t> id;  // (1): the largest value's index, the smallest of equals; -1: all NaN
  int64_t count = 0;
};
struct Candidate {
  float value = 0;
  int id = -1;
};
GRETA_DEVICE Candidate better(Candidate a, Candidate b) {
  const bool second =
      b.id >= 0 && (a.id < 0 || b.value > a.value || (b.value == a.value && b.id < a.id));
  return second ? b : a;
}
// Grid: one block.
GRETA_KERNEL(kElementThreads)
argmax_block(ArgmaxLaunch a) {
  GRETA_SHARED(float, values, kElementThreads);
  GRETA_SHARED(int, ids, kElementThreads);
  Candidate best;
  for (int64_t i = thread_index(); i < a.count; i += kElementThreads) {
    const float value = a.values.load(i);
    if (value == value) best = better(best, {value, static_cast<int>(i)});
  }
  values.store(thread_index(), best.value);
  ids.store(thread_index(), best.id);
  block_sync();
  if (thread_index() != 0) return;
  for (int t = 1; t < kElementThreads; ++t) best = better(best, {values.load(t), ids.load(t)});
  a.id.store(0, best.id);
}

}  // namespace GRETA_ON_TARGET
}  // namespace greta::kernels::gpu
