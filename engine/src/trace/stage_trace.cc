#include "trace/stage_trace.h"

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "contract/records.gen.h"
#include "trace/tensor_stats.h"

namespace greta::engine {
namespace {

constexpr size_t kPoints = static_cast<size_t>(Point::logits) + 1;

class StageTraceProbe final : public Probe {
 public:
  StageTraceProbe(const ModelConfig& config, const Flags& flags, Output& output)
      : flags_(flags),
        output_(output),
        sample_(static_cast<size_t>(flags.integer("GRETA_TRACE_STAGE_SAMPLE"))) {
    for (size_t p = 0; p < kPoints; ++p) {
      points_[p] = flags.selects("GRETA_TRACE_STAGE_POINTS", to_string(static_cast<Point>(p)));
    }
    for (int64_t layer = 0; layer < config.layers; ++layer) {
      layers_.push_back(flags.selects_layer("GRETA_TRACE_STAGE_LAYERS", layer, config.layers));
    }
  }

  void begin_request(std::string_view id) override { request_ = id; }

  void begin_pass(const Pass& pass) override {
    traced_ = flags_.selects("GRETA_TRACE_STAGE_PHASES", pass.phase());
    error_ = {};
  }

  void tensor(const Pass& pass, Point point, int64_t layer, const float* data, int64_t rows,
              int64_t columns) override {
    const bool layer_traced = layer < 0 || layers_[static_cast<size_t>(layer)];
    if (!traced_ || !layer_traced || !points_[static_cast<size_t>(point)] || !error_) return;
    const std::span<const float> all(data, static_cast<size_t>(rows * columns));
    const auto row = all.last(static_cast<size_t>(columns));
    const TensorStats stats = stats_of(row);
    record::StageTrace record;
    record.phase = pass.phase();
    record.step = pass.step;
    record.point = to_string(point);
    record.layer = layer;
    record.pos_id = pass.pos0 + pass.rows - 1;
    record.seq_len = pass.pos0 + pass.rows;
    record.tokens_total = pass.pos0 + pass.rows;
    record.rows = rows;
    record.stride_elems = columns;
    record.token_index = rows - 1;
    record.hash = hash_of(all);
    record.row_hash = hash_of(row);
    record.min = stats.min;
    record.max = stats.max;
    record.mean = stats.mean;
    record.rms = stats.rms;
    record.abs_sum = stats.abs_sum;
    record.nan = stats.nan;
    record.inf = stats.inf;
    record.nz_count = stats.nonzero;
    const size_t shown = std::min(sample_, row.size());
    record.sample_n = static_cast<int64_t>(shown);
    if (shown > 0) record.sample.emplace(row.begin(), row.begin() + static_cast<long>(shown));
    error_ = output_.record(request_, record);
  }

  Result<> end_pass(const Pass&) override { return std::exchange(error_, Result<>{}); }

 private:
  const Flags& flags_;
  Output& output_;
  const size_t sample_;
  std::array<bool, kPoints> points_ = {};
  std::vector<bool> layers_;
  std::string request_;
  bool traced_ = false;
  Result<> error_;
};

}  // namespace

std::unique_ptr<Probe> make_stage_trace_probe(const ModelConfig& config, const Flags& flags,
                                              Output& output) {
  if (!flags.boolean("GRETA_TRACE_STAGE") || !output.wanted()) return nullptr;
  return std::make_unique<StageTraceProbe>(config, flags, output);
}

}  // namespace greta::engine
