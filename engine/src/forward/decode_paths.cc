#include "forward/decode_paths.h"

#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace greta::engine {
namespace {

using kernels::Context;
using kernels::DType;
using kernels::KvRead;
using kernels::KvWrite;
using kernels::Op;
using kernels::RopePairing;
using kernels::Status;

kernels::Rows<float> one_row(std::span<float> values) {
  return {values.data(), 1, static_cast<int64_t>(values.size())};
}
kernels::Rows<const float> one_row(std::span<const float> values) {
  return {values.data(), 1, static_cast<int64_t>(values.size())};
}

struct UpdateArgs {
  std::span<float> q, k;
  std::span<const float> v, q_rotation, k_rotation;
  KvWrite k_cache, v_cache;
  int64_t position = 0;
  RopePairing pairing = RopePairing::interleaved;
};

Status update_manual(Context& context, const UpdateArgs& args) {
  Status status = kernels::rope(
      context,
      {.x = one_row(args.q), .rotation = one_row(args.q_rotation), .pairing = args.pairing});
  if (status != Status::ok) return status;
  status = kernels::rope(
      context,
      {.x = one_row(args.k), .rotation = one_row(args.k_rotation), .pairing = args.pairing});
  if (status != Status::ok) return status;
  return kernels::kv_update(context, {.k = one_row(args.k),
                                      .v = one_row(args.v),
                                      .k_cache = args.k_cache,
                                      .v_cache = args.v_cache,
                                      .pos0 = args.position});
}

Status update_fused(Context& context, const UpdateArgs& args) {
  return kernels::fused_rope_kv_update_decode(context, {.q = args.q,
                                                        .k = args.k,
                                                        .v = args.v,
                                                        .q_rotation = args.q_rotation,
                                                        .k_rotation = args.k_rotation,
                                                        .k_cache = args.k_cache,
                                                        .v_cache = args.v_cache,
                                                        .position = args.position,
                                                        .pairing = args.pairing});
}

// The slots of one position: (kv_heads, head_dim) elements of K, then of V.
size_t slot_bytes(const KvWrite& cache) {
  return static_cast<size_t>(cache.head_dim() * cache.element_bytes());
}
void save_slots(const KvWrite& cache, int64_t position, std::byte* to) {
  for (int64_t head = 0; head < cache.heads(); ++head) {
    std::memcpy(to + static_cast<size_t>(head) * slot_bytes(cache), cache.slot(head, position),
                slot_bytes(cache));
  }
}
void restore_slots(const KvWrite& cache, int64_t position, const std::byte* from) {
  for (int64_t head = 0; head < cache.heads(); ++head) {
    std::memcpy(cache.slot(head, position), from + static_cast<size_t>(head) * slot_bytes(cache),
                slot_bytes(cache));
  }
}

kernels::AttentionShown shown_of(const kernels::AttentionShown& shown, int64_t head) {
  if (!shown.wanted()) return {};
  return {shown.scores.sub_rows(head, 1), shown.weights.sub_rows(head, 1)};
}

// Moves the new slots to where a cache with the query heads' stride would have them: KV head g goes
// to head g · group, through the following layers; what falls outside the memory is lost.
void move_to_query_stride(const KvWrite& cache, std::span<std::byte> memory, int64_t position,
                          int64_t group, const std::byte* before) {
  const size_t bytes = slot_bytes(cache);
  std::vector<std::byte> written(bytes * static_cast<size_t>(cache.heads()));
  save_slots(cache, position, written.data());
  restore_slots(cache, position, before);
  for (int64_t head = 0; head < cache.heads(); ++head) {
    const int64_t element = head * group * cache.head_stride() + position * cache.head_dim();
    std::byte* to = cache.data() + element * cache.element_bytes();
    if (to + bytes > memory.data() + memory.size()) continue;
    std::memcpy(to, written.data() + static_cast<size_t>(head) * bytes, bytes);
  }
}

}  // namespace

DType dtype_of(KvType type) {
  switch (type) {
    case KvType::f32:
      return DType::f32;
    case KvType::f16:
      return DType::f16;
    case KvType::bf16:
      return DType::bf16;
  }
  return DType::f32;
}

KvWrite writable_layer(const KvCache& cache, std::span<std::byte> memory, int64_t layer) {
  return {memory.data() + layer * cache.layer_stride() * cache.element_bytes(),
          dtype_of(cache.type),
          cache.kv_heads,
          cache.capacity,
          cache.head_dim,
          cache.head_stride()};
}

