#pragma once
// From the projections of one token to its attention output: RoPE, cache update, attention. Two
// arms:
//   manual  rope(q), rope(k), kv_update and attention_decode as separate kernels
//   fused   fused_rope_kv_update_decode (grid over KV heads), then attention_decode
// Injected faults are placed here, outside the kernels: as other arguments, other views or restored
// slots, so that the kernels under test are those of a clean run. A fault of the decode attention
// is placed in the decode passes; in the prefill only where step=0 says so. rope_half_split, a
// matter of how weights are stored, is placed in both.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "forward/faults.h"
#include "forward/kv_cache.h"
#include "forward/probe.h"
#include "io/flags.h"
#include "kernels/kernels.h"
#include "model/model_config.h"

namespace greta::engine {

enum class DecodeArm : uint8_t { manual, fused };

// cos and sin of every position and pair, computed in double and rounded once.
class RotationTable {
 public:
  // factors: ModelConfig::rope_factors
  RotationTable(int64_t positions, int64_t head_dim, double base, std::span<const float> factors);
  // (rows, head_dim) for positions [pos0, pos0 + rows)
  kernels::Rows<const float> rows(int64_t pos0, int64_t rows) const;
  std::span<const float> row(int64_t position) const { return rows(position, 1).row_span(0); }

 private:
  int64_t positions_, head_dim_;
  std::vector<float> values_;
};

// One token in one layer. q and k hold the projections and, after update(), what RoPE made of them.
struct TokenStep {
  const Pass& pass;
  int64_t layer = 0;
  int64_t position = 0;
  std::span<float> q;                  // (heads·head_dim)
  std::span<float> k;                  // (kv_heads·head_dim)
  std::span<const float> v;            // (kv_heads·head_dim)
  std::span<float> out;                // (heads·head_dim)
  kernels::AttentionShown shown = {};  // (heads, keys)
};

class DecodePaths {
 public:
  DecodePaths(const ModelConfig& config, DecodeArm arm, const Faults& faults);

  // Is any fault placed in this layer of this pass?
  bool faulty(const Pass& pass, int64_t layer) const;
  // RoPE and cache update. Where a fault moves q to another address, step.q follows.
  kernels::Status update(kernels::Context& context, const RotationTable& rotations, KvCache& cache,
                         TokenStep& step);
  // Attention; fills in what was launched for the whole token.
  kernels::Status attend(kernels::Context& context, const KvCache& cache, const TokenStep& step,
                         Probe::DecodeLaunch& launch);

 private:
  bool placed(Fault fault, const Pass& pass, int64_t layer, int64_t head = -1) const;
  DecodeArm arm_of(const Pass& pass) const;
  kernels::Status attend_faulty(kernels::Context& context, const KvCache& cache,
                                const TokenStep& step, Probe::DecodeLaunch& launch);
  std::span<float> misaligned(std::span<const float> q);
  void describe(DecodeArm launched, kernels::Op attention, kernels::DType type,
                Probe::DecodeLaunch& launch);

  // What an arm launches, worked out once: by arm, then by attention kernel (fp32, bf16acc).
  struct Described {
    std::string kernel_ids;
    uint64_t kernel_hash = 0;
  };
  Described described_[2][2];

  const ModelConfig config_;
  const DecodeArm arm_;
  const Faults faults_;
  std::vector<float> misaligned_q_;
  std::vector<std::byte> slots_before_;
};

// K or V of one layer as the kernels see it.
kernels::KvWrite writable_layer(const KvCache& cache, std::span<std::byte> memory, int64_t layer);
kernels::DType dtype_of(KvType type);

}  // namespace greta::engine
