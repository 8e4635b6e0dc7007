#include "trace/verify.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "contract/records.gen.h"
#include "reference/attention.h"
#include "reference/kv_invariants.h"
#include "trace/selection.h"

namespace greta::engine {
namespace {

using reference::AttentionShape;
using reference::HeadAnswer;
using reference::HeadComparison;
using reference::History;
using reference::KvError;
using reference::KvInvariants;

struct Statistics {
  Hash64 hash;
  double min = 0, max = 0, mean = 0;
};

Hash64 hash_of(std::span<const float> values) {
  return {XXH3_64bits(values.data(), values.size_bytes())};
}

// A NaN anywhere makes all three NaN.
Statistics statistics_of(std::span<const float> values) {
  Statistics result{.hash = hash_of(values), .min = values[0], .max = values[0], .mean = 0};
  for (const double value : values) {
    result.min = std::isnan(value) ? value : std::min(value, result.min);
    result.max = std::isnan(value) ? value : std::max(value, result.max);
    result.mean += value / static_cast<double>(values.size());
  }
  if (std::isnan(result.mean)) result.min = result.max = result.mean;
  return result;
}

std::string address_of(const std::byte* pointer) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "0x%llx",
                static_cast<unsigned long long>(reinterpret_cast<uintptr_t>(pointer)));
  return text.data();
}

struct Requested {
  Selection selection;
  bool reference = false, kv_invariants = false;
  bool q = false, k = false, v = false, attn_out = false, x_out = false;  // statistics
};

// What was seen of one layer in the decode pass that runs.
struct LayerView {
  std::optional<Statistics> q, k, v, attn_out, x_out;
  std::vector<float> q_pre;
  std::vector<HeadComparison> heads;  // by query head, once attn_out was seen
  Hash64 reference_hash;
  double mae = 0, max_diff = 0;
  bool compared = false;
  std::optional<Probe::DecodeLaunch> launch;
  std::string k_base, v_base;
};

class VerifyProbe : public Probe {
 public:
  VerifyProbe(const AttentionShape& shape, Requested requested, Output& output)
      : shape_(shape),
        requested_(std::move(requested)),
        output_(output),
        history_(shape),
        invariants_(shape),
        views_(static_cast<size_t>(shape.layers)) {}

  void begin_request(std::string_view id) override {
    request_ = id;
    error_.reset();
    history_.clear();
    invariants_.begin_request();
  }

  void begin_pass(const Pass& pass) override {
    if (!pass.traced) return;
    std::ranges::fill(views_, LayerView{});
    if (requested_.kv_invariants) invariants_.begin_pass(pass);
  }

  void tensor(const Pass& pass, Point point, int64_t layer, const float* data, int64_t rows,
              int64_t columns) override {
    if (!pass.traced || layer < 0) return;
    if (point == Point::k_pre) note(history_.remember_k(layer, pass.pos0, rows, data));
    if (point == Point::v_pre) note(history_.remember_v(layer, pass.pos0, rows, data));
    if (!pass.decode || !selected(pass, layer)) return;

    LayerView& view = views_[static_cast<size_t>(layer)];
    const std::span<const float> values(data, static_cast<size_t>(rows * columns));
    if (point == Point::q_pre) view.q_pre.assign(values.begin(), values.end());
    if (point == Point::q && requested_.q) view.q = statistics_of(values);
    if (point == Point::k && requested_.k) view.k = statistics_of(values);
    if (point == Point::v && requested_.v) view.v = statistics_of(values);
    if (point == Point::x_out && requested_.x_out) view.x_out = statistics_of(values);
    if (point == Point::attn_out) {
      if (requested_.attn_out) view.attn_out = statistics_of(values);
      if (requested_.reference) note(consult_oracle(pass, layer, values, view));
    }
  }

  bool reads_kv_cache() const override { return requested_.kv_invariants; }
  void before_kv_update(const Pass& pass, int64_t layer, const KvCache& cache) override {
    if (!pass.traced) return;
    LayerView& view = views_[static_cast<size_t>(layer)];
    view.k_base = address_of(cache.k.data());
    view.v_base = address_of(cache.v.data());
    layer_stride_bytes_ = static_cast<int64_t>(cache.k.size()) / shape_.layers;
    if (requested_.kv_invariants) note(invariants_.before_update(pass, layer, cache));
  }

