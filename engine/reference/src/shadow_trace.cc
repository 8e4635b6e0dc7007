// mfma_vs_valu: the two routes of products of one decode attention, each against the fp64 oracle
// and both against each other. Two correct computations are no further apart than the sum of what
// either may err, so that the bound of their difference is derived, not tuned.

#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "contract/records.gen.h"
#include "reference/attention.h"
#include "trace/selection.h"
#include "trace/verify.h"

namespace greta::engine {
namespace {

using reference::AttentionShape;
using reference::HeadAnswer;
using reference::HeadComparison;
using reference::History;

Hash64 hash_of(std::span<const float> values) {
  return {XXH3_64bits(values.data(), values.size_bytes())};
}

// Every element written (what was not is NaN), finite, and within its own bound.
bool holds(const HeadComparison& compared) {
  return std::isfinite(compared.rel_l2) && compared.over_bound == 0;
}

class ShadowProbe final : public Probe {
 public:
  ShadowProbe(const AttentionShape& shape, Selection selection, bool fused, Output& output)
      : selection_(std::move(selection)),
        fused_(fused),
        output_(output),
        history_(shape),
        q_pre_(static_cast<size_t>(shape.layers)) {}

  void begin_request(std::string_view id) override {
    request_ = id;
    history_.clear();
    error_.reset();
  }

  void tensor(const Pass& pass, Point point, int64_t layer, const float* data, int64_t rows,
              int64_t columns) override {
    if (!pass.traced || layer < 0) return;
    if (point == Point::k_pre) note(history_.remember_k(layer, pass.pos0, rows, data));
    if (point == Point::v_pre) note(history_.remember_v(layer, pass.pos0, rows, data));
    if (point == Point::q_pre && pass.decode) {
      q_pre_[static_cast<size_t>(layer)].assign(data, data + rows * columns);
    }
  }

  void decode_shadow(const Pass& pass, int64_t layer, const Shadow& shadow) override {
    if (!pass.traced || !selection_.layer(layer) || selection_.rows(pass).empty()) return;
    note(write(pass, layer, shadow));
  }

  Result<> end_pass(const Pass&) override {
    if (error_) return tl::unexpected(*error_);
    return {};
  }

 private:
  // The hooks return nothing: the first failure ends the pass.
  void note(const Result<>& result) {
    if (!result && !error_) error_ = result.error();
  }

  Result<> write(const Pass& pass, int64_t layer, const Shadow& shadow) {
    const AttentionShape& shape = history_.shape();
    const std::vector<float>& q_pre = q_pre_[static_cast<size_t>(layer)];
    if (history_.positions(layer) != pass.pos0 + 1 || q_pre.size() != shadow.own.size()) {
      return fail(EngineExit::numeric, "shadow: layer " + std::to_string(layer) + " of " +
                                           pass.phase() +
                                           " showed its attention before q, k and v");
    }
    const bool own_is_mfma = shadow.own_route == "mfma";
    const std::vector<float>& mfma = own_is_mfma ? shadow.own : shadow.other;
    const std::vector<float>& valu = own_is_mfma ? shadow.other : shadow.own;
    record::MfmaVsValu record;
    record.phase = pass.phase() + "_shadow";
    record.step = pass.step;
    record.layer = layer;
    record.attn_out_mfma_hash = hash_of(mfma);
    record.attn_out_valu_hash = hash_of(valu);
    record.mfma_kernel_ids = own_is_mfma ? shadow.own_kernel_ids : shadow.other_kernel_ids;
    record.valu_kernel_ids = own_is_mfma ? shadow.other_kernel_ids : shadow.own_kernel_ids;
    record.mfma_kernel_hash = {own_is_mfma ? shadow.own_kernel_hash : shadow.other_kernel_hash};
    record.valu_kernel_hash = {own_is_mfma ? shadow.other_kernel_hash : shadow.own_kernel_hash};
    record.head_dim = shape.head_dim;
    record.kv_heads = shape.kv_heads;
    record.seq_len = pass.pos0 + 1;
    record.use_fused_attn = fused_;
    double sum = 0;
    for (size_t i = 0; i < mfma.size(); ++i) {
      const double distance = std::abs(static_cast<double>(mfma[i]) - valu[i]);
      sum += distance;
      // Not std::max: a NaN must stay.
      if (!(distance <= record.attn_out_max_diff)) record.attn_out_max_diff = distance;
    }
    record.attn_out_mae = sum / static_cast<double>(mfma.size());

    const int64_t group = shape.heads / shape.kv_heads, d = shape.head_dim;
    for (int64_t kv_head = 0; kv_head < shape.kv_heads; ++kv_head) {
      const auto stored = history_.stored(layer, kv_head, 0, pass.pos0 + 1);
      for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
        if (!selection_.head(head)) continue;
        const auto at = static_cast<size_t>(head * d), width = static_cast<size_t>(d);
        const HeadAnswer answer = reference::attend(std::span(q_pre).subspan(at, width), pass.pos0,
                                                    stored, history_.rope());
        record.head = head;
        fill(answer, std::span(mfma).subspan(at, width), std::span(valu).subspan(at, width),
             record);
        TRY(output_.record(request_, record));
      }
    }
    return {};
  }

  static void fill(const HeadAnswer& answer, std::span<const float> mfma,
                   std::span<const float> valu, record::MfmaVsValu& record) {
    const HeadComparison with_mfma = reference::compare(mfma, answer);
    const HeadComparison with_valu = reference::compare(valu, answer);
    double difference = 0, norm = 0;
    for (size_t i = 0; i < mfma.size(); ++i) {
      difference += std::pow(static_cast<double>(mfma[i]) - valu[i], 2);
      norm += answer.out[i] * answer.out[i];
    }
    record.rel_l2 = difference == 0 ? 0 : std::sqrt(difference / norm);
    record.bound = with_mfma.bound + with_valu.bound;
    record.mfma_rel_l2 = with_mfma.rel_l2;
    record.valu_rel_l2 = with_valu.rel_l2;
    record.mfma_ok = holds(with_mfma);
    record.valu_ok = holds(with_valu);
    record.ref_rms = with_mfma.ref_rms;
  }

  const Selection selection_;
  const bool fused_;
  Output& output_;
  History history_;
  std::vector<std::vector<float>> q_pre_;  // by layer, of the decode pass that runs
  std::string request_;
  std::optional<Error> error_;
};

}  // namespace

std::unique_ptr<Probe> make_shadow_probe(const ModelConfig& config, const Flags& flags,
                                         const BackendOptions& options, Output& output) {
  if (!flags.boolean("GRETA_ATTN_DECODE_MFMA_SHADOW")) return nullptr;
  return std::make_unique<ShadowProbe>(
      reference::shape_of(config, options), Selection(flags, "GRETA_TRACE_ATTN", config),
      flags.text("GRETA_FORCE_ATTN_DECODE_KERNEL") != "manual", output);
}

}  // namespace greta::engine
