#include "trace/readout.h"

#include <cmath>
#include <span>
#include <string>
#include <utility>

#include "contract/records.gen.h"
#include "kernels/kernels.h"
#include "trace/selection.h"
#include "trace/tensor_stats.h"

namespace greta::engine {
namespace {

// −Σ p ln p of the softmax over all logits; NaN where a logit is NaN or +∞.
double entropy(std::span<const float> logits, double largest) {
  double total = 0, weighted = 0;
  for (const float logit : logits) {
    const double shifted = logit - largest;
    const double e = std::exp(shifted);
    total += e;
    if (e > 0 || std::isnan(e)) weighted += e * shifted;
  }
  return std::log(total) - weighted / total;
}

class ReadoutProbe final : public Probe {
 public:
  ReadoutProbe(const ModelConfig& config, const Tokenizer& tokenizer, const Flags& flags,
               Output& output)
      : config_(config),
        tokenizer_(tokenizer),
        selection_(flags, "GRETA_TRACE_READOUT", config),
        output_(output) {}

  void begin_request(std::string_view id) override { request_ = id; }

  void begin_pass(const Pass& pass) override {
    record_ = {};
    have_logits_ = false;
    row_ = pass.rows - 1;
  }

  bool last_row_only() const override { return true; }
  void readout_row(const Pass&, int64_t row) override { row_ = row; }

  void tensor(const Pass& pass, Point point, int64_t layer, const float* data, int64_t rows,
              int64_t columns) override {
    const auto row = [&](int64_t r) {
      return std::span(data + r * columns, static_cast<size_t>(columns));
    };
    // The row is known with the logits, which come last: the tensors before are the backend's own
    // buffers and stay until the end of the pass.
    const float* last = data + (rows - 1) * columns;
    if (point == Point::x_out && layer == config_.layers - 1) hidden_ = last;
    if (point == Point::final_norm) norm_ = last;
    if (point != Point::logits || !selection_.phase(pass)) return;
    have_logits_ = true;
    const auto width = static_cast<size_t>(config_.dim);
    fill_pass(pass);
    const int64_t back = (row_ - (pass.rows - 1)) * config_.dim;
    fill_hidden({hidden_ + back, width});
    fill_norm({norm_ + back, width});
    fill_logits(row(rows - 1));
  }

  Result<> end_pass(const Pass&) override {
    return have_logits_ ? output_.record(request_, record_) : Result<>{};
  }

 private:
  void fill_pass(const Pass& pass) {
    record_.phase = pass.phase();
    record_.step = pass.step;
    record_.tokens_total = pass.pos0 + pass.rows;
    record_.seq_len = pass.pos0 + pass.rows;
    record_.pos_id = pass.pos0 + pass.rows - 1;
    record_.token_id = pass.last_token;
    record_.readout_buffer_kind = pass.decode ? "single_token" : "seq";
    record_.token_index = row_;
    record_.expected_last_index = pass.rows - 1;
    record_.readout_mismatch = row_ != pass.rows - 1;
    record_.vocab = config_.vocab;
  }

  void fill_hidden(std::span<const float> values) {
    const TensorStats stats = stats_of(values);
    record_.hidden_hash = hash_of(values);
    record_.hidden_min = stats.min;
    record_.hidden_max = stats.max;
    record_.hidden_mean = stats.mean;
  }

  void fill_norm(std::span<const float> values) {
    const TensorStats stats = stats_of(values);
    record_.rms_hash = hash_of(values);
    record_.rms_min = stats.min;
    record_.rms_max = stats.max;
    record_.rms_mean = stats.mean;
  }

  void fill_logits(std::span<const float> logits) {
    const TensorStats stats = stats_of(logits);
    record_.logits_hash = hash_of(logits);
    record_.logits_min = stats.min;
    record_.logits_max = stats.max;
    record_.logits_mean = stats.mean;
    record_.logits_std = stats.std;
    record_.nan = stats.nan;
    record_.inf = stats.inf;
    const kernels::Top2 top = kernels::top2(logits);
    record_.top1_id = top.id[0];
    record_.top1_logit = top.value[0];
    record_.top2_id = top.id[1];
    record_.top2_logit = top.value[1];
    record_.gap = static_cast<double>(top.value[0]) - static_cast<double>(top.value[1]);
    if (top.id[0] >= 0) {
      record_.top1_text = tokenizer_.piece(static_cast<int32_t>(top.id[0]), true);
    }
    record_.entropy = entropy(logits, top.value[0]);
  }

  const ModelConfig& config_;
  const Tokenizer& tokenizer_;
  Selection selection_;
  Output& output_;
  std::string request_;
  record::Readout record_;
  const float* hidden_ = nullptr;  // of the last row
  const float* norm_ = nullptr;
  int64_t row_ = 0;
  bool have_logits_ = false;
};

}  // namespace

std::unique_ptr<Probe> make_readout_probe(const ModelConfig& config, const Tokenizer& tokenizer,
                                          const Flags& flags, Output& output) {
  if (!flags.boolean("GRETA_TRACE_READOUT") || !output.wanted()) return nullptr;
  return std::make_unique<ReadoutProbe>(config, tokenizer, flags, output);
}

}  // namespace greta::engine
