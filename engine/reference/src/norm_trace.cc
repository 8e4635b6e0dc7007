// Each RMSNorm, its input beside its output: rmsnorm_trace.
//
// y_i = x_i / √(mean(x²) + eps) · w_i. The sum of n squares has no cancellation: its relative error
// is at most g(n + 2) (attention.h), halved by the root; root, division, eps and two products add
// 5u.

#include <algorithm>
#include <cmath>
#include <map>
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

constexpr double kUnit = 0x1p-24;

struct Norm {
  std::vector<double> out, bound;
  double sum_of_squares = 0, factor = 0;
};

Norm norm_of(std::span<const float> x, std::span<const double> weight, double eps) {
  Norm norm;
  for (const double value : x) norm.sum_of_squares += value * value;
  const auto n = static_cast<int64_t>(x.size());
  norm.factor = 1 / std::sqrt(norm.sum_of_squares / static_cast<double>(n) + eps);
  const double error = 0.5 * reference::sum_error(n + 2) + 5 * kUnit;
  for (size_t i = 0; i < x.size(); ++i) {
    norm.out.push_back(x[i] * norm.factor * weight[i]);
    norm.bound.push_back(std::abs(norm.out.back()) * error * (1 + 4 * error));
  }
  return norm;
}

class NormTraceProbe final : public Probe {
 public:
  NormTraceProbe(const ModelConfig& config, const GgufFile& file, const Flags& flags,
                 Output& output)
      : config_(config),
        file_(file),
        selection_(flags, "GRETA_TRACE_RMSNORM", config),
        verify_(flags.boolean("GRETA_TRACE_RMS_VERIFY")),
        sample_(flags.integer("GRETA_TRACE_RMSNORM_SAMPLE")),
        output_(output) {}

  void begin_request(std::string_view id) override { request_ = id; }

  void begin_pass(const Pass& pass) override {
    rows_ = selection_.rows(pass);
    error_ = {};
  }

  void tensor(const Pass& pass, Point point, int64_t layer, const float* data, int64_t rows,
              int64_t columns) override {
    if (rows_.empty() || !error_) return;
    const std::span values(data, static_cast<size_t>(rows * columns));
    const bool input = point == Point::x_in || point == Point::x_after_attn ||
                       (point == Point::x_out && layer == config_.layers - 1);
    const bool norm =
        point == Point::attn_norm || point == Point::ffn_norm || point == Point::final_norm;
    // The residual stream is summed in place, and a norm may be computed in its place.
    if (input) input_.assign(values.begin(), values.end());
    if (norm && selection_.point(point) && selection_.layer(layer)) {
      error_ = write(pass, point, layer, values, columns);
    }
  }

  Result<> end_pass(const Pass&) override { return std::exchange(error_, Result<>{}); }

 private:
  Result<const Tensor*> weight_of(Point point, int64_t layer) const {
    if (point == Point::final_norm) return file_.tensor("output_norm.weight");
    return file_.tensor("blk." + std::to_string(layer) + "." + to_string(point) + ".weight");
  }

  Result<> write(const Pass& pass, Point point, int64_t layer, std::span<const float> out,
                 int64_t columns) {
    TRY_ASSIGN(const Tensor* tensor, weight_of(point, layer));
    std::vector<double> weight(static_cast<size_t>(columns));
    reference::read_row(*tensor, 0, weight);
    for (const int64_t row : rows_) {
      const auto x = reference::row_of(input_, row, columns);
      const auto y = reference::row_of(out, row, columns);
      const Norm wanted = norm_of(x, weight, static_cast<double>(config_.rms_eps));
      record::RmsnormTrace record;
      reference::fill_place(pass, row, record);
      record.point = to_string(point);
      record.layer = layer;
      record.rms_weight_dtype = to_string(tensor->type);
      record.rms_eps = config_.rms_eps;
      record.rms_sumsq = wanted.sum_of_squares;
      record.rms_factor = wanted.factor;
      record.in_hash = reference::hash_of(input_);
      record.out_hash = reference::hash_of(out);
      fill_output(y, record);
      if (verify_) fill_verified(y, wanted, record);
      TRY(output_.record(request_, record));
    }
    return {};
  }

  void fill_output(std::span<const float> y, record::RmsnormTrace& record) const {
    double squares = 0;
    record.out_min = record.out_max = y[0];
    for (const double value : y) {
      // NaN must not be lost in a minimum or maximum.
      record.out_min = value < record.out_min || std::isnan(value) ? value : record.out_min;
      record.out_max = value > record.out_max || std::isnan(value) ? value : record.out_max;
      record.out_mean += value / static_cast<double>(y.size());
      squares += value * value;
    }
    record.out_rms = std::sqrt(squares / static_cast<double>(y.size()));
    record.sample = reference::first_of(y, sample_);
  }

  static void fill_verified(std::span<const float> y, const Norm& wanted,
                            record::RmsnormTrace& record) {
    const auto compared = reference::compare(y, wanted.out, wanted.bound);
    record.ref_hash = reference::hash_of(reference::to_float(wanted.out));
    reference::fill_comparison(compared, record);
  }

  const ModelConfig& config_;
  const GgufFile& file_;
  Selection selection_;
  const bool verify_;
  const int64_t sample_;
  Output& output_;
  std::string request_;
  std::vector<int64_t> rows_;
  std::vector<float> input_;  // of the norm that comes next, all rows of the pass
  Result<> error_;
};

}  // namespace

Result<std::unique_ptr<Probe>> make_norm_trace_probe(const ModelConfig& config,
                                                     const GgufFile& file, const Flags& flags,
                                                     Output& output) {
  if (!flags.boolean("GRETA_TRACE_RMSNORM")) return nullptr;
  return std::make_unique<NormTraceProbe>(config, file, flags, output);
}

}  // namespace greta::engine
