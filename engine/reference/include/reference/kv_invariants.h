#pragma once
// KV invariants: what was really written to the cache, found by comparing its bytes before and
// after, against what a correct update writes. Nothing is recomputed from the engine's own offsets.
//
// The documented layout (kv_cache.h) is addressed here independently: slot (layer, KV head,
// position) starts at element ((layer · kv_heads + head) · capacity + position) · head_dim. An
// update of layer L at positions P must leave
//   in slots (L, every KV head, P)   RoPE(k) and v of the history, within the rounding of RoPE
//   everywhere else                  every byte as it was
//   in slots never written           the NaN pattern of a fresh cache, if it has one
// A copy of the whole cache is kept and compared around every update, so that an intruder is
// charged to the update that wrote it: time and memory of a check, not of a run without it.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "contract/result.h"
#include "forward/kv_cache.h"
#include "forward/probe.h"
#include "reference/attention.h"

namespace greta::reference {

// In the order in which they are reported when several fail.
enum class KvError {
  kv_pos_mismatch,     // the step wrote, or was told to use, another position than its own
  kv_pos_oob,          // its position is outside the cache
  k_slot_mismatch,     // the slot does not hold RoPE(k)
  v_slot_mismatch,     // the slot does not hold v
  kv_overlap,          // the update of this layer changed slots of another one
  kv_history_changed,  // a slot written earlier changed
  kv_tail_written,     // a slot after the sequence changed, or was not poison to begin with
  none,
};
std::string to_string(KvError error);  // "" for none

class KvInvariants {
 public:
  explicit KvInvariants(const AttentionShape& shape);
  void begin_request();
  void begin_pass(const engine::Pass& pass);
  Result<> before_update(const engine::Pass& pass, int64_t layer, const engine::KvCache& cache);
  Result<> after_update(const engine::Pass& pass, int64_t layer, const engine::KvCache& cache,
                        const History& history);
  // What the attention of a decode step was told.
  void told(const engine::Pass& pass, int64_t layer, int64_t position, int64_t seq_len);

  struct Finding {
    bool checked = false;                  // the update of this layer was seen in this pass
    int64_t position = -1;                 // of the slot of this layer and head that changed
    int64_t k_offset = -1, v_offset = -1;  // bytes, of what changed there
    KvError error = KvError::none;
    std::string at;  // where, and what was there
  };
  // Of the pass that ran last; an error of the prefill stays for the decode steps that follow it.
  Finding finding(int64_t layer, int64_t kv_head) const;

 private:
  struct Slot {
    bool is_k = true;
    int64_t layer = 0, kv_head = 0, position = 0;
  };
  std::vector<Slot> take_changes(const engine::KvCache& cache);
  void check_fresh(const engine::Pass& pass, const engine::KvCache& cache);
  void check_slots(const engine::Pass& pass, int64_t layer, const engine::KvCache& cache,
                   const History& history);
  void charge_intruder(const engine::Pass& pass, int64_t layer, const Slot& slot);
  void report(int64_t layer, int64_t kv_head, KvError error, const std::string& at);
  Result<> check_shape(const engine::KvCache& cache) const;
  int64_t offset(const Slot& slot) const;  // bytes
  Finding& now(int64_t layer, int64_t kv_head);

  AttentionShape shape_;
  int64_t capacity_ = 0;
  std::vector<std::byte> k_, v_;  // the cache as it was last seen; empty before the first update
  bool last_was_prefill_ = false;
  std::vector<Finding> pass_, prefill_;  // [layer · kv_heads + kv_head]
};

}  // namespace greta::reference