RotationTable::RotationTable(int64_t positions, int64_t head_dim, double base,
                             std::span<const float> factors)
    : positions_(positions), head_dim_(head_dim) {
  values_.resize(static_cast<size_t>(positions * head_dim));
  for (int64_t i = 0; i < head_dim / 2; ++i) {
    const double factor =
        factors.empty() ? 1.0 : static_cast<double>(factors[static_cast<size_t>(i)]);
    const double frequency =
        std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim)) / factor;
    for (int64_t p = 0; p < positions; ++p) {
      const double angle = static_cast<double>(p) * frequency;
      const auto at = static_cast<size_t>(p * head_dim + 2 * i);
      values_[at] = static_cast<float>(std::cos(angle));
      values_[at + 1] = static_cast<float>(std::sin(angle));
    }
  }
}

kernels::Rows<const float> RotationTable::rows(int64_t pos0, int64_t rows) const {
  assert(pos0 >= 0 && pos0 + rows <= positions_);
  return {values_.data() + pos0 * head_dim_, rows, head_dim_};
}

DecodePaths::DecodePaths(const ModelConfig& config, DecodeArm arm, const Faults& faults)
    : config_(config), arm_(arm), faults_(faults) {}

bool DecodePaths::placed(Fault fault, const Pass& pass, int64_t layer, int64_t head) const {
  if (!faults_.at(fault, layer, head, pass.step)) return false;
  if (pass.decode || fault == Fault::rope_half_split) return true;
  return !faults_.at(fault, layer, head, 1);  // step=0 was asked for, not "everywhere"
}

bool DecodePaths::faulty(const Pass& pass, int64_t layer) const {
  return faults_.any() && std::ranges::any_of(fault_table(), [&](const FaultInfo& info) {
           return info.fault != Fault::arms_same_kernel && info.fault != Fault::readout_wrong_row &&
                  placed(info.fault, pass, layer);
         });
}

DecodeArm DecodePaths::arm_of(const Pass& pass) const {
  return faults_.any() && placed(Fault::arms_same_kernel, pass, -1) ? DecodeArm::fused : arm_;
}

Status DecodePaths::update(Context& context, const RotationTable& rotations, KvCache& cache,
                           TokenStep& step) {
  UpdateArgs args = {.q = step.q,
                     .k = step.k,
                     .v = step.v,
                     .q_rotation = rotations.row(step.position),
                     .k_rotation = rotations.row(step.position),
                     .k_cache = writable_layer(cache, cache.k, step.layer),
                     .v_cache = writable_layer(cache, cache.v, step.layer),
                     .position = step.position};
  const auto run = arm_of(step.pass) == DecodeArm::fused ? update_fused : update_manual;
  if (!faulty(step.pass, step.layer)) return run(context, args);

  const auto here = [&](Fault fault) { return placed(fault, step.pass, step.layer); };
  const auto shifted = rotations.row(step.position + 1);
  if (here(Fault::rope_qk_off_by_one)) args.q_rotation = args.k_rotation = shifted;
  if (here(Fault::rope_k_off_by_one)) args.k_rotation = shifted;
  if (here(Fault::rope_half_split)) args.pairing = RopePairing::half_split;
  const size_t half = slot_bytes(args.k_cache) * static_cast<size_t>(cache.kv_heads);
  slots_before_.resize(2 * half);
  std::byte* const k_before = slots_before_.data();
  std::byte* const v_before = k_before + half;
  save_slots(args.k_cache, step.position, k_before);
  save_slots(args.v_cache, step.position, v_before);
  if (const Status status = run(context, args); status != Status::ok) return status;

  if (here(Fault::kv_write_hq_stride)) {
    const int64_t group = config_.group();
    move_to_query_stride(args.k_cache, cache.k, step.position, group, k_before);
    move_to_query_stride(args.v_cache, cache.v, step.position, group, v_before);
  }
  if (here(Fault::stale_slot)) restore_slots(args.k_cache, step.position, k_before);
  if (here(Fault::stale_slot) || here(Fault::v_not_written)) {
    restore_slots(args.v_cache, step.position, v_before);
  }
  // A prefill moves q when it attends: its rows are updated together first.
  if (here(Fault::misaligned_load) && step.pass.decode) step.q = misaligned(step.q);
  return Status::ok;
}

std::span<float> DecodePaths::misaligned(std::span<const float> q) {
  misaligned_q_.resize(q.size() + 32);
  const auto address = reinterpret_cast<uintptr_t>(misaligned_q_.data());
  float* aligned = misaligned_q_.data() + (64 - address % 64) % 64 / sizeof(float);
  std::copy(q.begin(), q.end(), aligned + 1);
  return {aligned + 1, q.size()};
}

