#include "trace/stage_trace.h"

#include <algorithm>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "contract/records.gen.h"
#include "trace/selection.h"
#include "trace/tensor_stats.h"

namespace greta::engine {
namespace {

class StageTraceProbe final : public Probe {
 public:
  StageTraceProbe(const ModelConfig& config, const Flags& flags, Output& output)
      : selection_(flags, "GRETA_TRACE_STAGE", config),
        config_(config),
        output_(output),
        sample_(static_cast<size_t>(flags.integer("GRETA_TRACE_STAGE_SAMPLE"))) {}

  void begin_request(std::string_view id) override { request_ = id; }

  void begin_pass(const Pass& pass) override {
    rows_ = selection_.rows(pass);
    error_ = {};
  }

  void tensor(const Pass& pass, Point point, int64_t layer, const float* data, int64_t rows,
              int64_t columns) override {
    if (rows_.empty() || !error_ || !selection_.point(point) || !selection_.layer(layer)) return;
    const std::span<const float> all(data, static_cast<size_t>(rows * columns));
    record::StageTrace record;
    record.phase = pass.phase();
    record.step = pass.step;
    record.point = to_string(point);
    record.layer = layer;
    record.seq_len = pass.pos0 + pass.rows;
    record.tokens_total = pass.pos0 + pass.rows;
    record.rows = rows;
    record.stride_elems = columns;
    record.hash = hash_of(all);
    for (const int64_t row_of_pass : rows_) {
      // A tensor of fewer rows holds the last ones of the pass (logits).
      const int64_t row = row_of_pass - (pass.rows - rows);
      if (row < 0) continue;
      record.pos_id = pass.pos0 + row_of_pass;
      record.token_index = row;
      write_row(point,
                all.subspan(static_cast<size_t>(row * columns), static_cast<size_t>(columns)),
                record);
    }
  }

  Result<> end_pass(const Pass&) override { return std::exchange(error_, Result<>{}); }

 private:
  // How many heads lie side by side in a row; 0 where it has none.
  int64_t heads_of(Point point) const {
    switch (point) {
      case Point::q_pre:
      case Point::q:
      case Point::attn_out:
        return config_.heads;
      case Point::k_pre:
      case Point::v_pre:
      case Point::k:
      case Point::v:
        return config_.kv_heads;
      default:
        return 0;
    }
  }

  void write_row(Point point, std::span<const float> row, record::StageTrace& record) {
    record.head = -1;
    write(row, record);
    const int64_t heads = heads_of(point);
    const auto width = static_cast<size_t>(config_.head_dim);
    for (int64_t head = 0; head < heads; ++head) {
      if (!selection_.head(head, heads)) continue;
      record.head = head;
      write(row.subspan(static_cast<size_t>(head) * width, width), record);
    }
  }

  void write(std::span<const float> values, record::StageTrace& record) {
    if (!error_) return;
    const TensorStats stats = stats_of(values);
    record.row_hash = hash_of(values);
    record.min = stats.min;
    record.max = stats.max;
    record.mean = stats.mean;
    record.rms = stats.rms;
    record.abs_sum = stats.abs_sum;
    record.nan = stats.nan;
    record.inf = stats.inf;
    record.nz_count = stats.nonzero;
    const size_t shown = std::min(sample_, values.size());
    record.sample_n = static_cast<int64_t>(shown);
    record.sample.reset();
    if (shown > 0) record.sample.emplace(values.begin(), values.begin() + static_cast<long>(shown));
    error_ = output_.record(request_, record);
  }

  Selection selection_;
  const ModelConfig& config_;
  Output& output_;
  const size_t sample_;
  std::string request_;
  std::vector<int64_t> rows_;
  Result<> error_;
};

}  // namespace

std::unique_ptr<Probe> make_stage_trace_probe(const ModelConfig& config, const Flags& flags,
                                              Output& output) {
  if (!flags.boolean("GRETA_TRACE_STAGE") || !output.wanted()) return nullptr;
  return std::make_unique<StageTraceProbe>(config, flags, output);
}

}  // namespace greta::engine
