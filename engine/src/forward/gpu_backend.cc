// The forward pass on a device: weights resident, activations in fp32, one launch an op. The decode
// step of a real GPU is captured once in a graph and replayed.
#include "forward/gpu_backend.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "forward/check_pass.h"
#include "forward/device_attention.h"
#include "forward/weights.h"
#include "kernels/kernels.h"
#include "kernels/thread_pool.h"

namespace greta::engine {
namespace {

namespace gpu = kernels::gpu;

// A long prefill goes through the model this many rows at a time.
constexpr int64_t kRowsAtATime = 256;
// Tokens from which matrix tiles pay off (fast numerics).
constexpr int64_t kTileTokens = 16;
// A captured decode step is good for so many keys, doubled until the cache is full: grids grow with
// the longest sequence that a graph may meet.
constexpr int64_t kFirstGraphKeys = 256;

struct DeviceLayer {
  gpu::Span<const float> attn_norm, ffn_norm;
  gpu::Matrix wq, wk, wv, wo, gate, up, down;
};

// Weights in the device's memory. The emulator reads the file's mapping where it lies.
class DeviceWeights {
 public:
  static Result<DeviceWeights> create(gpu::Device& device, Weights weights) {
    DeviceWeights out(device, std::move(weights));
    const Weights& host = out.host_;
    TRY(out.place(host.embedding, &out.embedding));
    if (host.output.row(0) == host.embedding.row(0)) {
      out.output = out.embedding;
    } else {
      TRY(out.place(host.output, &out.output));
    }
    TRY(out.place(host.output_norm, &out.output_norm));
    for (const LayerWeights& from : host.layers) {
      DeviceLayer layer;
      TRY(out.place(from.attn_norm, &layer.attn_norm));
      TRY(out.place(from.ffn_norm, &layer.ffn_norm));
      TRY(out.place(from.wq, &layer.wq));
      TRY(out.place(from.wk, &layer.wk));
      TRY(out.place(from.wv, &layer.wv));
      TRY(out.place(from.wo, &layer.wo));
      TRY(out.place(from.gate, &layer.gate));
      TRY(out.place(from.up, &layer.up));
      TRY(out.place(from.down, &layer.down));
      out.layers.push_back(layer);
    }
    return out;
  }
  const Weights& host() const { return host_; }

  gpu::Matrix embedding, output;
  gpu::Span<const float> output_norm;
  std::vector<DeviceLayer> layers;

 private:
  DeviceWeights(gpu::Device& device, Weights weights)
      : device_(&device), host_(std::move(weights)) {}

  Result<> place(const kernels::WeightView& from, gpu::Matrix* to) {
    const int64_t bytes = from.rows() * kernels::row_bytes(from.type(), from.columns());
    *to = {from.type(), {from.row(0), bytes}, from.rows(), from.columns()};
    if (device_->target() == gpu::Target::emu) return {};
    buffers_.emplace_back(*device_);
    TRY(buffers_.back().assign(from.row(0), bytes));
    to->bytes.data = buffers_.back().data();
    return {};
  }
  Result<> place(const std::vector<float>& from, gpu::Span<const float>* to) {
    buffers_.emplace_back(*device_);
    TRY(buffers_.back().assign(from.data(), static_cast<int64_t>(from.size())));
    *to = buffers_.back().span<const float>(static_cast<int64_t>(from.size()));
    return {};
  }

