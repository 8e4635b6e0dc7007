#pragma once
// The functions that do the work, as chosen for this CPU. The ops call them through these tables
// and identity() hashes them: what is hashed is what runs.

#include <cstdint>

#include "kernels/kernels.h"

namespace greta::kernels {

struct MatmulCode {
  int64_t target;  // Highway's bit of the instruction set
  using Range = void (*)(const MatmulArgs&, int64_t begin, int64_t end, float* scratch);
  Range range[kDTypes];  // by DType
  int64_t panel_rows, scratch_floats;
};
const MatmulCode& chosen_matmul();

struct ElementwiseCode {
  int64_t target;
  void (*rms_norm)(const RmsNormArgs&, int64_t begin, int64_t end);
  void (*swiglu)(const SwigluArgs&, int64_t row, int64_t begin, int64_t end);
  void (*add)(const AddArgs&, int64_t begin, int64_t end);
};
const ElementwiseCode& chosen_elementwise();

struct AttentionCode {
  int64_t target;
  // Heads [begin, end) of one token.
  using Decode = void (*)(const AttentionDecodeArgs&, int64_t begin, int64_t end, float* scratch);
  // (row, head) pairs [begin, end), pair = row · heads + head.
  using Prefill = void (*)(const AttentionPrefillArgs&, int64_t begin, int64_t end, float* scratch);
  Decode decode[3];  // by DType of the cache
  Prefill prefill[3];
};
const AttentionCode& chosen_attention();

// Not written for one instruction set: what the compiler makes of them.
void embedding_rows(const EmbeddingArgs& args, int64_t begin, int64_t end);
void rope_rows(const RopeArgs& args, int64_t begin, int64_t end);
void kv_update_heads(const KvUpdateArgs& args, int64_t begin, int64_t end);
void fused_rope_kv_update_heads(const FusedRopeKvUpdateDecodeArgs& args, int64_t begin,
                                int64_t end);
void attention_bf16acc_heads(const AttentionDecodeArgs& args, int64_t begin, int64_t end,
                             float* scratch);
// The table lies in a file of its own, so that the ops cannot be compiled with a copy of the code.
struct GenericCode {
  void (*embedding)(const EmbeddingArgs&, int64_t begin, int64_t end);
  void (*rope)(const RopeArgs&, int64_t begin, int64_t end);
  void (*kv_update)(const KvUpdateArgs&, int64_t begin, int64_t end);
  void (*fused_rope_kv_update_decode)(const FusedRopeKvUpdateDecodeArgs&, int64_t begin,
                                      int64_t end);
  void (*attention_decode_bf16acc)(const AttentionDecodeArgs&, int64_t begin, int64_t end,
                                   float* scratch);
};
extern const GenericCode kGenericCode;

}  // namespace greta::kernels
