#pragma once
// One launch of a GPU's decode attention: random inputs, what the device made of them, and fp64
// attention with the error that this way of computing may have.
//
// THE ERROR OF A SUM OF PRODUCTS, relative to Σ|products|, u = 2^-24, n products:
//   vector code       n fused multiply-adds: γ_n.
//   matrix, fp32      gfx942: a chain of fused multiply-adds as well: γ_n.
//   matrix, BF16 K/V  The other factor comes in three parts of eight bits, whose products add up to
//                     (1 + 2^-6)·Σ|products| at most. Sixteen terms are a step: an instruction a
//                     part. gfx942 (the emulator's cdna3) takes eight products at a time. Each is
//                     cut toward zero to 24 places below the largest one's exponent: 8u·max|p|; so
//                     is the sum so far, where the products are the larger: u·max|p|; the products'
//                     sum keeps 31 places, which the factor 1 + 2^-6 covers; the total is rounded
//                     to fp32: u·|sum|. A group's 9u·max|p| is at most 9u·Σ|p| of that group, so
//                     that all groups together have 9u·Σ|p|, and each of the 6 groups of a step
//                     rounds once: (9 + 6·steps)·u.
//   sm_90             An instruction cuts its P products and the sum so far to 25 places below the
//                     largest one's exponent, and their sum toward zero to fp32 (assumed, after
//                     MMA-Sim, arXiv 2511.10909): ((P + 1)/2 + 2)·u·Σ|p| at worst. BF16: P = 16,
//                     three instructions a step: 31.5·u. fp32 in TF32 parts: P = 8, six parts,
//                     twice: 12 instructions a step, 78·u. Steps join the sum by fp32 additions, so
//                     that a step's figure is over its own terms; what is allowed here is that of a
//                     chain, which is more.
// reference::attend allows g(d + 5) for scores and g(n + 3) or more for sums over keys, where g(n)
// is min(γ_n, 8·√n·u). That covers gfx942: from 16 products on its line lies below (from 400 on
// with 8·√(6·steps) for its roundings, which are to the nearest). Of fewer, at most n − 1 are so
// small beside the largest (2^-9) that they lose bits, the first two parts are 2^-15 and 2^-7 of
// the sum, and one rounding counts: (n + 1)·u. It does not cover sm_90: 252u (BF16) and 624u (fp32)
// against 92u for a head_dim of 128. Cuts toward zero have a mean, so that the √n of independent
// roundings is not theirs.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "gpu/testing/device.h"
#include "kernels/gpu.h"
#include "reference/attention.h"

namespace greta::reference {

namespace gpu = kernels::gpu;

struct AttentionCase {
  int64_t heads = 1, kv_heads = 1, head_dim = 8, pos0 = 0, rows = 1;
  kernels::DType type = kernels::DType::f32;
  gpu::AttentionKernel kernel = gpu::AttentionKernel::fused;
  gpu::Route route = gpu::Route::valu;
  gpu::Accumulate accumulate = gpu::Accumulate::f32;
  bool shown = false;  // ask for scores and weights
  gpu::KernelFault fault = gpu::KernelFault::none;

  int64_t keys() const { return pos0 + rows; }
  int64_t capacity() const { return keys() + 3; }
  int64_t kv_of(int64_t head) const { return head / (heads / kv_heads); }
  float scale() const;
  std::string name() const;
  std::string variant() const;  // as the device's record has it
};

// q (rows, heads, head_dim); k and v (kv_heads, capacity, head_dim), numbers that the cache's type
// holds. The last slots are behind the sequence.
struct AttentionInput {
  std::vector<float> q, k, v;
};
struct Sizes {
  float q = 1, k = 1, v = 1;
};
AttentionInput random_attention(const AttentionCase& c, uint32_t seed, const Sizes& sizes = {});
float stored(const AttentionCase& c, float value);
// Slots behind the sequence hold this value.
void poison_tail(const AttentionCase& c, AttentionInput& input, float value);

// K and V of some layers in device memory, one after the other.
class KvMemory {
 public:
  KvMemory(const AttentionCase& c, const std::vector<AttentionInput>& layers);
  gpu::KvLayer layer(int64_t index) const;

 private:
  AttentionCase case_;
  gpu::testing::Buffer<std::byte> k_, v_;
};

struct AttentionResult {
  std::string error;
  std::vector<float> out, scores, weights;  // (rows, heads, head_dim), (rows, heads, keys)
};
AttentionResult run_attention(const AttentionCase& c, const std::vector<float>& q,
                              const gpu::KvLayer& cache,
                              gpu::Device& device = gpu::testing::device());
AttentionResult run_attention(const AttentionCase& c, const AttentionInput& input,
                              gpu::Device& device = gpu::testing::device());

// fp64 attention of one head of one row, and how far the device may be from it.
HeadAnswer expected(const AttentionCase& c, const AttentionInput& input, int64_t row, int64_t head,
                    const gpu::Device& device = gpu::testing::device());
// The same by reference::attend, whose bound has rounded RoPE in it, too.
HeadAnswer by_oracle(const AttentionCase& c, const AttentionInput& input, int64_t row,
                     int64_t head);
// Does that bound cover this device's arithmetic?
bool oracle_covers(const AttentionCase& c, const gpu::Device& device);

// Why this result is not right, by every element; empty: it is.
std::string judge(const AttentionCase& c, const AttentionInput& input,
                  const AttentionResult& result,
                  const gpu::Device& device = gpu::testing::device());
// Runs the case and judges it.
std::string check_attention(const AttentionCase& c, const AttentionInput& input);

}  // namespace greta::reference