  gpu::Device* device_;
  Weights host_;
  std::vector<DeviceBuffer> buffers_;
};

// What slots hold before they are written: NaN, so that whoever reads past the sequence gets NaN;
// or small numbers, as an earlier sequence leaves them, for faults that read such slots.
constexpr uint8_t kPoison = 0xff, kStale = 0x3c;
uint8_t slot_fill(const Faults& faults) {
  return faults.at(Fault::stale_slot) || faults.at(Fault::v_not_written) ? kStale : kPoison;
}

// K and V on the device; a mirror of them where probes read one.
class DeviceCache {
 public:
  static Result<DeviceCache> create(gpu::Device& device, KvType type, const ModelConfig& config,
                                    int64_t capacity, uint8_t fill) {
    DeviceCache out(device, fill);
    out.cache_ = {.type = type,
                  .layers = config.layers,
                  .kv_heads = config.kv_heads,
                  .capacity = capacity,
                  .head_dim = config.head_dim};
    out.bytes_ = config.layers * out.cache_.layer_stride() * out.cache_.element_bytes();
    TRY(out.k_.reserve(out.bytes_));
    TRY(out.v_.reserve(out.bytes_));
    TRY(out.forget());
    if (device.target() == gpu::Target::emu) {
      out.cache_.k = {out.k_.data(), static_cast<size_t>(out.bytes_)};
      out.cache_.v = {out.v_.data(), static_cast<size_t>(out.bytes_)};
    }
    return out;
  }
  Result<> forget() {
    TRY(ran(device_->fill(k_.data(), fill_, bytes_)));
    TRY(ran(device_->fill(v_.data(), fill_, bytes_)));
    cache_.length = 0;
    return {};
  }
  // The host's copy as it is now.
  Result<> mirror() {
    if (device_->target() == gpu::Target::emu) return {};
    mirror_.resize(static_cast<size_t>(2 * bytes_));
    cache_.k = std::span(mirror_).first(static_cast<size_t>(bytes_));
    cache_.v = std::span(mirror_).subspan(static_cast<size_t>(bytes_));
    TRY(ran(device_->download(cache_.k.data(), k_.data(), bytes_)));
    return ran(device_->download(cache_.v.data(), v_.data(), bytes_));
  }
  KvCache& cache() { return cache_; }
  const KvCache& cache() const { return cache_; }
  gpu::KvLayer layer(int64_t index) const {
    const int64_t size = cache_.layer_stride() * cache_.element_bytes();
    return {.type = dtype_of(cache_.type),
            .k = {k_.data() + index * size, size},
            .v = {v_.data() + index * size, size},
            .kv_heads = cache_.kv_heads,
            .capacity = cache_.capacity,
            .head_dim = cache_.head_dim};
  }

 private:
  DeviceCache(gpu::Device& device, uint8_t fill)
      : device_(&device), fill_(fill), k_(device), v_(device) {}
  gpu::Device* device_;
  uint8_t fill_;
  DeviceBuffer k_, v_;
  int64_t bytes_ = 0;
  KvCache cache_;
  std::vector<std::byte> mirror_;
};

class GpuBackend final : public Backend {
 public:
  // The device must be opened on `pool`, which it may use.
  GpuBackend(std::unique_ptr<kernels::ThreadPool> pool, std::unique_ptr<gpu::Device> device,
             const ModelConfig& config, const BackendOptions& options, const Faults& faults,
             DeviceWeights weights, DeviceCache kv, DeviceAttention attention)
      : pool_(std::move(pool)),
        device_(std::move(device)),
        config_(config),
        fast_(options.numerics == Numerics::fast),
        faults_(faults.any()),
        readout_wrong_row_(faults.at(Fault::readout_wrong_row)),
        weights_(std::move(weights)),
        kv_(std::move(kv)),
        attention_(std::move(attention)),
        x_(*device_),
        norm_(*device_),
        q_(*device_),
        k_(*device_),
        v_(*device_),
        attn_(*device_),
        out_(*device_),
        gate_(*device_),
        up_(*device_),
        logits_(*device_),
        tokens_(*device_),
        scores_(*device_),
        shown_weights_(*device_) {}

  ~GpuBackend() override { (void)device_->synchronize(); }

  void reset() override { reset_failure_ = kv_.forget(); }
  const KvCache* kv_cache() const override { return &kv_.cache(); }
  std::string isa() const override { return device_->isa(); }
  std::string device_name() const override { return device_->name(); }
  std::vector<KernelLaunches> launches() const override {
    std::vector<KernelLaunches> out;
    append_launches(*device_, out);
    return out;
  }
  bool prefill_goes_as_decode() const override { return attention_.prefill_goes_as_decode(); }
  void read_weight(WeightMatrix matrix, int64_t layer, int64_t row,
                   std::span<float> out) const override {
    const kernels::WeightView& view = weights_.host().matrix(matrix, layer);
    kernels::dequantize(view.type(), view.row(row), out);
  }

