#include "trace/consistency.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "contract/records.gen.h"
#include "kernels/kernels.h"
#include "trace/equivalence.h"
#include "trace/tensor_stats.h"

namespace greta::engine {
namespace {

struct LogSoftmax {
  double largest = 0, log_total = 0;
  explicit LogSoftmax(std::span<const float> logits) {
    largest = *std::max_element(logits.begin(), logits.end());
    double total = 0;
    for (const float logit : logits) total += std::exp(logit - largest);
    log_total = std::log(total);
  }
  double operator()(float logit) const { return logit - largest - log_total; }
};

record::PrefillDecodeConsistency compare(std::span<const float> prefill,
                                         std::span<const float> decode) {
  record::PrefillDecodeConsistency record;
  const LogSoftmax log_p(prefill), log_q(decode);
  double difference = 0, norm = 0;
  for (size_t i = 0; i < prefill.size(); ++i) {
    const double p = prefill[i], d = static_cast<double>(decode[i]) - p;
    difference += d * d;
    norm += p * p;
    // NaN must not be lost in a maximum.
    if (!(std::abs(d) <= record.max_diff)) record.max_diff = std::abs(d);
    record.kl += std::exp(log_p(prefill[i])) * (log_p(prefill[i]) - log_q(decode[i]));
  }
  const bool same = std::memcmp(prefill.data(), decode.data(), prefill.size_bytes()) == 0;
  record.rel_l2 = same ? 0 : std::sqrt(difference) / std::sqrt(norm);
  if (same) record.max_diff = record.kl = 0;
  record.logits_std = stats_of(prefill).std;
  record.top1_prefill = kernels::top2(prefill).id[0];
  record.top1_decode = kernels::top2(decode).id[0];
  record.top1_equal = record.top1_prefill == record.top1_decode;
  record.prefill_hash = hash_of(prefill);
  record.decode_hash = hash_of(decode);
  return record;
}

// While it lives these probes see the passes, and no others.
class WatchedOnlyBy {
 public:
  WatchedOnlyBy(Backend& backend, std::vector<Probe*> probes)
      : backend_(backend), others_(backend.exchange_probes(std::move(probes))) {}
  ~WatchedOnlyBy() { backend_.exchange_probes(std::move(others_)); }
  WatchedOnlyBy(const WatchedOnlyBy&) = delete;
  WatchedOnlyBy& operator=(const WatchedOnlyBy&) = delete;

 private:
  Backend& backend_;
  std::vector<Probe*> others_;
};

}  // namespace

double consistency_bound(bool one_order, KvType kv_type) {
  if (one_order) return 0;
  switch (kv_type) {
    case KvType::f32:
      return 1e-5;
    case KvType::f16:
      return 4 * 0x1p-11;
    case KvType::bf16:
      return 4 * 0x1p-9;
  }
  return 0;
}

PrefillAgainstDecode::PrefillAgainstDecode(const ModelConfig& config, const Flags& flags,
                                           double bound)
    : config_(config),
      logits_(flags.boolean("GRETA_TRACE_PREFILL_DECODE")),
      hidden_equiv_(flags.boolean("GRETA_TRACE_HIDDEN_EQUIV")),
      delta_(flags.boolean("GRETA_TRACE_PREFILL_DECODE_DELTA")),
      bound_(bound),
      // Flags of a trace that is off must stay unread.
      selection_(flags, hidden_equiv_ ? "GRETA_TRACE_HIDDEN_EQUIV" : "", config) {
  if (wanted()) span_ = flags.integer("GRETA_PREFILL_DECODE_SPAN");
}

Result<> PrefillAgainstDecode::run(Backend& backend, std::span<const int32_t> tokens,
                                   const std::string& request, Output& output) const {
  const auto total = static_cast<int64_t>(tokens.size());
  const int64_t decoded = std::min(span_, total - 1);
  if (decoded < 1 || !wanted()) return {};
  const auto vocab = static_cast<size_t>(config_.vocab);
  std::vector<float> prefill(static_cast<size_t>(decoded) * vocab);
  std::vector<float> decode(vocab);
  const int64_t first = total - decoded;
  RowCapture of_prefill(config_, selection_, delta_, first);
  RowCapture of_decode(config_, selection_, delta_, first);
  const bool captured = hidden_equiv_ || delta_;
  const auto watch = [&](RowCapture& capture) -> std::vector<Probe*> {
    return captured ? std::vector<Probe*>{&capture} : std::vector<Probe*>{};
  };

  backend.reset();
  {
    const WatchedOnlyBy only(backend, watch(of_prefill));
    TRY(backend.forward({}, tokens, decoded, prefill));
  }
  backend.reset();
  const WatchedOnlyBy only(backend, watch(of_decode));
  TRY(backend.forward({}, tokens.first(static_cast<size_t>(first)), 0, {}));
  for (int64_t i = 0; i < decoded; ++i) {
    const auto at = static_cast<size_t>(first + i);
    TRY(backend.forward({.decode = true, .step = i + 1, .pos0 = first + i}, tokens.subspan(at, 1),
                        1, decode));
    if (!logits_) continue;
    auto record = compare(
        std::span<const float>(prefill).subspan(static_cast<size_t>(i) * vocab, vocab), decode);
    record.position = first + i;
    record.token_id = tokens[at];
    record.bound = bound_;
    TRY(output.record(request, record));
  }
  backend.reset();
  if (!captured) return {};
  return write_equivalence(of_prefill, of_decode,
                           {.config = config_,
                            .selection = selection_,
                            .hidden_equiv = hidden_equiv_,
                            .delta = delta_,
                            .bound = bound_,
                            .request = request},
                           output);
}

}  // namespace greta::engine
