#pragma once
// What the lanes of a wave, and the waves of a block, do together. Every lane of the wave (every
// thread of the block) must arrive at the same call; the emulator says where that does not happen.

#include <cmath>

#include "gpu/views.h"

namespace greta::kernels::gpu {
inline namespace GRETA_ON_TARGET {

// The value that lane `source` of the wave gave.
template <class T>
GRETA_DEVICE T shuffle(T value, int source GRETA_SITE) {
#if GRETA_TARGET_EMU
  return emu::exchange(value, source, site);
#elif GRETA_TARGET_HIP
  return __shfl(value, source, kWave);
#else
  return __shfl_sync(0xffffffffu, value, source);
#endif
}
template <class T>
GRETA_DEVICE T shuffle_xor(T value, int mask GRETA_SITE) {
#if GRETA_TARGET_EMU
  return emu::exchange(value, lane_index() ^ mask, site);
#elif GRETA_TARGET_HIP
  return __shfl_xor(value, mask, kWave);
#else
  return __shfl_xor_sync(0xffffffffu, value, mask);
#endif
}

// Over all lanes by a butterfly of distances 1, 2, 4, …: the same bits in every lane.
GRETA_DEVICE float wave_sum(float value GRETA_SITE) {
#if GRETA_TARGET_EMU
  return emu::butterfly(
      value, [](float a, float b) { return a + b; }, site);
#else
  GRETA_UNROLL
  for (int distance = 1; distance < kWave; distance *= 2) value += shuffle_xor(value, distance);
  return value;
#endif
}
GRETA_DEVICE float wave_max(float value GRETA_SITE) {
#if GRETA_TARGET_EMU
  return emu::butterfly(
      value, [](float a, float b) { return fmaxf(a, b); }, site);
#else
  GRETA_UNROLL
  for (int distance = 1; distance < kWave; distance *= 2) {
    value = fmaxf(value, shuffle_xor(value, distance));
  }
  return value;
#endif
}

// Shared memory written by lanes of this wave before is seen by its lanes after.
GRETA_DEVICE void wave_sync(GRETA_ONLY_SITE) {
#if GRETA_TARGET_EMU
  emu::wave_fence(site);
#elif GRETA_TARGET_HIP
  __builtin_amdgcn_fence(__ATOMIC_ACQ_REL, "wavefront");
  __builtin_amdgcn_wave_barrier();
#else
  __syncwarp();
#endif
}
// The same for the whole block.
GRETA_DEVICE void block_sync(GRETA_ONLY_SITE) {
#if GRETA_TARGET_EMU
  emu::block_barrier(site);
#else
  __syncthreads();
#endif
}

}  // namespace GRETA_ON_TARGET
}  // namespace greta::kernels::gpu