  Result<> forward(const Pass& asked, std::span<const int32_t> tokens, int64_t logit_rows,
                   std::span<float> logits) override {
    TRY(reset_failure_);
    Pass pass = asked;
    pass.rows = static_cast<int64_t>(tokens.size());
    pass.last_token = tokens.empty() ? -1 : tokens.back();
    pass.tokens = tokens;
    TRY(check_pass(config_, kv_.cache(), pass, tokens, logit_rows, logits));
    const bool watched = pass.traced && !probes_.empty();
    if (watched) {
      for (Probe* probe : probes_) probe->begin_pass(pass);
    }
    if (pass.decode && logit_rows == 1 && !faults_ && device_->has_graphs() && nobody_looks(pass)) {
      TRY(replay_decode(pass, tokens, logits));
    } else {
      TRY(forward_parts(pass, tokens, logit_rows, logits, watched));
    }
    if (watched) {
      for (Probe* probe : probes_) TRY(probe->end_pass(pass));
    }
    return {};
  }

 private:
  bool nobody_looks(const Pass& pass) const { return probes_.empty() || !pass.traced; }

  Result<> forward_parts(const Pass& pass, std::span<const int32_t> tokens, int64_t logit_rows,
                         std::span<float> logits, bool watched) {
    shown_ = pass;
    const bool whole = watched && !std::ranges::all_of(probes_, [](const Probe* probe) {
                         return probe->last_row_only();
                       });
    const int64_t step = whole ? pass.rows : kRowsAtATime;
    for (int64_t first = 0; first < pass.rows; first += step) {
      Pass part = pass;
      part.pos0 += first;
      part.rows = std::min(step, pass.rows - first);
      const int64_t end = first + part.rows;
      watched_ = watched && end == pass.rows;
      const int64_t wanted = std::clamp<int64_t>(end - (pass.rows - logit_rows), 0, part.rows);
      TRY(feed(part.pos0,
               tokens.subspan(static_cast<size_t>(first), static_cast<size_t>(part.rows))));
      TRY(layers(part, part.pos0 + part.rows));
      kv_.cache().length = part.pos0 + part.rows;
      TRY(read_out(part, wanted, logits.first(static_cast<size_t>(wanted * config_.vocab))));
      logits = logits.subspan(static_cast<size_t>(wanted * config_.vocab));
    }
    return {};
  }

  // Tokens and their position, where kernels find them.
  Result<> feed(int64_t pos0, std::span<const int32_t> tokens) {
    TRY(tokens_.assign(tokens.data(), static_cast<int64_t>(tokens.size())));
    return attention_.set_position(pos0);
  }

  Result<> product(const gpu::Matrix& weight, gpu::Span<const float> x, gpu::Span<float> out) {
    const bool tiles = fast_ && x.size / weight.columns >= kTileTokens;
    return ran(device_->run(gpu::MatmulOp{.weight = weight,
                                          .x = x,
                                          .out = out,
                                          .route = tiles ? gpu::Route::mfma : gpu::Route::valu}));
  }
  Result<> normalise(gpu::Span<const float> x, gpu::Span<const float> weight,
                     gpu::Span<float> out) {
    return ran(
        device_->run(gpu::RmsNormOp{.x = x, .weight = weight, .out = out, .eps = config_.rms_eps}));
  }
  static Result<gpu::Span<float>> room(DeviceBuffer& buffer, int64_t rows, int64_t columns) {
    TRY(buffer.reserve(rows * columns * 4));
    return buffer.span<float>(rows * columns);
  }

  // A tensor of the device to the probes.
  Result<> show(Point point, int64_t layer, gpu::Span<const float> data, int64_t columns) {
    if (!watched_) return {};
    host_.resize(static_cast<size_t>(data.size));
    TRY(ran(device_->download(host_.data(), data.data, data.size * 4)));
    for (Probe* probe : probes_) {
      probe->tensor(shown_, point, layer, host_.data(), data.size / columns, columns);
    }
    return {};
  }
  Result<> show_cache(const Pass& pass, int64_t layer, bool before) {
    if (!watched_) return {};
    if (std::ranges::any_of(probes_, [](const Probe* probe) { return probe->reads_kv_cache(); })) {
      TRY(ran(device_->synchronize()));
      TRY(kv_.mirror());
    }
    for (Probe* probe : probes_) {
      if (before) {
        probe->before_kv_update(pass, layer, kv_.cache());
      } else {
        probe->after_kv_update(pass, layer, kv_.cache());
      }
    }
    return {};
  }

