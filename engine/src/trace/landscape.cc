#include "trace/landscape.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "contract/records.gen.h"
#include "trace/selection.h"
#include "trace/tensor_stats.h"

namespace greta::engine {
namespace {

constexpr size_t kTop = 64, kListed = 5;

// Ids of the largest logits, the largest first and the smaller id first among equals. NaN is never
// among them.
std::vector<int64_t> largest(std::span<const float> logits) {
  std::vector<int64_t> ids;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!std::isnan(logits[i])) ids.push_back(static_cast<int64_t>(i));
  }
  const auto before = [&](int64_t a, int64_t b) {
    const float x = logits[static_cast<size_t>(a)], y = logits[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  };
  const size_t count = std::min(kTop, ids.size());
  std::partial_sort(ids.begin(), ids.begin() + static_cast<long>(count), ids.end(), before);
  ids.resize(count);
  return ids;
}

class LandscapeProbe final : public Probe {
 public:
  LandscapeProbe(Selection selection, Output& output)
      : selection_(std::move(selection)), output_(output) {}

  void begin_request(std::string_view id) override { request_ = id; }
  void begin_pass(const Pass&) override { error_ = {}; }
  bool last_row_only() const override { return true; }

  void tensor(const Pass& pass, Point point, int64_t, const float* data, int64_t rows,
              int64_t columns) override {
    if (point != Point::logits || rows == 0 || !selection_.phase(pass)) return;
    const std::span logits(data + (rows - 1) * columns, static_cast<size_t>(columns));
    record::Landscape record;
    record.phase = pass.phase();
    record.step = pass.step;
    record.pos_id = pass.pos0 + pass.rows - 1;
    record.logits_hash = hash_of(logits);
    record.nan = std::count_if(logits.begin(), logits.end(), [](float x) { return std::isnan(x); });
    fill(logits, record);
    error_ = output_.record(request_, record);
  }

  Result<> end_pass(const Pass&) override { return std::exchange(error_, Result<>{}); }

 private:
  static void fill(std::span<const float> logits, record::Landscape& record) {
    const std::vector<int64_t> top = largest(logits);
    const auto logit = [&](size_t i) -> double {
      return i < top.size() ? logits[static_cast<size_t>(top[i])] : std::nan("");
    };
    record.top1_id = top.empty() ? -1 : top[0];
    record.top2_id = top.size() < 2 ? -1 : top[1];
    record.top1_logit = logit(0);
    record.top2_logit = logit(1);
    record.gap = logit(0) - logit(1);
    record.topk = static_cast<int64_t>(top.size());
    double of_top = 0, weighted = 0, of_all = 0;
    for (size_t i = 0; i < top.size(); ++i) {
      const double shifted = logit(i) - logit(0), e = std::exp(shifted);
      of_top += e;
      if (e > 0 || std::isnan(e)) weighted += e * shifted;
    }
    for (const float value : logits) of_all += std::exp(static_cast<double>(value) - logit(0));
    record.entropy_topk = std::log(of_top) - weighted / of_top;
    record.topk_mass = of_top / of_all;
    for (size_t i = 0; i < std::min(kListed, top.size()); ++i) {
      record.top5.push_back(static_cast<double>(top[i]));
      record.top5_logit.push_back(logit(i));
    }
  }

  Selection selection_;
  Output& output_;
  std::string request_;
  Result<> error_;
};

}  // namespace

std::unique_ptr<Probe> make_landscape_probe(const ModelConfig& config, const Flags& flags,
                                            Output& output) {
  if (!flags.boolean("GRETA_TRACE_LANDSCAPE") || !output.wanted()) return nullptr;
  return std::make_unique<LandscapeProbe>(Selection(flags, "GRETA_TRACE_LANDSCAPE", config),
                                          output);
}

}  // namespace greta::engine
