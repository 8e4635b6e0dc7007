#include "trace/align_trace.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "contract/records.gen.h"
#include "forward/decode_paths.h"
#include "kernels/kernels.h"
#include "trace/selection.h"

namespace greta::engine {
namespace {

enum class Watched : uint8_t { q, k, v, o, k_cache, v_cache };
constexpr std::array<const char*, 6> kNames = {"q", "k", "v", "o", "k_cache", "v_cache"};
constexpr int64_t kCap = 256;

struct Count {
  int64_t checks = 0, required = 0, misaligned_16 = 0, misaligned_32 = 0, violations = 0;
  int64_t smallest = kCap;
};

class AlignTraceProbe final : public Probe {
 public:
  AlignTraceProbe(const ModelConfig& config, const Flags& flags, Output& output)
      : config_(config), selection_(flags, "GRETA_TRACE_ATTN", config), output_(output) {}

  void begin_request(std::string_view id) override {
    request_ = id;
    counts_.assign(static_cast<size_t>(config_.layers) * kNames.size(), {});
    warned_ = false;
  }

  void tensor(const Pass& pass, Point point, int64_t layer, const float* data, int64_t,
              int64_t) override {
    if (!pass.decode || !selection_.phase(pass)) return;
    if (point == Point::q) look(pass, Watched::q, layer, data, config_.heads);
    if (point == Point::k) look(pass, Watched::k, layer, data, config_.kv_heads);
    if (point == Point::v) look(pass, Watched::v, layer, data, config_.kv_heads);
    if (point == Point::attn_out) look(pass, Watched::o, layer, data, config_.heads);
  }

  void after_kv_update(const Pass& pass, int64_t layer, const KvCache& cache) override {
    if (!pass.decode || !selection_.phase(pass) || !selection_.layer(layer)) return;
    const auto look_cache = [&](Watched what, std::span<std::byte> memory) {
      const kernels::KvRead slab = writable_layer(cache, memory, layer);
      for (int64_t head = 0; head < cache.kv_heads; ++head) {
        look(pass, what, layer, slab.slot(head, pass.pos0), slab.type());
      }
    };
    look_cache(Watched::k_cache, cache.k);
    look_cache(Watched::v_cache, cache.v);
  }

  Result<> end_request() override {
    for (size_t i = 0; i < counts_.size(); ++i) {
      const Count& count = counts_[i];
      if (count.checks == 0) continue;
      record::AttnAlign record;
      record.layer = static_cast<int64_t>(i / kNames.size());
      record.tensor = kNames[i % kNames.size()];
      record.checks = count.checks;
      record.required_bytes = count.required;
      record.misaligned_16 = count.misaligned_16;
      record.misaligned_32 = count.misaligned_32;
      record.violations = count.violations;
      record.min_alignment = count.smallest;
      TRY(output_.record(request_, record));
    }
    return {};
  }

 private:
  // Every head of a row of activations.
  void look(const Pass& pass, Watched what, int64_t layer, const float* data, int64_t heads) {
    if (!selection_.layer(layer)) return;
    for (int64_t head = 0; head < heads; ++head) {
      look(pass, what, layer, data + head * config_.head_dim, kernels::DType::f32);
    }
  }

  void look(const Pass& pass, Watched what, int64_t layer, const void* address,
            kernels::DType type) {
    Count& count = counts_[static_cast<size_t>(layer) * kNames.size() + static_cast<size_t>(what)];
    const auto bits = reinterpret_cast<uintptr_t>(address);
    const int64_t alignment = std::min<int64_t>(kCap, static_cast<int64_t>(bits & -bits));
    ++count.checks;
    count.required = kernels::attention_alignment(config_.head_dim, type);
    if (alignment < 16) ++count.misaligned_16;
    if (alignment < 32) ++count.misaligned_32;
    count.smallest = std::min(count.smallest, alignment);
    if (alignment >= count.required) return;
    ++count.violations;
    if (warned_) return;
    warned_ = true;
    std::fprintf(stderr,
                 "[ATTN_ALIGN] request `%s` %s layer %lld: %s is aligned to %lld bytes, the kernel "
                 "wants %lld; attn_align counts all of them\n",
                 request_.c_str(), pass.phase().c_str(), static_cast<long long>(layer),
                 kNames[static_cast<size_t>(what)], static_cast<long long>(alignment),
                 static_cast<long long>(count.required));
  }

  const ModelConfig& config_;
  Selection selection_;
  Output& output_;
  std::string request_;
  std::vector<Count> counts_;  // (layers, kNames)
  bool warned_ = false;
};

}  // namespace

std::unique_ptr<Probe> make_align_trace_probe(const ModelConfig& config, const Flags& flags,
                                              Output& output) {
  const bool asked = flags.boolean("GRETA_TRACE_ATTN_ALIGN");
  const bool implied = flags.boolean("GRETA_TRACE_ATTN_DECODE_VERIFY");
  if (!asked && !implied) return nullptr;
  return std::make_unique<AlignTraceProbe>(config, flags, output);
}

}  // namespace greta::engine