  // embedding, then every layer. keys: the most that attention may meet.
  Result<> layers(const Pass& pass, int64_t keys) {
    TRY_ASSIGN(const auto x, room(x_, pass.rows, config_.dim));
    TRY(ran(device_->run(gpu::EmbeddingOp{
        .table = weights_.embedding, .tokens = tokens_.span<const int32_t>(pass.rows), .out = x})));
    TRY(show(Point::embed_out, -1, x, config_.dim));
    for (int64_t layer = 0; layer < config_.layers; ++layer) {
      TRY(attention_block(pass, layer, keys, x));
      TRY(ffn_block(pass, layer, x));
    }
    return {};
  }

  Result<> attention_block(const Pass& pass, int64_t layer, int64_t keys, gpu::Span<float> x) {
    const DeviceLayer& w = weights_.layers[static_cast<size_t>(layer)];
    TRY_ASSIGN(const auto norm, room(norm_, pass.rows, config_.dim));
    TRY_ASSIGN(const auto q, room(q_, pass.rows, config_.q_dim()));
    TRY_ASSIGN(const auto k, room(k_, pass.rows, config_.kv_dim()));
    TRY_ASSIGN(const auto v, room(v_, pass.rows, config_.kv_dim()));
    TRY_ASSIGN(const auto attn, room(attn_, pass.rows, config_.q_dim()));
    TRY_ASSIGN(const auto out, room(out_, pass.rows, config_.dim));
    TRY(show(Point::x_in, layer, x, config_.dim));
    TRY(normalise(x, w.attn_norm, norm));
    TRY(show(Point::attn_norm, layer, norm, config_.dim));
    TRY(product(w.wq, norm, q));
    TRY(product(w.wk, norm, k));
    TRY(product(w.wv, norm, v));
    TRY(show(Point::q_pre, layer, q, config_.q_dim()));
    TRY(show(Point::k_pre, layer, k, config_.kv_dim()));
    TRY(show(Point::v_pre, layer, v, config_.kv_dim()));
    DeviceStep step = {.pass = pass,
                       .layer = layer,
                       .q = q,
                       .k = k,
                       .v = v,
                       .out = attn,
                       .cache = kv_.layer(layer),
                       .first_layer = kv_.layer(0),
                       .keys = keys};
    TRY(show_cache(pass, layer, true));
    TRY(attention_.update(step));
    TRY(show_cache(pass, layer, false));
    TRY(show(Point::q, layer, q, config_.q_dim()));
    TRY(show(Point::k, layer, k, config_.kv_dim()));
    TRY(show(Point::v, layer, v, config_.kv_dim()));
    TRY(attend(step));
    TRY(product(w.wo, attn, out));
    TRY(show(Point::wo_out, layer, out, config_.dim));
    TRY(ran(device_->add({.a = x, .b = out, .out = x})));
    return show(Point::x_after_attn, layer, x, config_.dim);
  }

  Result<> attend(DeviceStep& step) {
    const Pass& pass = step.pass;
    if (watched_) asked_rows_ = wanted_attention_rows(pass, step.layer);
    const bool asked = watched_ && !asked_rows_.empty();
    if (asked) {
      TRY_ASSIGN(step.scores, room(scores_, pass.rows * config_.heads, step.keys));
      TRY_ASSIGN(step.weights, room(shown_weights_, pass.rows * config_.heads, step.keys));
      // What the kernel does not write must not look like a result.
      TRY(ran(device_->fill(step.scores.data, 0xff, step.scores.size * 4)));
      TRY(ran(device_->fill(step.weights.data, 0xff, step.weights.size * 4)));
    }
    Probe::DecodeLaunch launch;
    TRY(attention_.attend(step, watched_ && pass.decode ? &launch : nullptr));
    if (watched_ && pass.decode) {
      for (Probe* probe : probes_) probe->decode_attention(pass, step.layer, launch);
      if (attention_.has_shadow()) {
        TRY_ASSIGN(const auto shadow, attention_.shadow(step, launch));
        for (Probe* probe : probes_) probe->decode_shadow(pass, step.layer, shadow);
      }
    }
    TRY(show(Point::attn_out, step.layer, step.out, config_.q_dim()));
    return asked ? show_weights(step) : Result<>();
  }

