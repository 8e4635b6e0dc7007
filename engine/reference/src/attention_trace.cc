// The steps of the attention, one by one: scores and weights (softmax), the sum over V, the effect
// of precision, and where V lies. Each is judged by inputs that were shown, so that an error is
// charged to the step that made it and to no later one.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "contract/records.gen.h"
#include "figures.h"
#include "reference/attention.h"
#include "reference/numbers.h"
#include "trace/selection.h"
#include "trace/verify.h"

namespace greta::engine {
namespace {

using reference::AttentionShape;
using reference::HeadAnswer;
using reference::HeadComparison;
using reference::StoredHead;

struct Asked {
  Selection selection;
  bool softmax = false, vacc = false, precision = false, v_addr = false;
  int64_t keys_window = 0, dims_sample = 0;
  std::string accumulator = {};
  bool weights() const { return softmax || vacc; }
  bool any() const { return weights() || precision || v_addr; }
};

KvType storage_of(const std::string& name) {
  return name == "fp16" ? KvType::f16 : name == "bf16" ? KvType::bf16 : KvType::f32;
}

std::string address_of(const std::byte* pointer) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx",
                static_cast<unsigned long long>(reinterpret_cast<uintptr_t>(pointer)));
  return text;
}

// −Σ p ln p
template <class T>
double entropy(std::span<const T> weights) {
  double sum = 0;
  for (const double p : weights) sum -= p > 0 || std::isnan(p) ? p * std::log(p) : 0;
  return sum;
}

double mean_distance(std::span<const float> got, std::span<const double> want) {
  double sum = 0;
  for (size_t i = 0; i < got.size(); ++i) sum += std::abs(static_cast<double>(got[i]) - want[i]);
  return sum / static_cast<double>(got.size());
}

// V of a head read as if it lay (head_dim, positions) instead of (positions, head_dim).
StoredHead column_major(const StoredHead& keys) {
  StoredHead out = keys;
  const auto n = static_cast<size_t>(keys.positions), d = static_cast<size_t>(keys.head_dim);
  for (size_t j = 0; j < n; ++j) {
    for (size_t i = 0; i < d; ++i) out.v[j * d + i] = keys.v[i * n + j];
  }
  return out;
}

class AttentionTraceProbe final : public Probe {
 public:
  AttentionTraceProbe(const AttentionShape& shape, Asked asked, Output& output)
      : shape_(shape), asked_(std::move(asked)), output_(output), history_(shape) {}

  void begin_request(std::string_view id) override {
    request_ = id;
    history_.clear();
    v_pre_.clear();
  }

  void begin_pass(const Pass& pass) override {
    rows_ = asked_.selection.rows(pass);
    weights_seen_ = cache_seen_ = selected_seen_ = false;
    error_ = {};
  }

  std::vector<int64_t> attention_rows(const Pass&, int64_t layer) const override {
    if (!asked_.weights() || !asked_.selection.layer(layer)) return {};
    return rows_;
  }

  void tensor(const Pass& pass, Point point, int64_t layer, const float* data, int64_t rows,
              int64_t columns) override {
    if (layer < 0) return;
    const std::span values(data, static_cast<size_t>(rows * columns));
    if (point == Point::k_pre) note(history_.remember_k(layer, pass.pos0, rows, data));
    if (point == Point::v_pre) {
      note(history_.remember_v(layer, pass.pos0, rows, data));
      v_pre_.assign(values.begin(), values.end());
    }
    if (rows_.empty() || !asked_.selection.layer(layer)) return;
    selected_seen_ = true;
    if (point == Point::q_pre) q_pre_.assign(values.begin(), values.end());
    if (point != Point::attn_out) return;
    attn_out_.assign(values.begin(), values.end());
    if (asked_.precision && error_) note(write_precision(pass, layer));
  }

  void attention_weights(const Pass& pass, int64_t layer, const AttentionWeights& shown) override {
    if (!asked_.weights() || rows_.empty() || !asked_.selection.layer(layer)) return;
    weights_seen_ = true;
    for_each_head(pass, layer, [&](int64_t row, int64_t head, const StoredHead& keys) -> Result<> {
      const auto at = std::ranges::lower_bound(shown.rows, row);
      if (at == shown.rows.end() || *at != row) {
        return fail(EngineExit::numeric,
                    "attention trace: row " + std::to_string(row) + " was asked for and not shown");
      }
      const auto index = static_cast<size_t>(at - shown.rows.begin());
      const auto scores = shown.row(shown.scores, index, head, keys.positions);
      const auto weights = shown.row(shown.weights, index, head, keys.positions);
      if (asked_.softmax) TRY(write_softmax(pass, layer, row, head, keys, scores, weights));
      if (asked_.vacc) TRY(write_vacc(pass, layer, row, head, keys, weights));
      return {};
    });
  }

