#pragma once
// Sizes that kernels and those who make room for them share.

namespace greta::kernels::gpu {

constexpr int kSplitKeys = 128;  // keys of a block of the fused attention

}  // namespace greta::kernels::gpu
