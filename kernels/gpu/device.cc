#include "gpu/limits.h"
#include "kernels/gpu.h"

namespace greta::kernels::gpu {

const char* to_string(Target target) {
  switch (target) {
    case Target::emu:
      return "emu";
    case Target::cuda:
      return "cuda";
    case Target::hip:
      return "hip";
  }
  return "?";
}

const char* to_string(KernelFault fault) {
  switch (fault) {
    case KernelFault::none:
      return "none";
    case KernelFault::transposed_tile:
      return "transposed_tile";
    case KernelFault::no_split_rescale:
      return "no_split_rescale";
    case KernelFault::gqa_map:
      return "gqa_map";
    case KernelFault::no_max_subtract:
      return "no_max_subtract";
    case KernelFault::misaligned_load:
      return "misaligned_load";
    case KernelFault::query_heads_in_grid:
      return "query_heads_in_grid";
  }
  return "?";
}

int64_t attention_scratch(const AttentionOp& op) {
  const int64_t rows = op.q.size / op.cache.head_dim;
  const int64_t splits = (op.keys + kSplitKeys - 1) / kSplitKeys;
  const int64_t floats = op.kernel == AttentionKernel::fused
                             ? rows * splits * (2 + op.cache.head_dim)
                             : (op.scores.size > 0 ? 0 : 2 * rows * op.keys);
  return floats * static_cast<int64_t>(sizeof(float));
}

#ifndef GRETA_HAS_CUDA
OpenDevice open_cuda() {
  return {nullptr, "not in this build (nvcc makes it: cmake --preset cuda)"};
}
#endif
#ifndef GRETA_HAS_HIP
OpenDevice open_hip() {
  return {nullptr, "not in this build (hipcc makes it: cmake --preset hip)"};
}
#endif

}  // namespace greta::kernels::gpu