  bool reads_kv_cache() const override { return asked_.v_addr; }
  void after_kv_update(const Pass& pass, int64_t layer, const KvCache& cache) override {
    if (!asked_.v_addr || rows_.empty() || !asked_.selection.layer(layer)) return;
    cache_seen_ = true;
    const int64_t group = shape_.heads / shape_.kv_heads;
    for (const int64_t row : rows_) {
      for (int64_t kv_head = 0; kv_head < shape_.kv_heads && error_; ++kv_head) {
        bool selected = false;
        for (int64_t h = 0; h < group; ++h) {
          selected = selected || asked_.selection.head(kv_head * group + h);
        }
        if (selected) note(write_v_addr(pass, layer, row, kv_head, cache));
      }
    }
  }

  Result<> end_pass(const Pass& pass) override {
    if (!error_ || !selected_seen_) return std::exchange(error_, Result<>{});
    const auto missing = [&](const char* flag, const char* what) {
      return fail(EngineExit::device,
                  std::string(flag) + "=1: this backend showed no " + what + " in " + pass.phase());
    };
    if (asked_.weights() && !weights_seen_) {
      return missing(asked_.softmax ? "GRETA_TRACE_ATTN_SOFTMAX" : "GRETA_TRACE_ATTN_VACC",
                     "scores and weights of its attention");
    }
    if (asked_.v_addr && !cache_seen_) return missing("GRETA_TRACE_V_ADDR", "KV cache");
    return {};
  }

 private:
  // The hooks return nothing: the first failure ends the pass.
  void note(const Result<>& result) {
    if (error_ && !result) error_ = tl::unexpected(result.error());
  }

