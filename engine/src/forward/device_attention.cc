#include "forward/device_attention.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>

namespace greta::engine {
namespace {

namespace gpu = kernels::gpu;

gpu::AttentionKernel kernel_of(DecodeArm arm) {
  return arm == DecodeArm::fused ? gpu::AttentionKernel::fused : gpu::AttentionKernel::manual;
}
const char* name_of(gpu::Route route) { return route == gpu::Route::mfma ? "mfma" : "valu"; }

// What was launched between two looks at the device's record, in order.
struct Difference {
  std::string ids;
  uint64_t hash = 0;
};
int64_t last_launch(const std::vector<gpu::KernelRun>& runs) {
  int64_t last = 0;
  for (const gpu::KernelRun& run : runs) last = std::max(last, run.last);
  return last;
}
Difference launched_since(int64_t before, std::vector<gpu::KernelRun> runs) {
  std::erase_if(runs, [&](const gpu::KernelRun& run) { return run.last <= before; });
  std::ranges::sort(runs, {}, &gpu::KernelRun::last);
  Difference out;
  std::vector<uint64_t> hashes;
  for (const gpu::KernelRun& run : runs) {
    out.ids += (out.ids.empty() ? "" : "+") + run.id + ":" + run.variant;
    hashes.push_back(run.code_hash);
  }
  out.hash = XXH3_64bits(hashes.data(), hashes.size() * sizeof hashes[0]);
  return out;
}

// Faults that are built into kernels, for a cache of F32 and fp32 sums.
constexpr std::array kBuilt = {
    std::pair(Fault::gqa_map, gpu::KernelFault::gqa_map),
    std::pair(Fault::no_max_subtract, gpu::KernelFault::no_max_subtract),
    std::pair(Fault::no_split_rescale, gpu::KernelFault::no_split_rescale),
    std::pair(Fault::mfma_tile_transposed, gpu::KernelFault::transposed_tile),
    std::pair(Fault::misaligned_load, gpu::KernelFault::misaligned_load)};

// A fault that is in no kernel which this run launches would be a run without one.
Result<> check_placement(const Faults& faults, const AttentionChoice& choice, KvType kv_type) {
  const auto refuse = [](Fault fault, const std::string& needs) {
    return fail(EngineExit::usage, "GRETA_INJECT: on a device fault `" +
                                       std::string(fault_table()[static_cast<size_t>(fault)].name) +
                                       "` needs " + needs);
  };
  for (const auto& [fault, built] : kBuilt) {
    if (!faults.at(fault)) continue;
    if (kv_type != KvType::f32) return refuse(fault, "--kv-type f32");
    if (choice.accumulate != gpu::Accumulate::f32) return refuse(fault, "GRETA_ATTN_ACCUM=fp32");
  }
  const bool manual = choice.arm == DecodeArm::manual;
  for (const Fault fault : {Fault::kv_write_hq_stride, Fault::no_split_rescale}) {
    if (manual && faults.at(fault)) return refuse(fault, "GRETA_FORCE_ATTN_DECODE_KERNEL=fused");
  }
  const bool has_mfma = choice.route == gpu::Route::mfma || choice.shadow;
  if (!has_mfma && faults.at(Fault::mfma_tile_transposed)) {
    return refuse(Fault::mfma_tile_transposed,
                  "GRETA_FORCE_ATTN_DECODE_MATMUL=mfma or GRETA_ATTN_DECODE_MFMA_SHADOW=1");
  }
  return {};
}

// Kernels of a device have a fault in all heads or in none.
Result<> check_heads(const Faults& faults) {
  for (const FaultInfo& info : fault_table()) {
    if (!faults.narrowed_to_head(info.fault)) continue;
    return fail(EngineExit::usage, "GRETA_INJECT: a device places fault `" +
                                       std::string(info.name) +
                                       "` in all heads of a layer; leave out head=");
  }
  return {};
}

}  // namespace

AttentionChoice attention_choice(const Flags& flags) {
  AttentionChoice choice;
  if (flags.text("GRETA_FORCE_ATTN_DECODE_KERNEL") == "manual") choice.arm = DecodeArm::manual;
  if (flags.text("GRETA_FORCE_ATTN_DECODE_MATMUL") == "mfma") choice.route = gpu::Route::mfma;
  const std::string accumulate = flags.text("GRETA_ATTN_ACCUM");
  if (accumulate == "fp16") choice.accumulate = gpu::Accumulate::f16;
  if (accumulate == "bf16") choice.accumulate = gpu::Accumulate::bf16;
  choice.shadow = flags.boolean("GRETA_ATTN_DECODE_MFMA_SHADOW");
  return choice;
}

bool asks_for_device_attention(const Flags& flags) {
  return flags.text("GRETA_FORCE_ATTN_DECODE_KERNEL") != "auto" ||
         flags.text("GRETA_FORCE_ATTN_DECODE_MATMUL") != "auto" ||
         flags.text("GRETA_ATTN_ACCUM") != "fp32" || flags.boolean("GRETA_ATTN_DECODE_MFMA_SHADOW");
}

gpu::MfmaArithmetic mfma_arithmetic(const Flags& flags) {
  return flags.text("GRETA_EMU_MFMA") == "fma" ? gpu::MfmaArithmetic::fma
                                               : gpu::MfmaArithmetic::cdna3;
}

Result<> refuse_device_attention(const Flags& flags) {
  const std::string needs =
      " needs a device's kernels: --backend auto, cpu+emu, emu, hip or cuda (the CPU's own "
      "attention is "
      "vector code with fp32 sums)";
  if (flags.text("GRETA_FORCE_ATTN_DECODE_MATMUL") == "mfma") {
    return fail(EngineExit::device, "GRETA_FORCE_ATTN_DECODE_MATMUL=mfma" + needs);
  }
  if (flags.text("GRETA_ATTN_ACCUM") != "fp32") {
    return fail(EngineExit::device, "GRETA_ATTN_ACCUM=" + flags.text("GRETA_ATTN_ACCUM") + needs);
  }
  if (flags.boolean("GRETA_ATTN_DECODE_MFMA_SHADOW")) {
    return fail(EngineExit::device, "GRETA_ATTN_DECODE_MFMA_SHADOW" + needs);
  }
  return {};
}

void append_launches(const gpu::Device& device, std::vector<KernelLaunches>& out) {
  for (const gpu::KernelRun& run : device.launched()) {
    out.push_back({.id = run.id,
                   .op = run.op,
                   .variant = run.variant,
                   .code_hash = run.code_hash,
                   .launches = run.launches,
                   .grid = {run.grid[0], run.grid[1], run.grid[2]},
                   .threads = run.threads});
  }
}

Result<> check_emulated_faults(const Faults& faults) {
  if (faults.at(Fault::kv_ignored)) {
    return fail(
        EngineExit::usage,
        "GRETA_INJECT: fault `kv_ignored` is one of the CPU's own attention; use --backend cpu");
  }
  return check_heads(faults);
}

Result<> check_device_faults(const Faults& faults) {
  for (const FaultInfo& info : fault_table()) {
    if (!faults.at(info.fault)) continue;
    if (!info.on_device) {
      return fail(EngineExit::usage, "GRETA_INJECT: fault `" + std::string(info.name) +
                                         "` is placed by --backend cpu, not in a device's kernels");
    }
  }
  return check_heads(faults);
}

DeviceAttention::DeviceAttention(gpu::Device& device, const ModelConfig& config,
                                 const AttentionChoice& choice, const Faults& faults)
    : device_(&device),
      config_(config),
      choice_(choice),
      faults_(faults),
      rotation_(device),
      position_(device),
      scratch_(device),
      shadow_out_(device),
      saved_(device) {}

Result<DeviceAttention> DeviceAttention::create(gpu::Device& device, const ModelConfig& config,
                                                const BackendOptions& options,
                                                const AttentionChoice& choice,
                                                const Faults& faults) {
  TRY(check_placement(faults, choice, options.kv_type));
  if (config.head_dim % 8 != 0 || config.head_dim > 128) {
    return fail(EngineExit::input, "head_dim " + std::to_string(config.head_dim) +
                                       ": the attention kernels of a device take multiples of 8 "
                                       "up to 128; use --backend cpu");
  }
  DeviceAttention out(device, config, choice, faults);
  out.positions_ = options.max_seq + 1;  // one more for the faults that look ahead
  const RotationTable table(out.positions_, config.head_dim, config.rope_base, config.rope_factors);
  TRY(out.rotation_.assign(table.rows(0, out.positions_).data(), out.positions_ * config.head_dim));
  TRY(out.set_position(0));
  return out;
}

Result<> DeviceAttention::set_position(int64_t pos0) {
  // The second one is what a kernel gets that stops one key early.
  const std::array<int32_t, 2> positions = {static_cast<int32_t>(pos0),
                                            static_cast<int32_t>(std::max<int64_t>(0, pos0 - 1))};
  return position_.assign(positions.data(), 2);
}

bool DeviceAttention::here(Fault fault, const DeviceStep& step) const {
  if (!faults_.at(fault, step.layer, -1, step.pass.step)) return false;
  if (step.pass.decode || fault == Fault::rope_half_split) return true;
  return !faults_.at(fault, step.layer, -1, 1);  // step=0 was asked for, not "everywhere"
}

DecodeArm DeviceAttention::arm(const DeviceStep& step) const {
  // A prefill is what decode is held against: it goes by one path whatever the arm.
  if (!step.pass.decode) return DecodeArm::fused;
  return here(Fault::arms_same_kernel, step) ? DecodeArm::fused : choice_.arm;
}

Result<> DeviceAttention::copy_slots(const DeviceStep& step, bool save, bool k, bool v) {
  const gpu::KvLayer& c = step.cache;
  const int64_t slot = c.head_dim * (c.type == kernels::DType::f32 ? 4 : 2);
  const int64_t half = c.kv_heads * slot;
  TRY(saved_.reserve(2 * half));
  for (int64_t head = 0; head < c.kv_heads; ++head) {
    const int64_t at = (head * c.capacity + step.pass.pos0) * slot;
    for (const bool keys : {true, false}) {
      if (!(keys ? k : v)) continue;
      std::byte* const cache = (keys ? c.k.data : c.v.data) + at;
      std::byte* const saved = saved_.data() + (keys ? 0 : half) + head * slot;
      TRY(ran(save ? device_->copy(saved, cache, slot) : device_->copy(cache, saved, slot)));
    }
  }
  return {};
}

Result<> DeviceAttention::update(const DeviceStep& step) {
  const bool stale_k = here(Fault::stale_slot, step);
  const bool stale_v = stale_k || here(Fault::v_not_written, step);
  if (stale_v) TRY(copy_slots(step, true, stale_k, stale_v));
  TRY(write_cache(step));
  if (stale_v) TRY(copy_slots(step, false, stale_k, stale_v));
  return {};
}

Result<> DeviceAttention::write_cache(const DeviceStep& step) {
  const gpu::KvLayer& c = step.cache;
  const int64_t size = positions_ * config_.head_dim;
  const auto all = rotation_.span<const float>(size);
  const auto ahead = all.sub(config_.head_dim, size - config_.head_dim);
  const bool both = here(Fault::rope_qk_off_by_one, step);
  const auto q_rotation = both ? ahead : all;
  const auto k_rotation = both || here(Fault::rope_k_off_by_one, step) ? ahead : all;
  const bool half_split = here(Fault::rope_half_split, step);
  if (arm(step) == DecodeArm::fused) {
    const bool wide = here(Fault::kv_write_hq_stride, step);
    return ran(device_->run(gpu::FusedRopeKvUpdateOp{
        .q = step.q,
        .k = step.k,
        .v = step.v,
        .q_rotation = q_rotation,
        .k_rotation = k_rotation,
        .cache = c,
        .pos0 = position(),
        .heads = config_.heads,
        .half_split = half_split,
        .fault = wide ? gpu::KernelFault::query_heads_in_grid : gpu::KernelFault::none}));
  }
  const auto turn = [&](gpu::Span<float> x, gpu::Span<const float> rotation, int64_t heads) {
    return ran(device_->run(gpu::RopeOp{.x = x,
                                        .rotation = rotation,
                                        .pos0 = position(),
                                        .heads = heads,
                                        .head_dim = config_.head_dim,
                                        .half_split = half_split}));
  };
  TRY(turn(step.q, q_rotation, config_.heads));
  TRY(turn(step.k, k_rotation, config_.kv_heads));
  return ran(
      device_->run(gpu::KvUpdateOp{.k = step.k, .v = step.v, .cache = c, .pos0 = position()}));
}

gpu::KernelFault DeviceAttention::kernel_fault(const DeviceStep& step) const {
  for (const auto& [fault, built] : kBuilt) {
    if (here(fault, step)) return built;
  }
  return gpu::KernelFault::none;
}

gpu::AttentionOp DeviceAttention::attention_op(const DeviceStep& step) const {
  const auto head_dim = static_cast<float>(config_.head_dim);
  gpu::AttentionOp op = {
      .q = step.q,
      .cache = here(Fault::kv_layer_base, step) ? step.first_layer : step.cache,
      .pos0 = position(),
      .out = step.out,
      .heads = config_.heads,
      .keys = step.keys,
      .scale = here(Fault::softmax_scale, step) ? 1.0f / head_dim : 1.0f / std::sqrt(head_dim),
      .kernel = kernel_of(arm(step)),
      .route = step.pass.decode ? choice_.route : gpu::Route::valu,
      .accumulate = step.pass.decode ? choice_.accumulate : gpu::Accumulate::f32,
      .scores = step.scores,
      .weights = step.weights,
      .fault = kernel_fault(step)};
  if (here(Fault::seq_len_off_by_one, step)) op.pos0 = position_.span<const int32_t>(2).sub(1, 1);
  if (here(Fault::bf16_accumulate, step)) op.accumulate = gpu::Accumulate::bf16;
  if (here(Fault::fp16_accumulate, step)) op.accumulate = gpu::Accumulate::f16;
  return op;
}

Result<> DeviceAttention::reserve(int64_t rows, int64_t keys) {
  int64_t bytes = 0;
  for (const auto kernel : {gpu::AttentionKernel::fused, gpu::AttentionKernel::manual}) {
    // A prefill takes the fused kernel alone: the manual one's scores would be rows × keys.
    if (kernel == gpu::AttentionKernel::manual && rows > 1) continue;
    const gpu::AttentionOp op = {.q = {nullptr, rows * config_.q_dim()},
                                 .cache = {.head_dim = config_.head_dim},
                                 .heads = config_.heads,
                                 .keys = keys,
                                 .kernel = kernel};
    bytes = std::max(bytes, gpu::attention_scratch(op));
  }
  TRY(scratch_.reserve(bytes));
  if (choice_.shadow) TRY(shadow_out_.reserve(rows * config_.q_dim() * 4));
  return {};
}

Result<> DeviceAttention::attend(const DeviceStep& step, Probe::DecodeLaunch* launch) {
  gpu::AttentionOp op = attention_op(step);
  TRY(reserve(step.q.size / config_.q_dim(), step.keys));
  op.scratch = {scratch_.data(), scratch_.bytes()};
  if (launch == nullptr) return ran(device_->run(op));
  const int64_t before = last_launch(device_->launched());
  TRY(ran(device_->run(op)));
  const Difference difference = launched_since(before, device_->launched());
  launch->kernel_ids = difference.ids;
  launch->kernel_hash = difference.hash;
  // What was asked for; kernel_ids and kernel_hash say what ran.
  launch->kernel_path = choice_.arm == DecodeArm::fused ? "fused" : "manual";
  launch->matmul_route = name_of(choice_.route);
  launch->pos_id_used = step.pass.pos0;
  launch->seq_len_used =
      std::max<int64_t>(1, step.pass.pos0 + (here(Fault::seq_len_off_by_one, step) ? 0 : 1));
  return {};
}

Result<Probe::Shadow> DeviceAttention::shadow(const DeviceStep& step,
                                              const Probe::DecodeLaunch& own) {
  gpu::AttentionOp op = attention_op(step);
  const bool to_mfma = op.route == gpu::Route::valu;
  if (!here(Fault::arms_same_kernel, step)) {
    op.route = to_mfma ? gpu::Route::mfma : gpu::Route::valu;
  }
  op.scores = op.weights = {};
  op.scratch = {scratch_.data(), scratch_.bytes()};
  op.out = shadow_out_.span<float>(step.out.size);
  const int64_t bytes = step.out.size * 4;
  TRY(ran(device_->fill(op.out.data, 0xff, bytes)));  // NaN
  const int64_t before = last_launch(device_->launched());
  TRY(ran(device_->run(op)));
  const Difference difference = launched_since(before, device_->launched());
  Probe::Shadow out;
  std::vector<float> other(static_cast<size_t>(step.out.size));
  out.own.resize(other.size());
  TRY(ran(device_->download(out.own.data(), step.out.data, bytes)));
  TRY(ran(device_->download(other.data(), op.out.data, bytes)));
  out.other = std::move(other);
  out.own_route = name_of(choice_.route);
  out.own_kernel_ids = own.kernel_ids;
  out.own_kernel_hash = own.kernel_hash;
  out.other_kernel_ids = difference.ids;
  out.other_kernel_hash = difference.hash;
  return out;
}

}  // namespace greta::engine
