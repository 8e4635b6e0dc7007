#pragma once
// Past bugs, injected on purpose (GRETA_INJECT=name[:layer=L,head=H,step=S][;name…]), so that every
// check can be shown to catch what it is for. A run with a fault says so in effective.json.
// step: 0 prefill, n + 1 decode n. Without it a fault of the decode attention is in every decode
// pass and not in the prefill; rope_half_split, a matter of how weights are stored, is in both.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "contract/result.h"

namespace greta::engine {

enum class Fault {
  kv_layer_base,       // attention of layer L reads layer 0's slice of the cache
  kv_write_hq_stride,  // the update writes with Hq's head stride
  gqa_map,             // query head h reads KV head h % Hkv instead of h / group
  seq_len_off_by_one,  // decode attention misses the newest key
  rope_k_off_by_one,   // k is rotated for position + 1
  rope_qk_off_by_one,  // q and k are
  rope_half_split,     // pairs (i, i + d/2) instead of (2i, 2i + 1)
  softmax_scale,       // 1/d instead of 1/sqrt(d)
  v_not_written,       // the update leaves V's slot as it was
  stale_slot,          // the update leaves K's and V's slot as it was
  kv_ignored,          // attention sees its own position only
  bf16_accumulate,     // attention accumulates in bf16
  readout_wrong_row,   // the prefill readout takes row 0
  arms_same_kernel,    // manual silently runs the fused kernels
  misaligned_load,     // q is handed over 4 bytes off its alignment
  wq_column_major,     // the matrix is read as if its columns lay one after another
  wk_column_major,
  wv_column_major,
  wo_column_major,
  embedding_column_major,
  lm_head_tile_transposed,  // 16 × 16 tiles of the answers are written back transposed
  // In the kernels of a device only:
  no_max_subtract,       // softmax without bringing the largest score to 0
  no_split_rescale,      // splits added up without bringing them to one maximum
  mfma_tile_transposed,  // a result tile of the matrix unit with rows and columns exchanged
  fp16_accumulate,       // attention accumulates in fp16
};

struct FaultInfo {
  Fault fault;
  std::string_view name;
  std::string_view keys;  // coordinates that the fault can be narrowed to: "layer,head,step"
  std::string_view doc;
  bool on_cpu = true, on_device = false;  // which backends can place it
};
std::span<const FaultInfo> fault_table();

class Faults {
 public:
  // "" is no fault. Errors (EngineExit::usage) name the nearest fault or key.
  static Result<Faults> parse(std::string_view text);
  // A fault placed outside the model would be a run without one: EngineExit::usage.
  Result<> fits(int64_t layers, int64_t heads) const;
  // Is `fault` placed here? −1: this coordinate does not apply and matches any.
  bool at(Fault fault, int64_t layer = -1, int64_t head = -1, int64_t step = -1) const;
  bool any() const { return !placed_.empty(); }
  bool narrowed_to_head(Fault fault) const;
  // EngineExit::usage for a fault that the CPU's kernels cannot have.
  Result<> check_on_cpu() const;

 private:
  struct Placed {
    Fault fault;
    int64_t layer = -1, head = -1, step = -1;
  };
  std::vector<Placed> placed_;
};

}  // namespace greta::engine