  Result<> show_weights(const DeviceStep& step) {
    const int64_t row = config_.heads * step.keys;
    const auto rows = asked_rows_.size();
    std::vector<float> scores(rows * static_cast<size_t>(row)), weights(scores.size());
    for (size_t i = 0; i < rows; ++i) {
      const int64_t from = asked_rows_[i] * row;
      const size_t to = i * static_cast<size_t>(row);
      TRY(ran(device_->download(&scores[to], step.scores.data + from, row * 4)));
      TRY(ran(device_->download(&weights[to], step.weights.data + from, row * 4)));
    }
    for (Probe* probe : probes_) {
      probe->attention_weights(step.pass, step.layer,
                               {.rows = asked_rows_,
                                .heads = config_.heads,
                                .keys = step.keys,
                                .scores = scores.data(),
                                .weights = weights.data()});
    }
    return {};
  }

  Result<> ffn_block(const Pass& pass, int64_t layer, gpu::Span<float> x) {
    const DeviceLayer& w = weights_.layers[static_cast<size_t>(layer)];
    TRY_ASSIGN(const auto norm, room(norm_, pass.rows, config_.dim));
    TRY_ASSIGN(const auto gate, room(gate_, pass.rows, config_.ffn));
    TRY_ASSIGN(const auto up, room(up_, pass.rows, config_.ffn));
    TRY_ASSIGN(const auto out, room(out_, pass.rows, config_.dim));
    TRY(normalise(x, w.ffn_norm, norm));
    TRY(show(Point::ffn_norm, layer, norm, config_.dim));
    TRY(product(w.gate, norm, gate));
    TRY(product(w.up, norm, up));
    TRY(ran(device_->swiglu({.a = gate, .b = up, .out = gate})));
    TRY(product(w.down, gate, out));
    TRY(show(Point::mlp_out, layer, out, config_.dim));
    TRY(ran(device_->add({.a = x, .b = out, .out = x})));
    return show(Point::x_out, layer, x, config_.dim);
  }

  // Logits of the last `logit_rows`; the final norm of those, or of every row where probes look on.
  Result<> read_out(const Pass& pass, int64_t logit_rows, std::span<float> logits) {
    if (logit_rows == 0 && !watched_) return {};
    int64_t first = pass.rows - logit_rows;
    if (!pass.decode && readout_wrong_row_) first = 0;
    const int64_t normed = watched_ ? 0 : first, dim = config_.dim;
    const int64_t rows = watched_ ? pass.rows : logit_rows;
    TRY_ASSIGN(const auto norm, room(norm_, rows, dim));
    TRY(normalise(x_.span<const float>(pass.rows * dim).sub(normed * dim, rows * dim),
                  weights_.output_norm, norm));
    TRY(show(Point::final_norm, -1, norm, dim));
    if (logit_rows == 0) return {};
    TRY_ASSIGN(const auto out, room(logits_, logit_rows, config_.vocab));
    TRY(product(weights_.output, norm.sub((first - normed) * dim, logit_rows * dim), out));
    TRY(ran(device_->download(logits.data(), out.data, out.size * 4)));
    if (!watched_) return {};
    const int64_t skipped = shown_.rows - pass.rows;  // rows of the pass before these
    for (Probe* probe : probes_) {
      probe->readout_row(shown_, skipped + first + logit_rows - 1);
      probe->tensor(shown_, Point::logits, -1, logits.data(), logit_rows, config_.vocab);
    }
    return {};
  }

