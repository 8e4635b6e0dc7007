#include "trace/layer_delta.h"

#include <cmath>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "contract/records.gen.h"
#include "trace/selection.h"
#include "trace/tensor_stats.h"

namespace greta::engine {
namespace {

using Row = std::span<const float>;

std::vector<float> minus(Row a, Row b) {
  std::vector<float> out(a.size());
  for (size_t i = 0; i < a.size(); ++i) out[i] = a[i] - b[i];
  return out;
}

double cosine(Row a, Row b) {
  double dot = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double x = a[i], y = b[i];
    dot += x * y;
    aa += x * x;
    bb += y * y;
  }
  return dot / (std::sqrt(aa) * std::sqrt(bb));
}

class LayerDeltaProbe final : public Probe {
 public:
  LayerDeltaProbe(Selection selection, Output& output)
      : selection_(std::move(selection)), output_(output) {}

  void begin_request(std::string_view id) override { request_ = id; }

  void begin_pass(const Pass& pass) override {
    rows_ = selection_.rows(pass);
    error_ = {};
  }

  void tensor(const Pass& pass, Point point, int64_t layer, const float* data, int64_t rows,
              int64_t columns) override {
    if (rows_.empty() || layer < 0 || !selection_.layer(layer) || !error_) return;
    const std::span all(data, static_cast<size_t>(rows * columns));
    switch (point) {
      case Point::x_in:
        seen_.clear();
        [[fallthrough]];
      case Point::wo_out:
      case Point::x_after_attn:
      case Point::mlp_out:
        // The residual stream is summed in place: what is needed later is copied.
        seen_[point].assign(all.begin(), all.end());
        return;
      case Point::x_out:
        seen_[point].assign(all.begin(), all.end());
        for (const int64_t row : rows_) {
          if (error_) error_ = write(pass, layer, row, columns);
        }
        return;
      default:
        return;
    }
  }

  Result<> end_pass(const Pass&) override { return std::exchange(error_, Result<>{}); }

 private:
  Result<> write(const Pass& pass, int64_t layer, int64_t row, int64_t columns) {
    const auto of = [&](Point point) {
      return Row(seen_[point])
          .subspan(static_cast<size_t>(row * columns), static_cast<size_t>(columns));
    };
    const Row in = of(Point::x_in), middle = of(Point::x_after_attn), out = of(Point::x_out);
    const std::vector<float> delta = minus(out, in);
    const TensorStats stats = stats_of(delta), before = stats_of(in);
    record::LayerDelta record;
    record.phase = pass.phase();
    record.step = pass.step;
    record.layer = layer;
    record.pos_id = pass.pos0 + row;
    record.x_in_hash = hash_of(seen_[Point::x_in]);
    record.x_out_hash = hash_of(seen_[Point::x_out]);
    record.delta_hash = hash_of(delta);
    record.delta_min = stats.min;
    record.delta_max = stats.max;
    record.delta_mean = stats.mean;
    record.delta_rms = stats.rms;
    record.nan = stats.nan;
    record.inf = stats.inf;
    record.x_in_rms = before.rms;
    record.rel_l2 = stats.rms / before.rms;
    record.attn_rms = stats_of(minus(middle, in)).rms;
    record.mlp_rms = stats_of(minus(out, middle)).rms;
    record.cosine = cosine(in, out);
    SumCheck sums;
    sums.add(in, of(Point::wo_out), middle);
    sums.add(middle, of(Point::mlp_out), out);
    record.residual_over_bound = sums.over_bound;
    record.residual_max_diff = sums.max_diff;
    record.worst_index = sums.worst_index;
    record.worst_value = sums.worst_value;
    record.worst_ref = sums.worst_ref;
    return output_.record(request_, record);
  }

  Selection selection_;
  Output& output_;
  std::string request_;
  std::vector<int64_t> rows_;
  std::map<Point, std::vector<float>> seen_;  // of the layer that runs, all rows
  Result<> error_;
};

}  // namespace

std::unique_ptr<Probe> make_layer_delta_probe(const ModelConfig& config, const Flags& flags,
                                              Output& output) {
  if (!flags.boolean("GRETA_TRACE_LAYER_DELTA") || !output.wanted()) return nullptr;
  return std::make_unique<LayerDeltaProbe>(Selection(flags, "GRETA_TRACE_LAYER_DELTA", config),
                                           output);
}

}  // namespace greta::engine