  // judge(row, head, what a correct cache holds for that row) over what is selected.
  template <class Judge>
  void for_each_head(const Pass& pass, int64_t layer, const Judge& judge) {
    const int64_t group = shape_.heads / shape_.kv_heads;
    for (int64_t kv_head = 0; kv_head < shape_.kv_heads; ++kv_head) {
      StoredHead keys;
      for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
        if (!asked_.selection.head(head) || !error_) continue;
        if (keys.positions == 0) {
          keys = history_.stored(layer, kv_head, 0, pass.pos0 + rows_.back() + 1);
        }
        for (const int64_t row : rows_) {
          keys.positions = pass.pos0 + row + 1;
          if (error_) note(judge(row, head, keys));
        }
      }
    }
  }

  std::span<const float> head_of(const std::vector<float>& values, int64_t row,
                                 int64_t head) const {
    return reference::row_of(values, row * shape_.heads + head, shape_.head_dim);
  }

  Result<> write_softmax(const Pass& pass, int64_t layer, int64_t row, int64_t head,
                         const StoredHead& keys, std::span<const float> scores,
                         std::span<const float> weights) {
    const HeadAnswer answer =
        reference::attend(head_of(q_pre_, row, head), pass.pos0 + row, keys, history_.rope());
    const HeadComparison qk = reference::compare(scores, answer.score, answer.score_bound);
    record::AttnSoftmaxTrace record;
    reference::fill_place(pass, row, record);
    record.layer = layer;
    record.head = head;
    record.kv_head = head / (shape_.heads / shape_.kv_heads);
    record.keys = keys.positions;
    record.keys_unseen = std::ranges::count_if(scores, [](float s) { return std::isnan(s); });
    record.qk_hash = reference::hash_of(scores);
    record.qk_rel_l2 = qk.rel_l2;
    record.qk_mae = qk.mae;
    record.qk_max_diff = qk.max_diff;
    record.qk_over_bound = qk.over_bound;
    record.qk_worst_index = qk.worst_dim;
    record.qk_worst_value = qk.worst_got;
    record.qk_worst_ref = qk.worst_ref;
    // A single key has weight 1 in every layer: equal hashes would look like a finding.
    if (weights.size() > 1) {
      record.hash = reference::hash_of(weights);
      record.ref_hash = reference::hash_of(reference::to_float(answer.weight));
    }
    reference::fill_comparison(reference::compare(weights, answer.weight, answer.weight_bound),
                               record);
    for (const float weight : weights) record.sum += weight;
    record.entropy = entropy(weights);
    record.ref_entropy = entropy(std::span<const double>(answer.weight));
    record.window_first = std::max<int64_t>(0, keys.positions - asked_.keys_window);
    const auto from = static_cast<size_t>(record.window_first);
    record.qk_window = {scores.begin() + static_cast<long>(from), scores.end()};
    record.window = {weights.begin() + static_cast<long>(from), weights.end()};
    return output_.record(request_, record);
  }

  Result<> write_vacc(const Pass& pass, int64_t layer, int64_t row, int64_t head,
                      const StoredHead& keys, std::span<const float> weights) {
    const HeadAnswer answer = reference::mix(weights, keys);
    const auto got = head_of(attn_out_, row, head);
    record::AttnVaccTrace record;
    reference::fill_place(pass, row, record);
    record.layer = layer;
    record.head = head;
    record.kv_head = head / (shape_.heads / shape_.kv_heads);
    record.keys = keys.positions;
    record.keys_unseen = std::ranges::count_if(weights, [](float w) { return std::isnan(w); });
    record.hash = reference::hash_of(got);
    record.ref_hash = reference::hash_of(reference::to_float(answer.out));
    reference::fill_comparison(reference::compare(got, answer), record);
    record.row_mae = mean_distance(got, answer.out);
    record.col_mae = mean_distance(got, reference::mix(weights, column_major(keys)).out);
    record.v_layout_best = record.col_mae < record.row_mae ? "col" : "row";
    record.sample = reference::first_of(got, asked_.dims_sample);
    record.sample_ref =
        reference::first_of(std::span<const double>(answer.out), asked_.dims_sample);
    return output_.record(request_, record);
  }

  // One record a layer and position: hashes are over all heads, the lists over the selected ones.
  Result<> write_precision(const Pass& pass, int64_t layer) {
    std::map<int64_t, HeadAnswer> rows;  // all heads of a row, one after another
    std::map<int64_t, std::vector<double>> reduced;
    std::map<int64_t, record::AttnPrecisionRef> records;
    const KvType accumulator = storage_of(asked_.accumulator);
    const int64_t group = shape_.heads / shape_.kv_heads;
    for (int64_t head = 0; head < shape_.heads; ++head) {
      StoredHead keys = history_.stored(layer, head / group, 0, pass.pos0 + rows_.back() + 1);
      for (const int64_t row : rows_) {
        keys.positions = pass.pos0 + row + 1;
        const auto q = head_of(q_pre_, row, head);
        const HeadAnswer exact = reference::attend(q, pass.pos0 + row, keys, history_.rope());
        const auto rounded =
            reference::attend_reduced(q, pass.pos0 + row, keys, history_.rope(), accumulator);
        rows[row].out.insert(rows[row].out.end(), exact.out.begin(), exact.out.end());
        rows[row].bound.insert(rows[row].bound.end(), exact.bound.begin(), exact.bound.end());
        reduced[row].insert(reduced[row].end(), rounded.begin(), rounded.end());
        if (!asked_.selection.head(head)) continue;
        const HeadComparison compared = reference::compare(head_of(attn_out_, row, head), exact);
        records[row].per_head.push_back(static_cast<double>(head));
        records[row].per_head_mae.push_back(compared.mae);
        records[row].per_head_rel_l2.push_back(compared.rel_l2);
        records[row].per_head_bound.push_back(compared.bound);
      }
    }
    for (const int64_t row : rows_) {
      TRY(write_precision_row(pass, layer, row, rows[row], reduced[row], records[row]));
    }
    return {};
  }

  Result<> write_precision_row(const Pass& pass, int64_t layer, int64_t row,
                               const HeadAnswer& exact, std::span<const double> reduced,
                               record::AttnPrecisionRef& record) {
    const auto got = reference::row_of(attn_out_, row, shape_.heads * shape_.head_dim);
    const std::vector<float> reduced_fp32 = reference::to_float(reduced);
    const HeadComparison effect = reference::compare(reduced_fp32, exact);
    const std::vector<double> no_bound(reduced.size());
    const HeadComparison to_reduced = reference::compare(got, reduced, no_bound);
    const HeadComparison to_exact = reference::compare(got, exact);
    reference::fill_place(pass, row, record);
    record.layer = layer;
    record.seq_len_used = record.pos_id + 1;
    record.attn_accum_mode = asked_.accumulator;
    record.attn_out_hash = reference::hash_of(got);
    record.attn_ref_hp_hash = reference::hash_of(reference::to_float(exact.out));
    record.attn_ref_accum_hash = reference::hash_of(reduced_fp32);
    record.attn_ref_mae = to_exact.mae;
    record.attn_ref_max_diff = to_exact.max_diff;
    record.attn_accum_mae = effect.mae;
    record.attn_accum_max_diff = effect.max_diff;
    record.attn_accum_rel_l2 = effect.rel_l2;
    record.engine_accum_rel_l2 = to_reduced.rel_l2;
    reference::fill_comparison(to_exact, record);
    record.nearest = to_reduced.rel_l2 < to_exact.rel_l2 ? "accum" : "hp";
    return output_.record(request_, record);
  }

  struct Slot {
    int64_t layer = -1, kv_head = -1, position = -1;
  };
  // Bytes from the start of the cache, by its documented layout [layer][kv_head][position].
  int64_t offset_of(const Slot& slot, const KvCache& cache) const {
    return ((slot.layer * shape_.kv_heads + slot.kv_head) * cache.capacity + slot.position) *
           shape_.head_dim * reference::storage_bytes(cache.type);
  }
  bool holds(const Slot& slot, const KvCache& cache, std::span<const double> row) const {
    const std::byte* at = cache.v.data() + offset_of(slot, cache);
    const int64_t size = reference::storage_bytes(cache.type);
    for (size_t i = 0; i < row.size(); ++i) {
      if (reference::read_storage(at + static_cast<int64_t>(i) * size, cache.type) != row[i]) {
        return false;
      }
    }
    return true;
  }
  // The slot that holds this row, the right one before any other.
  std::optional<Slot> find(const Slot& right, const KvCache& cache,
                           std::span<const double> row) const {
    if (holds(right, cache, row)) return right;
    for (int64_t layer = 0; layer < shape_.layers; ++layer) {
      for (int64_t kv_head = 0; kv_head < shape_.kv_heads; ++kv_head) {
        for (int64_t position = 0; position < cache.capacity; ++position) {
          const Slot slot = {layer, kv_head, position};
          if (holds(slot, cache, row)) return slot;
        }
      }
    }
    return std::nullopt;
  }

  Result<> write_v_addr(const Pass& pass, int64_t layer, int64_t row, int64_t kv_head,
                        const KvCache& cache) {
    const Slot right = {layer, kv_head, pass.pos0 + row};
    const auto pre = reference::row_of(v_pre_, row * shape_.kv_heads + kv_head, shape_.head_dim);
    std::vector<double> wanted, held;
    for (const float value : pre) wanted.push_back(reference::round_to_storage(value, cache.type));
    const std::byte* at = cache.v.data() + offset_of(right, cache);
    const int64_t size = reference::storage_bytes(cache.type);
    for (int64_t i = 0; i < shape_.head_dim; ++i) {
      held.push_back(reference::read_storage(at + i * size, cache.type));
    }
    const auto found = find(right, cache, wanted);
    record::VAddrTrace record;
    reference::fill_place(pass, row, record);
    record.layer = layer;
    record.kv_head = kv_head;
    record.v_base_ptr = address_of(cache.v.data());
    record.v_layer_stride_bytes = offset_of({1, 0, 0}, cache);
    record.v_head_stride_bytes = offset_of({0, 1, 0}, cache);
    record.v_pos_stride_bytes = offset_of({0, 0, 1}, cache);
    record.v_offset_bytes = offset_of(right, cache);
    record.found_layer = found ? found->layer : -1;
    record.found_kv_head = found ? found->kv_head : -1;
    record.found_pos = found ? found->position : -1;
    record.found_offset_bytes = found ? offset_of(*found, cache) : -1;
    record.v_ok = record.found_offset_bytes == record.v_offset_bytes;
    const std::vector<float> held_fp32 = reference::to_float(held);
    record.v_hash = reference::hash_of(held_fp32);
    record.v_ref_hash = reference::hash_of(reference::to_float(wanted));
    record.mae = mean_distance(held_fp32, wanted);
    return output_.record(request_, record);
  }

  const AttentionShape shape_;
  Asked asked_;
  Output& output_;
  reference::History history_;
  std::string request_;
  std::vector<int64_t> rows_;
  std::vector<float> q_pre_, v_pre_, attn_out_;  // of the layer that runs, all rows of the pass
  bool weights_seen_ = false, cache_seen_ = false, selected_seen_ = false;
  Result<> error_;
};

}  // namespace

