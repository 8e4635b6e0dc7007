// The fast backend: fp32 activations, weights as stored, SIMD kernels.
#include <algorithm>
#include <cmath>
#include <limits>
#include <new>
#include <optional>

#include "contract/text.h"
#include "forward/backend.h"
#include "forward/check_pass.h"
#include "forward/decode_paths.h"
#include "forward/device_attention.h"
#include "forward/kv_storage.h"
#include "forward/weight_faults.h"
#include "forward/weights.h"
#include "kernels/kernels.h"

namespace greta::engine {
namespace {

using kernels::Rows;
using kernels::Status;

// A long prefill goes through the model this many rows at a time, so that intermediates stay small.
// Where probes want whole tensors, only the feed-forward ones, the widest, are cut.
constexpr int64_t kRowsAtATime = 256;

// 64-byte aligned floats that grow and never shrink: a decode loop allocates nothing.
class Buffer {
 public:
  Rows<float> rows(int64_t rows, int64_t columns) {
    const int64_t floats = rows * columns;
    if (floats > floats_) {
      memory_.reset(new (std::align_val_t{64}) float[static_cast<size_t>(floats)]);
      floats_ = floats;
    }
    return {memory_.get(), rows, columns};
  }

 private:
  struct Free {
    void operator()(float* memory) const { ::operator delete[](memory, std::align_val_t{64}); }
  };
  std::unique_ptr<float[], Free> memory_;
  int64_t floats_ = 0;
};

// GRETA_FORCE_ATTN_DECODE_KERNEL; auto is fused.
DecodeArm decode_arm(const Flags& flags) {
  return flags.text("GRETA_FORCE_ATTN_DECODE_KERNEL") == "manual" ? DecodeArm::manual
                                                                  : DecodeArm::fused;
}

// Faults that leave slots unwritten need what an earlier sequence would have left in them.
SlotFill slot_fill(const Faults& faults) {
  const bool stale = faults.at(Fault::stale_slot) || faults.at(Fault::v_not_written) ||
                     faults.at(Fault::kv_write_hq_stride);
  return stale ? SlotFill::stale : SlotFill::poison;
}

#define TRY_KERNEL(op, ...)                                                               \
  do {                                                                                    \
    if (const Status greta_status = kernels::op(__VA_ARGS__); greta_status != Status::ok) \
      return kernel_error(#op, greta_status);                                             \
  } while (false)

tl::unexpected<Error> kernel_error(std::string_view op, Status status) {
  return fail(EngineExit::device, "kernel " + std::string(op) + ": " + kernels::to_string(status));
}

class CpuBackend final : public Backend {
 public:
  CpuBackend(Weights weights, const ModelConfig& config, const BackendOptions& options,
             DecodeArm arm, const Faults& faults)
      : weights_(std::move(weights)),
        config_(config),
        faults_(faults),
        fast_(options.numerics == Numerics::fast),
        context_(options.threads),
        kv_(options.kv_type, config.layers, config.kv_heads, options.max_seq, config.head_dim,
            slot_fill(faults)),
        rotations_(options.max_seq + 1, config.head_dim, config.rope_base, config.rope_factors),
        paths_(config, arm, faults) {}

  // From now on the decode attention is that of the emulated kernels, on the same cache.
  // All else computes as in strict numerics: activations in eight bits would turn the last place of
  // an fp32 sum into a step of that rounding, and decode could not be held against prefill.
  Result<> emulate_attention(const BackendOptions& options, const Flags& flags) {
    fast_ = false;
    emulated_ = std::move(kernels::gpu::open_emu(context_.pool(), mfma_arithmetic(flags)).device);
    TRY_ASSIGN(auto attention, DeviceAttention::create(*emulated_, config_, options,
                                                       attention_choice(flags), faults_));
    emulated_attention_.emplace(std::move(attention));
    return {};
  }

  void reset() override { kv_.reset(); }
  const KvCache* kv_cache() const override { return &kv_.cache(); }
  std::string isa() const override {
    return kernels::isa() + (emulated_ ? "+" + emulated_->isa() : "");
  }
  bool prefill_goes_as_decode() const override { return !emulated_attention_; }
  bool rounds_activations(WeightMatrix matrix, int64_t layer) const override {
    return takes_eight_bits(weights_.matrix(matrix, layer));
  }

  std::vector<KernelLaunches> launches() const override {
    std::vector<KernelLaunches> out;
    for (const kernels::Launched& launched : context_.launched()) {
      out.push_back({.id = launched.kernel.id,
                     .op = launched.kernel.op,
                     .variant = launched.kernel.variant,
                     .code_hash = launched.kernel.code_hash,
                     .launches = launched.launches});
    }
    if (emulated_) append_launches(*emulated_, out);
    return out;
  }

  void read_weight(WeightMatrix matrix, int64_t layer, int64_t row,
                   std::span<float> out) const override {
    const kernels::WeightView view = weights_.matrix(matrix, layer);
    kernels::dequantize(view.type(), view.row(row), out);
  }

  Result<> forward(const Pass& asked, std::span<const int32_t> tokens, int64_t logit_rows,
                   std::span<float> logits) override {
    Pass pass = asked;
    pass.rows = static_cast<int64_t>(tokens.size());
    pass.last_token = tokens.empty() ? -1 : tokens.back();
    pass.tokens = tokens;
    TRY(check_pass(config_, kv_.cache(), pass, tokens, logit_rows, logits));
    const bool watched = pass.traced && !probes_.empty();
    if (watched) {
      for (Probe* probe : probes_) probe->begin_pass(pass);
    }
    shown_ = pass;
    const bool whole = faults_.any() || (watched && !last_rows_do());
    const int64_t step = whole ? pass.rows : kRowsAtATime;
    for (int64_t first = 0; first < pass.rows; first += step) {
      Pass part = pass;
      part.pos0 += first;
      part.rows = std::min(step, pass.rows - first);
      const int64_t end = first + part.rows;
      watched_ = watched && end == pass.rows;
      const int64_t wanted = std::clamp<int64_t>(end - (pass.rows - logit_rows), 0, part.rows);
      const auto some = static_cast<size_t>(wanted * config_.vocab);
      TRY(forward_rows(part,
                       tokens.subspan(static_cast<size_t>(first), static_cast<size_t>(part.rows)),
                       wanted, logits.first(some)));
      logits = logits.subspan(some);
    }
    if (watched) {
      for (Probe* probe : probes_) TRY(probe->end_pass(pass));
    }
    return {};
  }

 private:
  bool last_rows_do() const {
    return std::ranges::all_of(probes_, [](const Probe* probe) { return probe->last_row_only(); });
  }

  Result<> forward_rows(const Pass& pass, std::span<const int32_t> tokens, int64_t logit_rows,
                        std::span<float> logits) {
    const Rows<float> x = x_.rows(pass.rows, config_.dim);
    TRY_KERNEL(embedding, context_, {.table = weights_.embedding, .tokens = tokens, .out = x});
    show(Point::embed_out, -1, x);
    for (int64_t layer = 0; layer < config_.layers; ++layer) {
      TRY(attention_block(pass, layer, x));
      TRY(ffn_block(pass, layer, x));
    }
    kv_.cache().length = pass.pos0 + pass.rows;
    return read_out(pass, x, logit_rows, logits);
  }

  // Weights times activations, in fast numerics with eight-bit activations where it can be.
  Result<> product(const kernels::MatmulArgs& args) {
    if (takes_eight_bits(args.weight)) {
      TRY_KERNEL(matmul_int8, context_, args);
    } else {
      TRY_KERNEL(matmul, context_, args);
    }
    return {};
  }
  bool takes_eight_bits(const kernels::WeightView& weight) const {
    return fast_ && kernels::has_matmul_int8(weight.type(), weight.columns());
  }

  void show(Point point, int64_t layer, Rows<const float> data) {
    if (!watched_) return;
    for (Probe* probe : probes_) {
      probe->tensor(shown_, point, layer, data.data(), data.rows(), data.columns());
    }
  }
  void before_update(const Pass& pass, int64_t layer) {
    if (!watched_) return;
    for (Probe* probe : probes_) probe->before_kv_update(pass, layer, kv_.cache());
  }
  void after_update(const Pass& pass, int64_t layer) {
    if (!watched_) return;
    for (Probe* probe : probes_) probe->after_kv_update(pass, layer, kv_.cache());
  }

  // Room for what the attention of a layer shows of itself, where a probe asks for it.
  kernels::AttentionShown shown_by(const Pass& pass, int64_t layer) {
    shown_rows_.clear();
    if (watched_) shown_rows_ = wanted_attention_rows(pass, layer);
    if (shown_rows_.empty()) return {};
    const int64_t rows = static_cast<int64_t>(shown_rows_.size()) * config_.heads;
    const int64_t keys = pass.pos0 + pass.rows;
    const kernels::AttentionShown shown = {scores_.rows(rows, keys),
                                           weights_shown_.rows(rows, keys)};
    // What the kernel does not write must not look like a result.
    for (const Rows<float>& part : {shown.scores, shown.weights}) {
      std::fill_n(part.data(), rows * keys, std::numeric_limits<float>::quiet_NaN());
    }
    return shown;
  }
  void show_weights(const Pass& pass, int64_t layer, const kernels::AttentionShown& shown) {
    if (!shown.wanted()) return;
    for (Probe* probe : probes_) {
      probe->attention_weights(pass, layer,
                               {.rows = shown_rows_,
                                .heads = config_.heads,
                                .keys = shown.scores.columns(),
                                .scores = shown.scores.data(),
                                .weights = shown.weights.data()});
    }
  }

  // x += attention(norm(x))
  Result<> attention_block(const Pass& pass, int64_t layer, Rows<float> x) {
    const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
    const int64_t rows = pass.rows;
    const Rows<float> norm = norm_.rows(rows, config_.dim);
    const Rows<float> q = q_.rows(rows, config_.q_dim());
    const Rows<float> k = k_.rows(rows, config_.kv_dim());
    const Rows<float> v = v_.rows(rows, config_.kv_dim());
    const Rows<float> attn = attn_.rows(rows, config_.q_dim());
    const Rows<float> out = out_.rows(rows, config_.dim);
    show(Point::x_in, layer, x);
    TRY_KERNEL(rms_norm, context_,
               {.x = x, .weight = w.attn_norm, .out = norm, .eps = config_.rms_eps});
    show(Point::attn_norm, layer, norm);
    TRY(product({.weight = w.wq, .x = norm, .out = q}));
    TRY(product({.weight = w.wk, .x = norm, .out = k}));
    TRY(product({.weight = w.wv, .x = norm, .out = v}));
    show(Point::q_pre, layer, q);
    show(Point::k_pre, layer, k);
    show(Point::v_pre, layer, v);
    const kernels::AttentionShown shown = shown_by(pass, layer);
    if (pass.decode) {
      TRY(attend_decode(pass, layer, q, k, v, attn, shown));
    } else {
      TRY(attend_prefill(pass, layer, q, k, v, attn, shown));
    }
    show(Point::attn_out, layer, attn);
    show_weights(pass, layer, shown);
    TRY(product({.weight = w.wo, .x = attn, .out = out}));
    show(Point::wo_out, layer, out);
    TRY_KERNEL(add, context_, {.a = x, .b = out, .sum = x});
    show(Point::x_after_attn, layer, x);
    return {};
  }

  // The same by the emulated kernels, which find everything in the memory of the host.
  Result<> attend_emulated(const Pass& pass, int64_t layer, Rows<float> q, Rows<float> k,
                           Rows<float> v, Rows<float> attn, const kernels::AttentionShown& shown) {
    const int64_t keys = pass.pos0 + 1;
    DeviceStep step = {.pass = pass,
                       .layer = layer,
                       .q = {q.data(), q.columns()},
                       .k = {k.data(), k.columns()},
                       .v = {v.data(), v.columns()},
                       .out = {attn.data(), attn.columns()},
                       .cache = device_layer(layer),
                       .first_layer = device_layer(0),
                       .keys = keys};
    if (shown.wanted()) {
      step.scores = {shown.scores.data(), config_.heads * keys};
      step.weights = {shown.weights.data(), config_.heads * keys};
    }
    TRY(emulated_attention_->set_position(pass.pos0));
    before_update(pass, layer);
    TRY(emulated_attention_->update(step));
    after_update(pass, layer);
    show(Point::q, layer, q);
    show(Point::k, layer, k);
    show(Point::v, layer, v);
    Probe::DecodeLaunch launch;
    TRY(emulated_attention_->attend(step, watched_ ? &launch : nullptr));
    if (!watched_) return {};
    for (Probe* probe : probes_) probe->decode_attention(pass, layer, launch);
    if (!emulated_attention_->has_shadow()) return {};
    TRY_ASSIGN(const auto shadow, emulated_attention_->shadow(step, launch));
    for (Probe* probe : probes_) probe->decode_shadow(pass, layer, shadow);
    return {};
  }
  kernels::gpu::KvLayer device_layer(int64_t layer) const {
    const KvCache& cache = kv_.cache();
    const int64_t bytes = cache.layer_stride() * cache.element_bytes();
    return {.type = dtype_of(cache.type),
            .k = {cache.k.data() + layer * bytes, bytes},
            .v = {cache.v.data() + layer * bytes, bytes},
            .kv_heads = cache.kv_heads,
            .capacity = cache.capacity,
            .head_dim = cache.head_dim};
  }

  Result<> attend_decode(const Pass& pass, int64_t layer, Rows<float> q, Rows<float> k,
                         Rows<float> v, Rows<float> attn, const kernels::AttentionShown& shown) {
    if (emulated_attention_) return attend_emulated(pass, layer, q, k, v, attn, shown);
    TokenStep step = {.pass = pass,
                      .layer = layer,
                      .position = pass.pos0,
                      .q = q.row_span(0),
                      .k = k.row_span(0),
                      .v = v.row_span(0),
                      .out = attn.row_span(0),
                      .shown = shown};
    before_update(pass, layer);
    if (const Status status = paths_.update(context_, rotations_, kv_.cache(), step);
        status != Status::ok) {
      return kernel_error("decode KV update", status);
    }
    after_update(pass, layer);
    show(Point::q, layer, {step.q.data(), 1, q.columns()});
    show(Point::k, layer, k);
    show(Point::v, layer, v);
    Probe::DecodeLaunch launch;
    if (const Status status = paths_.attend(context_, kv_.cache(), step, launch);
        status != Status::ok) {
      return kernel_error("decode attention", status);
    }
    if (watched_) {
      for (Probe* probe : probes_) probe->decode_attention(pass, layer, launch);
    }
    return {};
  }

  Result<> attend_prefill(const Pass& pass, int64_t layer, Rows<float> q, Rows<float> k,
                          Rows<float> v, Rows<float> attn, const kernels::AttentionShown& shown) {
    KvCache& cache = kv_.cache();
    const kernels::KvWrite k_cache = writable_layer(cache, cache.k, layer);
    const kernels::KvWrite v_cache = writable_layer(cache, cache.v, layer);
    const bool faulty = paths_.faulty(pass, layer);
    const Rows<const float> rotation = rotations_.rows(pass.pos0, pass.rows);
    before_update(pass, layer);
    if (faulty) {
      TRY(each_row(pass, layer, q, k, v, attn, [&](TokenStep& step) {
        return paths_.update(context_, rotations_, cache, step);
      }));
    } else {
      TRY_KERNEL(rope, context_, {.x = q, .rotation = rotation});
      TRY_KERNEL(rope, context_, {.x = k, .rotation = rotation});
      TRY_KERNEL(kv_update, context_,
                 {.k = k, .v = v, .k_cache = k_cache, .v_cache = v_cache, .pos0 = pass.pos0});
    }
    after_update(pass, layer);
    show(Point::q, layer, q);
    show(Point::k, layer, k);
    show(Point::v, layer, v);
    if (faulty) {
      Probe::DecodeLaunch launch;
      return each_row(pass, layer, q, k, v, attn, [&](TokenStep& step) {
        step.shown = shown_of_row(shown, step.position - pass.pos0);
        return paths_.attend(context_, cache, step, launch);
      });
    }
    TRY_KERNEL(attention_prefill, context_,
               {.q = q,
                .k = k_cache,
                .v = v_cache,
                .pos0 = pass.pos0,
                .scale = 1.0f / std::sqrt(static_cast<float>(config_.head_dim)),
                .out = attn,
                .shown_tokens = shown_rows_,
                .shown = shown});
    return {};
  }

  kernels::AttentionShown shown_of_row(const kernels::AttentionShown& shown, int64_t row) const {
    const auto found = std::ranges::lower_bound(shown_rows_, row);
    if (found == shown_rows_.end() || *found != row) return {};
    const int64_t first = (found - shown_rows_.begin()) * config_.heads;
    return {shown.scores.sub_rows(first, config_.heads),
            shown.weights.sub_rows(first, config_.heads)};
  }

  // A fault of the attention in a prefill: row by row through the decode paths.
  template <class Do>
  Result<> each_row(const Pass& pass, int64_t layer, Rows<float> q, Rows<float> k, Rows<float> v,
                    Rows<float> attn, const Do& run) {
    for (int64_t r = 0; r < pass.rows; ++r) {
      TokenStep step = {.pass = pass,
                        .layer = layer,
                        .position = pass.pos0 + r,
                        .q = q.row_span(r),
                        .k = k.row_span(r),
                        .v = v.row_span(r),
                        .out = attn.row_span(r)};
      if (const Status status = run(step); status != Status::ok) {
        return kernel_error("prefill attention", status);
      }
    }
    return {};
  }

  // x += down(silu(gate(norm(x))) · up(norm(x)))
  Result<> ffn_block(const Pass& pass, int64_t layer, Rows<float> x) {
    const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
    const Rows<float> norm = norm_.rows(pass.rows, config_.dim);
    const Rows<float> out = out_.rows(pass.rows, config_.dim);
    TRY_KERNEL(rms_norm, context_,
               {.x = x, .weight = w.ffn_norm, .out = norm, .eps = config_.rms_eps});
    show(Point::ffn_norm, layer, norm);
    for (int64_t first = 0; first < pass.rows; first += kRowsAtATime) {
      const int64_t rows = std::min(kRowsAtATime, pass.rows - first);
      const Rows<float> gate = gate_.rows(rows, config_.ffn);
      const Rows<float> up = up_.rows(rows, config_.ffn);
      const Rows<const float> in = norm.sub_rows(first, rows);
      TRY(product({.weight = w.gate, .x = in, .out = gate}));
      TRY(product({.weight = w.up, .x = in, .out = up}));
      TRY_KERNEL(swiglu, context_, {.gate = gate, .up = up, .out = gate});
      TRY(product({.weight = w.down, .x = gate, .out = out.sub_rows(first, rows)}));
    }
    show(Point::mlp_out, layer, out);
    TRY_KERNEL(add, context_, {.a = x, .b = out, .sum = x});
    show(Point::x_out, layer, x);
    return {};
  }

  // Logits of the last `logit_rows`; the final norm of those, or of every row where probes look on.
  Result<> read_out(const Pass& pass, Rows<float> x, int64_t logit_rows, std::span<float> logits) {
    if (logit_rows == 0 && !watched_) return {};
    int64_t first = pass.rows - logit_rows;
    if (!pass.decode && faults_.at(Fault::readout_wrong_row)) first = 0;
    const int64_t normed = watched_ ? 0 : first;
    const Rows<float> in = x.sub_rows(normed, watched_ ? pass.rows : logit_rows);
    const Rows<float> norm = norm_.rows(in.rows(), config_.dim);
    TRY_KERNEL(rms_norm, context_,
               {.x = in, .weight = weights_.output_norm, .out = norm, .eps = config_.rms_eps});
    show(Point::final_norm, -1, norm);
    if (logit_rows == 0) return {};
    const Rows<float> out(logits.data(), logit_rows, config_.vocab);
    TRY(product(
        {.weight = weights_.output, .x = norm.sub_rows(first - normed, logit_rows), .out = out}));
    if (watched_) {
      const int64_t skipped = shown_.rows - pass.rows;  // rows of the pass before these
      for (Probe* probe : probes_) probe->readout_row(shown_, skipped + first + logit_rows - 1);
    }
    show(Point::logits, -1, out);
    return {};
  }

  const Weights weights_;
  const ModelConfig config_;
  const Faults faults_;
  bool fast_;
  kernels::Context context_;
  KvStorage kv_;
  RotationTable rotations_;
  DecodePaths paths_;
  std::unique_ptr<kernels::gpu::Device> emulated_;
  std::optional<DeviceAttention> emulated_attention_;
  Pass shown_;            // the whole pass, as probes know it
  bool watched_ = false;  // are probes to be shown these rows?
  Buffer x_, norm_, q_, k_, v_, attn_, out_, gate_, up_;
  Buffer scores_, weights_shown_;
  std::vector<int64_t> shown_rows_;  // of the layer that runs
};

}  // namespace

Result<std::unique_ptr<Backend>> make_cpu_backend(const GgufFile& file, const ModelConfig& config,
                                                  const BackendOptions& options, const Flags& flags,
                                                  const Faults& faults, bool emulated_attention) {
  if (emulated_attention) {
    TRY(check_emulated_faults(faults));
  } else {
    TRY(faults.check_on_cpu());
    TRY(refuse_device_attention(flags));
  }
  if (options.max_seq < 1 || options.threads < 1) {
    return fail(EngineExit::usage, "threads and the longest sequence are at least 1");
  }
  TRY(faults.fits(config.layers, config.heads));
  TRY_ASSIGN(Weights weights, bind_weights(file, config));
  place_weight_faults(faults, weights);
  try {
    auto backend = std::make_unique<CpuBackend>(std::move(weights), config, options,
                                                decode_arm(flags), faults);
    if (emulated_attention) TRY(backend->emulate_attention(options, flags));
    return backend;
  } catch (const std::bad_alloc&) {
    return fail(EngineExit::device, "no memory for a KV cache of " +
                                        std::to_string(options.max_seq) +
                                        " positions; GRETA_MAX_SEQ_LEN limits them");
  }
}

}  // namespace greta::engine