  void after_kv_update(const Pass& pass, int64_t layer, const KvCache& cache) override {
    if (!pass.traced || !requested_.kv_invariants) return;
    note(invariants_.after_update(pass, layer, cache, history_));
  }

  void decode_attention(const Pass& pass, int64_t layer, const DecodeLaunch& launch) override {
    if (!pass.traced) return;
    views_[static_cast<size_t>(layer)].launch = launch;
    if (requested_.kv_invariants) {
      invariants_.told(pass, layer, launch.pos_id_used, launch.seq_len_used);
    }
  }

  Result<> end_pass(const Pass& pass) override {
    if (!pass.traced) return {};
    if (error_) return tl::unexpected(*error_);
    if (!pass.decode) return {};
    for (int64_t layer = 0; layer < shape_.layers; ++layer) {
      if (selected(pass, layer)) TRY(write_layer(pass, layer));
    }
    return {};
  }

 private:
  bool selected(const Pass& pass, int64_t layer) const {
    return requested_.selection.layer(layer) && !requested_.selection.rows(pass).empty();
  }
  // The hooks return nothing: the first failure ends the pass.
  void note(const Result<>& result) {
    if (!result && !error_) error_ = result.error();
  }

  Result<> consult_oracle(const Pass& pass, int64_t layer, std::span<const float> attn_out,
                          LayerView& view) {
    const int64_t d = shape_.head_dim, keys = pass.pos0 + 1;
    if (history_.positions(layer) != keys ||
        static_cast<int64_t>(view.q_pre.size()) != shape_.heads * d ||
        attn_out.size() != view.q_pre.size()) {
      return fail(EngineExit::numeric, "attention oracle: layer " + std::to_string(layer) + " of " +
                                           pass.phase() +
                                           " showed its attention before q, k and v");
    }
    std::vector<float> rounded;
    double sum = 0;
    view.max_diff = 0;
    for (int64_t kv_head = 0; kv_head < shape_.kv_heads; ++kv_head) {
      const auto stored = history_.stored(layer, kv_head, 0, keys);
      const int64_t group = shape_.heads / shape_.kv_heads;
      for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
        const auto at = static_cast<size_t>(head * d), width = static_cast<size_t>(d);
        const HeadAnswer answer = reference::attend(std::span(view.q_pre).subspan(at, width),
                                                    pass.pos0, stored, history_.rope());
        view.heads.push_back(reference::compare(attn_out.subspan(at, width), answer));
        for (const double value : answer.out) rounded.push_back(static_cast<float>(value));
        const HeadComparison& compared = view.heads.back();
        sum += compared.mae / static_cast<double>(shape_.heads);
        // Not std::max: a NaN must stay.
        if (!(compared.max_diff <= view.max_diff) && !std::isnan(view.max_diff)) {
          view.max_diff = compared.max_diff;
        }
      }
    }
    view.mae = sum;
    view.reference_hash = hash_of(rounded);
    view.compared = true;
    return {};
  }

  Result<> write_layer(const Pass& pass, int64_t layer) {
    const LayerView& view = views_[static_cast<size_t>(layer)];
    if (!view.launch || (requested_.reference && !view.compared)) {
      return fail(EngineExit::numeric,
                  "verify: layer " + std::to_string(layer) + " of " + pass.phase() +
                      (view.launch ? " showed no attention output" : " launched no attention"));
    }
    record::AttnDecodeVerify record;
    record.phase = pass.phase();
    record.step = pass.step;
    record.layer = layer;
    record.seq_len_used = view.launch->seq_len_used;
    record.pos_id_used = view.launch->pos_id_used;
    record.kernel_path = view.launch->kernel_path;
    record.matmul_route = view.launch->matmul_route;
    record.kernel_ids = view.launch->kernel_ids;
    record.kernel_hash = {view.launch->kernel_hash};
    record.num_heads = shape_.heads;
    record.num_heads_kv = shape_.kv_heads;
    record.head_dim = shape_.head_dim;
    fill_statistics(view, record);
    if (view.compared) {
      record.attn_out_ref_hash = view.reference_hash;
      record.attn_out_mae = view.mae;
      record.attn_out_max_diff = view.max_diff;
    }
    if (!view.k_base.empty()) {
      record.kv_layer_stride_bytes = layer_stride_bytes_;
      record.kv_base_ptr_k = view.k_base;
      record.kv_base_ptr_v = view.v_base;
    }
    for (int64_t head = 0; head < shape_.heads; ++head) {
      if (!requested_.selection.head(head)) continue;
      record.head = head;
      record.kv_head = head / (shape_.heads / shape_.kv_heads);
      if (view.compared) fill_head(view.heads[static_cast<size_t>(head)], record);
      if (requested_.kv_invariants) fill_invariants(layer, record);
      TRY(output_.record(request_, record));
    }
    return {};
  }

  static void fill_statistics(const LayerView& view, record::AttnDecodeVerify& record) {
    const auto fill = [](const std::optional<Statistics>& from, auto& hash, auto& min, auto& max,
                         auto& mean) {
      if (!from) return;
      hash = from->hash;
      min = from->min;
      max = from->max;
      mean = from->mean;
    };
    fill(view.q, record.q_hash, record.q_min, record.q_max, record.q_mean);
    fill(view.k, record.k_hash, record.k_min, record.k_max, record.k_mean);
    fill(view.v, record.v_hash, record.v_min, record.v_max, record.v_mean);
    fill(view.attn_out, record.attn_out_hash, record.attn_out_min, record.attn_out_max,
         record.attn_out_mean);
    fill(view.x_out, record.x_out_hash, record.x_out_min, record.x_out_max, record.x_out_mean);
  }

  static void fill_head(const HeadComparison& compared, record::AttnDecodeVerify& record) {
    record.rel_l2 = compared.rel_l2;
    record.bound = compared.bound;
    record.ref_rms = compared.ref_rms;
    record.head_mae = compared.mae;
    record.head_max_diff = compared.max_diff;
    record.worst_dim = compared.worst_dim;
    record.worst_got = compared.worst_got;
    record.worst_ref = compared.worst_ref;
  }

  void fill_invariants(int64_t layer, record::AttnDecodeVerify& record) const {
    const auto found = invariants_.finding(layer, record.kv_head);
    if (!found.checked) return;  // a backend without a cache: nothing was checked
    record.kv_pos = found.position;
    record.k_write_offset_bytes = found.k_offset;
    record.v_write_offset_bytes = found.v_offset;
    record.kv_invariant_ok = found.error == KvError::none;
    record.kv_error = reference::to_string(found.error);
    record.kv_error_at.reset();
    if (found.error != KvError::none) record.kv_error_at = found.at;
  }

  AttentionShape shape_;
  Requested requested_;
  Output& output_;
  History history_;
  KvInvariants invariants_;
  std::vector<LayerView> views_;
  int64_t layer_stride_bytes_ = 0;
  std::string request_;
  std::optional<Error> error_;
};

}  // namespace

Result<std::unique_ptr<Probe>> make_verify_probe(const ModelConfig& config, const Flags& flags,
                                                 const BackendOptions& options, Output& output) {
  if (!flags.boolean("GRETA_TRACE_ATTN_DECODE_VERIFY")) return nullptr;
  Requested requested{.selection = Selection(flags, "GRETA_TRACE_ATTN", config)};
  requested.reference = flags.boolean("GRETA_ATTN_DECODE_REF");
  requested.kv_invariants = flags.boolean("GRETA_TRACE_KV_INVARIANTS");
  requested.q = requested.selection.point(Point::q);
  requested.k = requested.selection.point(Point::k);
  requested.v = requested.selection.point(Point::v);
  requested.attn_out = requested.selection.point(Point::attn_out);
  requested.x_out = requested.selection.point(Point::x_out);
  return std::make_unique<VerifyProbe>(reference::shape_of(config, options), std::move(requested),
                                       output);
}

}  // namespace greta::engine
