// The whole forward pass of a llama model in fp64, from its definition; slow and simple. Its keys
// and values are its own, in double; with a KV cache of type F16 or BF16 they are rounded to that
// type, because that is part of what is asked. Probes and logits get results rounded to fp32.
//
//   x = embedding[token]
//   per layer  h = rms(x)·w;  q, k, v = Wq h, Wk h, Wv h;  RoPE on q and k;
//              o = softmax(q·k / √d) v over positions ≤ own, query head h reads KV head h / group
//              x = x + Wo o;  g = rms(x)·w;  x = x + Wdown (silu(Wgate g) · Wup g)
//   logits = Wout (rms(x)·w)        Wout = embedding where the file has no output.weight

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "forward/backend.h"
#include "reference/numbers.h"
#include "reference/rope.h"
#include "share.h"

namespace greta::engine {
namespace {

using Row = std::vector<double>;
using Rows = std::vector<Row>;  // one a position

struct LayerWeights {
  const Tensor *attn_norm, *wq, *wk, *wv, *wo, *ffn_norm, *gate, *up, *down;
};

struct Weights {
  const Tensor *embedding, *output_norm, *output;
  std::vector<LayerWeights> layers;
};

Result<const Tensor*> weight_of(const GgufFile& file, const std::string& name, int64_t columns,
                                int64_t rows) {
  TRY_ASSIGN(const Tensor* tensor, file.tensor(name));
  if (tensor->columns() == columns && tensor->rows() == rows) return tensor;
  return fail(EngineExit::input, file.path() + ": tensor `" + name + "` is " +
                                     std::to_string(tensor->columns()) + " x " +
                                     std::to_string(tensor->rows()) + ", expected " +
                                     std::to_string(columns) + " x " + std::to_string(rows));
}

Result<Weights> bind_weights(const GgufFile& file, const ModelConfig& c) {
  Weights w{};
  TRY_ASSIGN(w.embedding, weight_of(file, "token_embd.weight", c.dim, c.vocab));
  TRY_ASSIGN(w.output_norm, weight_of(file, "output_norm.weight", c.dim, 1));
  w.output = w.embedding;
  if (!c.tied_embeddings) {
    TRY_ASSIGN(w.output, weight_of(file, "output.weight", c.dim, c.vocab));
  }
  for (int64_t layer = 0; layer < c.layers; ++layer) {
    const std::string block = "blk." + std::to_string(layer) + ".";
    LayerWeights l{};
    TRY_ASSIGN(l.attn_norm, weight_of(file, block + "attn_norm.weight", c.dim, 1));
    TRY_ASSIGN(l.wq, weight_of(file, block + "attn_q.weight", c.dim, c.q_dim()));
    TRY_ASSIGN(l.wk, weight_of(file, block + "attn_k.weight", c.dim, c.kv_dim()));
    TRY_ASSIGN(l.wv, weight_of(file, block + "attn_v.weight", c.dim, c.kv_dim()));
    TRY_ASSIGN(l.wo, weight_of(file, block + "attn_output.weight", c.q_dim(), c.dim));
    TRY_ASSIGN(l.ffn_norm, weight_of(file, block + "ffn_norm.weight", c.dim, 1));
    TRY_ASSIGN(l.gate, weight_of(file, block + "ffn_gate.weight", c.dim, c.ffn));
    TRY_ASSIGN(l.up, weight_of(file, block + "ffn_up.weight", c.dim, c.ffn));
    TRY_ASSIGN(l.down, weight_of(file, block + "ffn_down.weight", c.ffn, c.dim));
    w.layers.push_back(l);
  }
  return w;
}

// Eight sums side by side, because the compiler may not reorder one.
double dot(std::span<const double> a, std::span<const double> b) {
  double lane[8] = {};
  size_t i = 0;
  for (; i + 8 <= a.size(); i += 8) {
    for (size_t j = 0; j < 8; ++j) lane[j] += a[i + j] * b[i + j];
  }
  for (; i < a.size(); ++i) lane[i % 8] += a[i] * b[i];
  return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

class RefBackend : public Backend {
 public:
  RefBackend(const ModelConfig& config, const BackendOptions& options, Weights weights)
      : config_(config),
        options_(options),
        weights_(std::move(weights)),
        rope_(config.head_dim, config.rope_base, config.rope_factors) {
    reset();
  }

  void reset() override {
    keys_.assign(static_cast<size_t>(config_.layers), {});
    values_.assign(static_cast<size_t>(config_.layers), {});
    length_ = 0;
  }

  Result<> forward(const Pass& pass, std::span<const int32_t> tokens, int64_t logit_rows,
                   std::span<float> logits) override;

  const KvCache* kv_cache() const override { return nullptr; }
  std::vector<KernelLaunches> launches() const override {
    return {{.id = std::string(kAttentionId),
             .op = "attention",
             .variant = isa(),
             .code_hash = 0,
             .launches = attention_launches_}};
  }
  void read_weight(WeightMatrix matrix, int64_t layer, int64_t row,
                   std::span<float> out) const override;
  std::string isa() const override { return "fp64"; }

 private:
  static constexpr std::string_view kAttentionId = "attention.ref";

  Result<> check(const Pass& pass, std::span<const int32_t> tokens, int64_t logit_rows,
                 std::span<float> logits) const;
  // f(first, last) over [0, count).
  void share(int64_t count, const std::function<void(int64_t, int64_t)>& f) const {
    reference::share(options_.threads, count, f);
  }
  Rows multiply(const Tensor& weight, const Rows& x) const;
  Rows rms_norm(const Tensor& weight, const Rows& x) const;
  void rotate(Rows& rows, int64_t pos0) const;
  Rows attention(const Pass& pass, int64_t layer, const Rows& q);
  void make_room_for_weights(const Pass& pass, int64_t layer);
  Row read(const Tensor& weight, int64_t row) const;
  void show(const Pass& pass, Point point, int64_t layer, const Rows& rows);
  Rows attention_block(const Pass& pass, int64_t layer, const Rows& x);
  Rows mlp_block(const Pass& pass, int64_t layer, const Rows& x);

  ModelConfig config_;
  BackendOptions options_;
  Weights weights_;
  reference::Rope rope_;
  std::vector<Rows> keys_, values_;  // [layer][position], after RoPE
  int64_t length_ = 0;
  int64_t attention_launches_ = 0;
  bool watched_ = false;                           // are probes to be shown this pass?
  std::vector<int64_t> weight_rows_;               // of the layer that runs
  std::vector<float> scores_, attention_weights_;  // (weight_rows_ · heads, keys)
  std::map<Point, std::vector<float>>
      shown_;  // what probes saw last stays until the end of the pass
};

void RefBackend::read_weight(WeightMatrix matrix, int64_t layer, int64_t row,
                             std::span<float> out) const {
  const auto of_layer = [&](const Tensor* LayerWeights::*tensor) {
    return weights_.layers.at(static_cast<size_t>(layer)).*tensor;
  };
  const Tensor* tensor = matrix == WeightMatrix::embedding ? weights_.embedding
                         : matrix == WeightMatrix::output  ? weights_.output
                         : matrix == WeightMatrix::wq      ? of_layer(&LayerWeights::wq)
                         : matrix == WeightMatrix::wk      ? of_layer(&LayerWeights::wk)
                         : matrix == WeightMatrix::wv      ? of_layer(&LayerWeights::wv)
                                                           : of_layer(&LayerWeights::wo);
  const Row values = read(*tensor, row);
  std::ranges::transform(values, out.begin(), [](double v) { return static_cast<float>(v); });
}

Row RefBackend::read(const Tensor& weight, int64_t row) const {
  Row out(static_cast<size_t>(weight.columns()));
  reference::read_row(weight, row, out);
  return out;
}

Rows RefBackend::multiply(const Tensor& weight, const Rows& x) const {
  Rows out(x.size(), Row(static_cast<size_t>(weight.rows())));
  share(weight.rows(), [&](int64_t first, int64_t last) {
    for (int64_t o = first; o < last; ++o) {
      const Row w = read(weight, o);
      for (size_t t = 0; t < x.size(); ++t) out[t][static_cast<size_t>(o)] = dot(w, x[t]);
    }
  });
  return out;
}

Rows RefBackend::rms_norm(const Tensor& weight, const Rows& x) const {
  const Row w = read(weight, 0);
  Rows out = x;
  for (Row& row : out) {
    const double mean_square = dot(row, row) / static_cast<double>(row.size());
    const double factor = 1.0 / std::sqrt(mean_square + static_cast<double>(config_.rms_eps));
    for (size_t i = 0; i < row.size(); ++i) row[i] *= factor * w[i];
  }
  return out;
}

void RefBackend::rotate(Rows& rows, int64_t pos0) const {
  const auto d = static_cast<size_t>(config_.head_dim);
  Row turned(d);
  for (size_t t = 0; t < rows.size(); ++t) {
    for (size_t at = 0; at < rows[t].size(); at += d) {
      const std::span<double> head(&rows[t][at], d);
      rope_.rotate(pos0 + static_cast<int64_t>(t), head, turned);
      std::ranges::copy(turned, head.begin());
    }
  }
}

// Where probes want to see the weights of the attention: their rows, and NaN to be overwritten.
void RefBackend::make_room_for_weights(const Pass& pass, int64_t layer) {
  weight_rows_.clear();
  if (watched_) weight_rows_ = wanted_attention_rows(pass, layer);
  const auto size = weight_rows_.size() * static_cast<size_t>(config_.heads) *
                    static_cast<size_t>(pass.pos0 + pass.rows);
  scores_.assign(size, std::numeric_limits<float>::quiet_NaN());
  attention_weights_ = scores_;
}

Rows RefBackend::attention(const Pass& pass, int64_t layer, const Rows& q) {
  const int64_t pos0 = pass.pos0;
  make_room_for_weights(pass, layer);
  const auto d = static_cast<size_t>(config_.head_dim);
  const Rows& keys = keys_[static_cast<size_t>(layer)];
  const Rows& values = values_[static_cast<size_t>(layer)];
  const double scale = 1.0 / std::sqrt(static_cast<double>(d));
  Rows out(q.size(), Row(q[0].size()));
  share(static_cast<int64_t>(q.size()) * config_.heads, [&](int64_t first, int64_t last) {
    for (int64_t task = first; task < last; ++task) {
      const auto t = static_cast<size_t>(task / config_.heads);
      const int64_t head = task % config_.heads;
      const auto from = static_cast<size_t>(head) * d;
      const auto kv_from = static_cast<size_t>(head / config_.group()) * d;
      const size_t seen = static_cast<size_t>(pos0) + t + 1;
      const std::span<const double> query(&q[t][from], d);
      Row weight(seen);
      for (size_t j = 0; j < seen; ++j) {
        weight[j] = scale * dot(query, std::span(&keys[j][kv_from], d));
      }
      const auto shown = std::ranges::lower_bound(weight_rows_, static_cast<int64_t>(t));
      const bool is_shown = shown != weight_rows_.end() && *shown == static_cast<int64_t>(t);
      const auto at = static_cast<size_t>(((shown - weight_rows_.begin()) * config_.heads + head) *
                                          (pos0 + pass.rows));
      for (size_t j = 0; is_shown && j < seen; ++j) scores_[at + j] = static_cast<float>(weight[j]);
      const double largest = *std::ranges::max_element(weight);
      double total = 0;
      for (double& w : weight) total += w = std::exp(w - largest);
      for (size_t j = 0; is_shown && j < seen; ++j) {
        attention_weights_[at + j] = static_cast<float>(weight[j] / total);
      }
      for (size_t j = 0; j < seen; ++j) {
        for (size_t i = 0; i < d; ++i) {
          out[t][from + i] += weight[j] / total * values[j][kv_from + i];
        }
      }
    }
  });
  return out;
}

void RefBackend::show(const Pass& pass, Point point, int64_t layer, const Rows& rows) {
  if (!watched_) return;
  std::vector<float>& rounded = shown_[point];
  rounded.clear();
  rounded.reserve(rows.size() * rows[0].size());
  for (const Row& row : rows) {
    for (const double value : row) rounded.push_back(static_cast<float>(value));
  }
  for (Probe* probe : probes_) {
    probe->tensor(pass, point, layer, rounded.data(), static_cast<int64_t>(rows.size()),
                  static_cast<int64_t>(rows[0].size()));
  }
}

// x after the attention of a layer.
Rows RefBackend::attention_block(const Pass& pass, int64_t layer, const Rows& x) {
  const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
  show(pass, Point::x_in, layer, x);
  const Rows normed = rms_norm(*w.attn_norm, x);
  show(pass, Point::attn_norm, layer, normed);
  Rows q = multiply(*w.wq, normed), k = multiply(*w.wk, normed), v = multiply(*w.wv, normed);
  show(pass, Point::q_pre, layer, q);
  show(pass, Point::k_pre, layer, k);
  show(pass, Point::v_pre, layer, v);
  rotate(q, pass.pos0);
  rotate(k, pass.pos0);
  show(pass, Point::q, layer, q);
  show(pass, Point::k, layer, k);
  show(pass, Point::v, layer, v);
  if (options_.kv_type != KvType::f32) {
    for (Rows* rows : {&k, &v}) {
      for (Row& row : *rows) {
        for (double& value : row) value = reference::round_to_storage(value, options_.kv_type);
      }
    }
  }
  std::ranges::move(k, std::back_inserter(keys_[static_cast<size_t>(layer)]));
  std::ranges::move(v, std::back_inserter(values_[static_cast<size_t>(layer)]));
  if (pass.decode && watched_) {
    for (Probe* probe : probes_) {
      probe->decode_attention(pass, layer,
                              {.kernel_path = "ref",
                               .matmul_route = "valu",
                               .kernel_ids = std::string(kAttentionId),
                               .seq_len_used = pass.pos0 + 1,
                               .pos_id_used = pass.pos0});
    }
  }
  ++attention_launches_;
  const Rows mixed = attention(pass, layer, q);
  show(pass, Point::attn_out, layer, mixed);
  if (!weight_rows_.empty()) {
    for (Probe* probe : probes_) {
      probe->attention_weights(pass, layer,
                               {.rows = weight_rows_,
                                .heads = config_.heads,
                                .keys = pass.pos0 + pass.rows,
                                .scores = scores_.data(),
                                .weights = attention_weights_.data()});
    }
  }
  Rows out = multiply(*w.wo, mixed);
  show(pass, Point::wo_out, layer, out);
  for (size_t t = 0; t < x.size(); ++t) {
    for (size_t i = 0; i < x[t].size(); ++i) out[t][i] += x[t][i];
  }
  show(pass, Point::x_after_attn, layer, out);
  return out;
}

// x after the MLP of a layer.
Rows RefBackend::mlp_block(const Pass& pass, int64_t layer, const Rows& x) {
  const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
  const Rows normed = rms_norm(*w.ffn_norm, x);
  show(pass, Point::ffn_norm, layer, normed);
  Rows gate = multiply(*w.gate, normed);
  const Rows up = multiply(*w.up, normed);
  for (size_t t = 0; t < gate.size(); ++t) {
    for (size_t i = 0; i < gate[t].size(); ++i) {
      gate[t][i] = gate[t][i] / (1.0 + std::exp(-gate[t][i])) * up[t][i];
    }
  }
  Rows out = multiply(*w.down, gate);
  show(pass, Point::mlp_out, layer, out);
  for (size_t t = 0; t < x.size(); ++t) {
    for (size_t i = 0; i < x[t].size(); ++i) out[t][i] += x[t][i];
  }
  show(pass, Point::x_out, layer, out);
  return out;
}

Result<> RefBackend::check(const Pass& pass, std::span<const int32_t> tokens, int64_t logit_rows,
                           std::span<float> logits) const {
  const auto rows = static_cast<int64_t>(tokens.size());
  const std::string at = "ref backend: ";
  if (rows == 0) return fail(EngineExit::input, at + "no tokens");
  if (pass.pos0 != length_) {
    return fail(EngineExit::input, at + "position " + std::to_string(pass.pos0) +
                                       " is not the next one, " + std::to_string(length_));
  }
  if (options_.max_seq > 0 && pass.pos0 + rows > options_.max_seq) {
    return fail(EngineExit::input, at + std::to_string(pass.pos0 + rows) + " positions, room for " +
                                       std::to_string(options_.max_seq));
  }
  for (const int32_t token : tokens) {
    if (token < 0 || token >= config_.vocab) {
      return fail(EngineExit::input, at + "token " + std::to_string(token) +
                                         " is outside the vocabulary of " +
                                         std::to_string(config_.vocab));
    }
  }
  if (logit_rows < 0 || logit_rows > rows ||
      static_cast<int64_t>(logits.size()) < logit_rows * config_.vocab) {
    return fail(EngineExit::input, at + "no room for " + std::to_string(logit_rows) +
                                       " rows of logits out of " + std::to_string(rows));
  }
  return {};
}

Result<> RefBackend::forward(const Pass& asked, std::span<const int32_t> tokens, int64_t logit_rows,
                             std::span<float> logits) {
  TRY(check(asked, tokens, logit_rows, logits));
  Pass pass = asked;
  pass.rows = static_cast<int64_t>(tokens.size());
  pass.last_token = tokens.back();
  pass.tokens = tokens;
  watched_ = pass.traced && !probes_.empty();
  if (watched_) {
    for (Probe* probe : probes_) probe->begin_pass(pass);
  }
  Rows x;
  for (const int32_t token : tokens) x.push_back(read(*weights_.embedding, token));
  show(pass, Point::embed_out, -1, x);
  for (int64_t layer = 0; layer < config_.layers; ++layer) {
    x = attention_block(pass, layer, x);
    x = mlp_block(pass, layer, x);
  }
  length_ += pass.rows;
  if (watched_) {
    for (Probe* probe : probes_) probe->readout_row(pass, pass.rows - 1);
  }
  const Rows normed = rms_norm(*weights_.output_norm, x);
  show(pass, Point::final_norm, -1, normed);
  if (logit_rows > 0) {
    const Rows answers = multiply(*weights_.output, Rows(normed.end() - logit_rows, normed.end()));
    show(pass, Point::logits, -1, answers);
    auto out = logits.begin();
    for (const Row& row : answers) {
      for (const double value : row) *out++ = static_cast<float>(value);
    }
  }
  if (watched_) {
    for (Probe* probe : probes_) TRY(probe->end_pass(pass));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Backend>> make_ref_backend(const GgufFile& file, const ModelConfig& config,
                                                  const BackendOptions& options) {
  TRY_ASSIGN(Weights weights, bind_weights(file, config));
  return std::make_unique<RefBackend>(config, options, std::move(weights));
}

}  // namespace greta::engine