void DecodePaths::describe(DecodeArm launched, Op attention, DType type,
                           Probe::DecodeLaunch& launch) {
  Described& known =
      described_[static_cast<int>(launched)][attention == Op::attention_decode ? 0 : 1];
  if (known.kernel_ids.empty()) {
    std::vector<Op> ops = {Op::rope, Op::kv_update};
    if (launched == DecodeArm::fused) ops = {Op::fused_rope_kv_update_decode};
    ops.push_back(attention);
    std::vector<uint64_t> hashes;
    for (const Op op : ops) {
      const kernels::KernelIdentity kernel =
          kernels::identity(op, op == Op::rope ? DType::f32 : type);
      known.kernel_ids += (known.kernel_ids.empty() ? "" : "+") + kernel.id;
      hashes.push_back(kernel.code_hash);
    }
    known.kernel_hash = XXH3_64bits(hashes.data(), hashes.size() * sizeof hashes[0]);
  }
  launch.kernel_ids = known.kernel_ids;
  launch.kernel_hash = known.kernel_hash;
  // What was asked for; kernel_ids and kernel_hash say what ran.
  launch.kernel_path = arm_ == DecodeArm::fused ? "fused" : "manual";
  launch.matmul_route = "valu";
}

Status DecodePaths::attend(Context& context, const KvCache& cache, const TokenStep& step,
                           Probe::DecodeLaunch& launch) {
  launch.seq_len_used = step.position + 1;
  launch.pos_id_used = step.position;
  if (faulty(step.pass, step.layer)) return attend_faulty(context, cache, step, launch);
  describe(arm_of(step.pass), Op::attention_decode, dtype_of(cache.type), launch);
  const auto head_dim = static_cast<float>(config_.head_dim);
  return kernels::attention_decode(context, {.q = step.q,
                                             .k = writable_layer(cache, cache.k, step.layer),
                                             .v = writable_layer(cache, cache.v, step.layer),
                                             .seq_len = step.position + 1,
                                             .scale = 1.0f / std::sqrt(head_dim),
                                             .out = step.out,
                                             .shown = step.shown});
}

// One launch a head, each with the views and numbers that its faults ask for.
Status DecodePaths::attend_faulty(Context& context, const KvCache& cache, const TokenStep& step,
                                  Probe::DecodeLaunch& launch) {
  const auto head_dim = static_cast<size_t>(config_.head_dim);
  Op attention = Op::attention_decode;
  std::span<const float> q = step.q;
  if (!step.pass.decode && placed(Fault::misaligned_load, step.pass, step.layer)) {
    q = misaligned(q);
  }
  for (int64_t h = 0; h < config_.heads; ++h) {
    const auto here = [&](Fault fault) { return placed(fault, step.pass, step.layer, h); };
    const int64_t layer = here(Fault::kv_layer_base) ? 0 : step.layer;
    const int64_t kv_head = here(Fault::gqa_map) ? h % config_.kv_heads : h / config_.group();
    KvRead k = writable_layer(cache, cache.k, layer).sub_heads(kv_head, 1);
    KvRead v = writable_layer(cache, cache.v, layer).sub_heads(kv_head, 1);
    int64_t seq_len = step.position + 1;
    if (here(Fault::seq_len_off_by_one)) seq_len = std::max<int64_t>(1, seq_len - 1);
    if (here(Fault::kv_ignored)) {
      k = k.sub_positions(step.position, 1);
      v = v.sub_positions(step.position, 1);
      seq_len = 1;
    }
    launch.seq_len_used = std::min(launch.seq_len_used, seq_len);
    const auto d = static_cast<float>(head_dim);
    const bool low_precision = here(Fault::bf16_accumulate);
    const auto run = low_precision ? kernels::attention_decode_bf16acc : kernels::attention_decode;
    if (low_precision) attention = Op::attention_decode_bf16acc;
    const size_t first = static_cast<size_t>(h) * head_dim;
    const Status status =
        run(context, {.q = q.subspan(first, head_dim),
                      .k = k,
                      .v = v,
                      .seq_len = seq_len,
                      .scale = here(Fault::softmax_scale) ? 1.0f / d : 1.0f / std::sqrt(d),
                      .out = step.out.subspan(first, head_dim),
                      .shown = shown_of(step.shown, h)});
    if (status != Status::ok) return status;
  }
  describe(arm_of(step.pass), attention, dtype_of(cache.type), launch);
  return Status::ok;
}

}  // namespace greta::engine
