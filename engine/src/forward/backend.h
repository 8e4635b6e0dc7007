#pragma once
// A backend runs the forward pass of one sequence: `cpu` (SIMD), `cuda` and `hip` (a GPU), `emu`
// (the same kernels, emulated; `cpu+emu` only in decode attention), `ref` (fp64, slow).

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "contract/result.h"
#include "forward/faults.h"
#include "forward/probe.h"
#include "io/flags.h"
#include "model/gguf.h"
#include "model/model_config.h"

namespace greta::engine {

// strict: every reduction order is fixed; the same bits for any number of threads, and for prefill
// as for decode. fast: the order is free, and products with quantised weights may round their
// activations to eight bits (kernels' matmul_int8; a CPU without it, and ref, compute as in
// strict).
enum class Numerics { strict, fast };

struct BackendOptions {
  int threads = 1;
  Numerics numerics = Numerics::strict;
  KvType kv_type = KvType::f32;
  int64_t max_seq = 0;  // KV capacity in positions
};

// A kernel that ran: its id, what it was ("rope.cpu.avx512"), the hash of its machine code, how
// often.
struct KernelLaunches {
  std::string id, op, variant;
  uint64_t code_hash = 0;
  int64_t launches = 0;
  std::array<int, 3> grid = {};  // blocks of the last launch, and threads of a block; 0 on the CPU
  int threads = 0;
};

// The matrices that a trace can look into.
enum class WeightMatrix { embedding, output, wq, wk, wv, wo };

class Backend {
 public:
  virtual ~Backend() = default;
  virtual void reset() = 0;  // forget the sequence; cache slots go back to poison
  // Feeds `tokens` at positions [pass.pos0, pass.pos0 + tokens.size()), all of which must be the
  // next ones. Writes the logits of the last `logit_rows` rows to `logits` (logit_rows × vocab).
  virtual Result<> forward(const Pass& pass, std::span<const int32_t> tokens, int64_t logit_rows,
                           std::span<float> logits) = 0;
  virtual const KvCache* kv_cache()
      const = 0;  // null: the backend keeps none that can be looked at
  virtual std::vector<KernelLaunches> launches() const = 0;
  // Row `row` of a matrix as this backend computes with it; layer -1 outside the layers. `out` has
  // its columns.
  virtual void read_weight(WeightMatrix matrix, int64_t layer, int64_t row,
                           std::span<float> out) const = 0;
  virtual std::string isa() const = 0;                    // "avx512", "fp64", "sm_90"
  virtual std::string device_name() const { return {}; }  // of a GPU; empty: the CPU
  // Are activations rounded to eight bits (32 share the scale max/127) where they meet this matrix?
  virtual bool rounds_activations(WeightMatrix matrix, int64_t layer) const {
    return (void)matrix, (void)layer, false;
  }
  // Does a prefill add up its sums as a decode does? Not where the decode attention is another
  // kernel than the prefill's.
  virtual bool prefill_goes_as_decode() const { return true; }
  // Probes are called in the order in which they were attached.
  void attach(Probe* probe) { probes_.push_back(probe); }
  void detach_all() { probes_.clear(); }
  // Puts other probes in their place and returns those that were there.
  std::vector<Probe*> exchange_probes(std::vector<Probe*> probes) {
    std::swap(probes, probes_);
    return probes;
  }

 protected:
  // Rows whose scores and weights any probe wants of a layer's attention: ascending, each once.
  std::vector<int64_t> wanted_attention_rows(const Pass& pass, int64_t layer) const {
    std::vector<int64_t> all;
    for (const Probe* probe : probes_) {
      const std::vector<int64_t> rows = probe->attention_rows(pass, layer);
      all.insert(all.end(), rows.begin(), rows.end());
    }
    std::ranges::sort(all);
    const auto repeated = std::ranges::unique(all);
    all.erase(repeated.begin(), repeated.end());
    return all;
  }
  std::vector<Probe*> probes_;
};

// emulated_attention: the decode attention is that of the emulated GPU kernels, all else the CPU's.
// EngineExit::device for flags that ask for a route which the CPU's own attention has not.
Result<std::unique_ptr<Backend>> make_cpu_backend(const GgufFile&, const ModelConfig&,
                                                  const BackendOptions&, const Flags&,
                                                  const Faults&, bool emulated_attention = false);
Result<std::unique_ptr<Backend>> make_ref_backend(const GgufFile&, const ModelConfig&,
                                                  const BackendOptions&);

}  // namespace greta::engine