std::unique_ptr<Probe> make_attention_trace_probe(const ModelConfig& config, const Flags& flags,
                                                  const BackendOptions& options, Output& output) {
  const bool softmax = flags.boolean("GRETA_TRACE_ATTN_SOFTMAX");
  const bool vacc = flags.boolean("GRETA_TRACE_ATTN_VACC");
  const bool precision = flags.boolean("GRETA_TRACE_ATTN_REF");
  const bool v_addr = flags.boolean("GRETA_TRACE_V_ADDR");
  if (!softmax && !vacc && !precision && !v_addr) return nullptr;
  Asked asked{.selection = Selection(flags, "GRETA_TRACE_ATTN", config),
              .softmax = softmax,
              .vacc = vacc,
              .precision = precision,
              .v_addr = v_addr};
  // Flags of a trace that is off stay unread.
  if (softmax) asked.keys_window = flags.integer("GRETA_TRACE_ATTN_KEYS_WINDOW");
  if (vacc) asked.dims_sample = flags.integer("GRETA_TRACE_ATTN_DIMS_SAMPLE");
  if (precision) asked.accumulator = flags.text("GRETA_TRACE_ATTN_REF_ACCUM");
  return std::make_unique<AttentionTraceProbe>(reference::shape_of(config, options),
                                               std::move(asked), output);
}

}  // namespace greta::engine