  // One launch for the whole step. Every buffer has been made by the step before, so that nothing
  // is allocated while launches are captured.
  Result<> replay_decode(const Pass& pass, std::span<const int32_t> tokens,
                         std::span<float> logits) {
    const int64_t keys = pass.pos0 + 1;
    if (graph_ == nullptr || keys > graph_keys_) {
      graph_.reset();
      graph_keys_ = kFirstGraphKeys;
      while (graph_keys_ < keys) graph_keys_ *= 2;
      graph_keys_ = std::min(graph_keys_, kv_.cache().capacity);
      TRY(capture(pass));
    }
    TRY(feed(pass.pos0, tokens));
    TRY(ran(device_->replay(*graph_)));
    TRY(ran(device_->download(logits.data(), logits_.data(),
                              static_cast<int64_t>(logits.size() * sizeof(float)))));
    kv_.cache().length = keys;
    return {};
  }
  Result<> capture(const Pass& pass) {
    watched_ = false;
    TRY(tokens_.reserve(4));
    TRY(attention_.reserve(1, graph_keys_));
    for (const auto& [buffer, columns] : {std::pair(&x_, config_.dim),
                                          {&norm_, config_.dim},
                                          {&q_, config_.q_dim()},
                                          {&k_, config_.kv_dim()},
                                          {&v_, config_.kv_dim()},
                                          {&attn_, config_.q_dim()},
                                          {&out_, config_.dim},
                                          {&gate_, config_.ffn},
                                          {&up_, config_.ffn},
                                          {&logits_, config_.vocab}}) {
      TRY(buffer->reserve(columns * 4));
    }
    Pass one = pass;
    one.rows = 1;
    TRY(ran(device_->begin_capture()));
    Result<> done = layers(one, graph_keys_);
    const auto x = x_.span<const float>(config_.dim);
    const auto norm = norm_.span<float>(config_.dim);
    if (done) done = normalise(x, weights_.output_norm, norm);
    if (done) done = product(weights_.output, norm, logits_.span<float>(config_.vocab));
    const auto ended = ran(device_->end_capture(&graph_));
    return done ? ended : done;
  }

  std::unique_ptr<kernels::ThreadPool> pool_;
  std::unique_ptr<gpu::Device> device_;
  const ModelConfig config_;
  const bool fast_, faults_, readout_wrong_row_;
  DeviceWeights weights_;
  DeviceCache kv_;
  DeviceAttention attention_;
  DeviceBuffer x_, norm_, q_, k_, v_, attn_, out_, gate_, up_, logits_, tokens_, scores_,
      shown_weights_;
  std::unique_ptr<gpu::Graph> graph_;
  int64_t graph_keys_ = 0;
  Result<> reset_failure_;
  Pass shown_;            // the whole pass, as probes know it
  bool watched_ = false;  // are probes to be shown these rows?
  std::vector<float> host_;
  std::vector<int64_t> asked_rows_;
};

}  // namespace

Result<std::unique_ptr<Backend>> make_gpu_backend(gpu::Target target, const GgufFile& file,
                                                  const ModelConfig& config,
                                                  const BackendOptions& options, const Flags& flags,
                                                  const Faults& faults) {
  if (options.max_seq < 1 || options.threads < 1) {
    return fail(EngineExit::usage, "threads and the longest sequence are at least 1");
  }
  TRY(faults.fits(config.layers, config.heads));
  TRY(check_device_faults(faults));
  TRY_ASSIGN(Weights host, bind_weights(file, config));
  auto pool =
      std::make_unique<kernels::ThreadPool>(target == gpu::Target::emu ? options.threads : 1);
  gpu::OpenDevice opened = target == gpu::Target::emu ? gpu::open_emu(*pool, mfma_arithmetic(flags))
                           : target == gpu::Target::cuda ? gpu::open_cuda()
                                                         : gpu::open_hip();
  if (opened.device == nullptr) {
    return fail(EngineExit::device,
                std::string("backend ") + to_string(target) + ": " + opened.why_not);
  }
  gpu::Device& device = *opened.device;
  TRY_ASSIGN(auto weights, DeviceWeights::create(device, std::move(host)));
  TRY_ASSIGN(auto kv, DeviceCache::create(device, options.kv_type, config, options.max_seq,
                                          slot_fill(faults)));
  TRY_ASSIGN(auto attention,
             DeviceAttention::create(device, config, options, attention_choice(flags), faults));
  return std::make_unique<GpuBackend>(std::move(pool), std::move(opened.device), config, options,
                                      faults, std::move(weights), std::move(kv),
                                      std::move(attention));
}

}  // namespace greta::engine
