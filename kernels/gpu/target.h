#pragma once
// The one name header: what a kernel source may call the compiler's own things. The same source is
// compiled by hipcc (gfx942), by nvcc (sm_90) and by the host's compiler for the emulator.
//
//   GRETA_KERNEL(threads)  before a kernel; `threads` a block at most
//   GRETA_DEVICE           before a function that kernels call
//   kWave                  lanes of a wave: 64 on AMD and in the emulator, 32 on NVIDIA
//   thread_index() …       where the calling thread is

#include <cstdint>
#include <type_traits>

#if defined(__HIP__)
#include <hip/hip_runtime.h>
#define GRETA_TARGET_HIP 1
#define GRETA_ON_TARGET on_gfx942
#elif defined(__CUDACC__)
#include <cuda_runtime.h>
#define GRETA_TARGET_CUDA 1
#define GRETA_ON_TARGET on_sm_90
#else
#include "gpu/emu/emu.h"
#define GRETA_TARGET_EMU 1
#define GRETA_ON_TARGET on_emu
#endif

// Each target's code lies in a namespace of its own, so that several can be linked into one
// program.
namespace greta::kernels::gpu {
inline namespace GRETA_ON_TARGET {

#if GRETA_TARGET_EMU
#define GRETA_KERNEL(threads) inline void
// A kernel is one function, so that the hash of its code covers all of it.
#define GRETA_DEVICE __attribute__((always_inline)) inline
#define GRETA_HOST_DEVICE inline
#define GRETA_UNROLL
#define GRETA_UNROLL_BY(n)
constexpr int kWave = emu::kLanes;

GRETA_DEVICE int thread_index() { return emu::self().thread; }
GRETA_DEVICE int block_threads() { return emu::self().threads; }
GRETA_DEVICE int block_x() { return emu::self().block.x; }
GRETA_DEVICE int block_y() { return emu::self().block.y; }
GRETA_DEVICE int block_z() { return emu::self().block.z; }
GRETA_DEVICE int grid_x() { return emu::self().grid.x; }
GRETA_DEVICE int grid_y() { return emu::self().grid.y; }
#else
#define GRETA_KERNEL(threads) __global__ void __launch_bounds__(threads)
#define GRETA_DEVICE __device__ __forceinline__
#define GRETA_HOST_DEVICE __host__ __device__ __forceinline__
#define GRETA_PRAGMA(text) _Pragma(#text)
#define GRETA_UNROLL GRETA_PRAGMA(unroll)
#define GRETA_UNROLL_BY(n) GRETA_PRAGMA(unroll n)
#if GRETA_TARGET_HIP
constexpr int kWave = 64;
#else
constexpr int kWave = 32;
#endif
GRETA_DEVICE int thread_index() { return static_cast<int>(threadIdx.x); }
GRETA_DEVICE int block_threads() { return static_cast<int>(blockDim.x); }
GRETA_DEVICE int block_x() { return static_cast<int>(blockIdx.x); }
GRETA_DEVICE int block_y() { return static_cast<int>(blockIdx.y); }
GRETA_DEVICE int block_z() { return static_cast<int>(blockIdx.z); }
GRETA_DEVICE int grid_x() { return static_cast<int>(gridDim.x); }
GRETA_DEVICE int grid_y() { return static_cast<int>(gridDim.y); }
#endif

GRETA_DEVICE int lane_index() { return thread_index() % kWave; }
GRETA_DEVICE int wave_index() { return thread_index() / kWave; }
GRETA_DEVICE int block_waves() { return (block_threads() + kWave - 1) / kWave; }

}  // namespace GRETA_ON_TARGET
}  // namespace greta::kernels::gpu
