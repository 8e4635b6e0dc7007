#include "trace/post_wo.h"

#include <algorithm>
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

class PostWoProbe final : public Probe {
 public:
  PostWoProbe(const ModelConfig& config, const Flags& flags, Output& output)
      : selection_(flags, "GRETA_TRACE_POST_WO", config),
        output_(output),
        sample_(static_cast<size_t>(flags.integer("GRETA_TRACE_POST_WO_SAMPLE"))) {}

  void begin_request(std::string_view id) override { request_ = id; }

  void begin_pass(const Pass& pass) override {
    rows_ = selection_.rows(pass);
    error_ = {};
  }

  void tensor(const Pass& pass, Point point, int64_t layer, const float* data, int64_t rows,
              int64_t columns) override {
    if (rows_.empty() || layer < 0 || !selection_.layer(layer) || !error_) return;
    const bool after = point == Point::x_after_attn;
    if (!after && point != Point::x_in && point != Point::attn_out && point != Point::wo_out)
      return;
    // The residual stream is summed in place: what is needed later is copied.
    seen_[point] = {columns, {data, data + rows * columns}};
    for (size_t i = 0; after && i < rows_.size(); ++i) {
      if (error_) error_ = write(pass, layer, rows_[i]);
    }
  }

  Result<> end_pass(const Pass&) override { return std::exchange(error_, Result<>{}); }

 private:
  Result<> write(const Pass& pass, int64_t layer, int64_t row) {
    const auto of = [&](Point point) {
      const auto& [columns, values] = seen_[point];
      return std::span<const float>(values).subspan(static_cast<size_t>(row * columns),
                                                    static_cast<size_t>(columns));
    };
    const auto wo_out = of(Point::wo_out), after = of(Point::x_after_attn);
    const TensorStats out = stats_of(wo_out), sum = stats_of(after);
    record::PostWoTrace record;
    record.phase = pass.phase();
    record.step = pass.step;
    record.layer = layer;
    record.pos_id = pass.pos0 + row;
    record.attn_out_hash = hash_of(seen_[Point::attn_out].values);
    record.attn_out_rms = stats_of(of(Point::attn_out)).rms;
    record.wo_out_hash = hash_of(seen_[Point::wo_out].values);
    record.wo_out_min = out.min;
    record.wo_out_max = out.max;
    record.wo_out_mean = out.mean;
    record.wo_out_rms = out.rms;
    record.nan = out.nan;
    record.inf = out.inf;
    record.x_in_rms = stats_of(of(Point::x_in)).rms;
    record.x_after_attn_hash = hash_of(seen_[Point::x_after_attn].values);
    record.x_after_attn_min = sum.min;
    record.x_after_attn_max = sum.max;
    record.x_after_attn_mean = sum.mean;
    record.x_after_attn_rms = sum.rms;
    SumCheck check;
    check.add(of(Point::x_in), wo_out, after);
    record.residual_over_bound = check.over_bound;
    record.residual_max_diff = check.max_diff;
    record.worst_index = check.worst_index;
    record.worst_value = check.worst_value;
    record.worst_ref = check.worst_ref;
    const size_t shown = std::min(sample_, wo_out.size());
    if (shown > 0) record.sample.emplace(wo_out.begin(), wo_out.begin() + static_cast<long>(shown));
    return output_.record(request_, record);
  }

  struct Seen {
    int64_t columns = 0;
    std::vector<float> values;  // all rows
  };
  Selection selection_;
  Output& output_;
  const size_t sample_;
  std::string request_;
  std::vector<int64_t> rows_;
  std::map<Point, Seen> seen_;  // of the layer that runs
  Result<> error_;
};

}  // namespace

std::unique_ptr<Probe> make_post_wo_probe(const ModelConfig& config, const Flags& flags,
                                          Output& output) {
  if (!flags.boolean("GRETA_TRACE_POST_WO") || !output.wanted()) return nullptr;
  return std::make_unique<PostWoProbe>(config, flags, output);
}

}  // namespace greta::engine
