#pragma once
// From the projections to the attention output on a device (emu, cuda, hip): RoPE and KV update,
// then attention, by the arm, route and accumulator that flags choose, and the shadow: the other
// route on the same inputs, into a buffer of its own that is poisoned first.
//
//   manual  rope(q), rope(k), kv_update; then scores, softmax and values, one kernel each
//   fused   fused_rope_kv_update; then one pass over the keys, and a merge of its splits
// Faults are placed here, as other arguments or as kernels that were built with them.

#include <cstdint>
#include <vector>

#include "contract/result.h"
#include "forward/backend.h"
#include "forward/decode_paths.h"
#include "forward/device_buffer.h"
#include "kernels/gpu.h"

namespace greta::engine {

struct AttentionChoice {
  DecodeArm arm = DecodeArm::fused;
  kernels::gpu::Route route = kernels::gpu::Route::valu;
  kernels::gpu::Accumulate accumulate = kernels::gpu::Accumulate::f32;
  bool shadow = false;
};
AttentionChoice attention_choice(const Flags& flags);
// Does a flag that speaks of attention kernels of a device differ from its default?
bool asks_for_device_attention(const Flags& flags);
kernels::gpu::MfmaArithmetic mfma_arithmetic(const Flags& flags);
// A fault that only the other kind of backend can place would be a run without one:
// EngineExit::usage.
Result<> check_device_faults(const Faults& faults);
// The same where only the decode attention is a device's.
Result<> check_emulated_faults(const Faults& faults);
// EngineExit::device where flags ask for what only a device's attention has.
Result<> refuse_device_attention(const Flags& flags);
void append_launches(const kernels::gpu::Device& device, std::vector<KernelLaunches>& out);

// Rows of one pass in one layer; memory of the device.
struct DeviceStep {
  const Pass& pass;
  int64_t layer = 0;
  kernels::gpu::Span<float> q, k;  // (rows, heads·head_dim), (rows, kv_heads·head_dim)
  kernels::gpu::Span<const float> v;
  kernels::gpu::Span<float> out;                        // (rows, heads·head_dim)
  kernels::gpu::KvLayer cache;                          // of this layer
  kernels::gpu::KvLayer first_layer;                    // of layer 0 (kv_layer_base)
  int64_t keys = 0;                                     // the most that the launch may meet
  kernels::gpu::Span<float> scores = {}, weights = {};  // (rows, heads, keys), where probes ask
};

class DeviceAttention {
 public:
  static Result<DeviceAttention> create(kernels::gpu::Device& device, const ModelConfig& config,
                                        const BackendOptions& options,
                                        const AttentionChoice& choice, const Faults& faults);

  // Where the rows of the next pass begin.
  Result<> set_position(int64_t pos0);
  kernels::gpu::Span<const int32_t> position() const { return position_.span<const int32_t>(1); }
  // Makes room for steps of so many rows and keys, which may then be captured in a graph.
  Result<> reserve(int64_t rows, int64_t keys);

  Result<> update(const DeviceStep& step);
  // `launch`, where given, is filled in with what ran.
  Result<> attend(const DeviceStep& step, Probe::DecodeLaunch* launch);
  // Prefills take the fused kernel, vector code and fp32 sums.
  bool prefill_goes_as_decode() const {
    return choice_.arm == DecodeArm::fused && choice_.route == kernels::gpu::Route::valu &&
           choice_.accumulate == kernels::gpu::Accumulate::f32;
  }
  bool has_shadow() const { return choice_.shadow; }
  // After attend(): the same rows by the other route. Memory of the host.
  Result<Probe::Shadow> shadow(const DeviceStep& step, const Probe::DecodeLaunch& own);

 private:
  DeviceAttention(kernels::gpu::Device& device, const ModelConfig& config,
                  const AttentionChoice& choice, const Faults& faults);
  bool here(Fault fault, const DeviceStep& step) const;
  DecodeArm arm(const DeviceStep& step) const;
  kernels::gpu::AttentionOp attention_op(const DeviceStep& step) const;
  kernels::gpu::KernelFault kernel_fault(const DeviceStep& step) const;
  Result<> write_cache(const DeviceStep& step);
  // Copies the slots of the pass's first position between the cache and `saved_`.
  Result<> copy_slots(const DeviceStep& step, bool save, bool k, bool v);

  kernels::gpu::Device* device_;
  ModelConfig config_;
  AttentionChoice choice_;
  Faults faults_;
  DeviceBuffer rotation_, position_, scratch_, shadow_out_, saved_;
  int64_t positions_ = 0;  // rows of the rotation table
};

}  // namespace greta::engine
