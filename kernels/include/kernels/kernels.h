#pragma once
// The CPU ops of a llama forward pass. Start here.
//
// Every op takes one Args struct (designated initialisers), checks its shapes, runs on the
// context's pool and counts one launch. The order of every sum is fixed by the shapes alone, never
// by the number of threads, nor by how many tokens are computed together: a row of a prefill is
// bitwise equal to the same row of a decode. CPUs with FMA (AVX2, AVX-512) give the same bits as
// each other, too.
//
// Shapes: T tokens, C columns, Hq query heads, Hkv KV heads (Hkv divides Hq), D head_dim (even).

#include <cstdint>
#include <span>

#include "kernels/context.h"
#include "kernels/types.h"

namespace greta::kernels {

struct EmbeddingArgs {
  WeightView table;                 // (vocab, C)
  std::span<const int32_t> tokens;  // (T), each in [0, vocab)
  Rows<float> out;                  // (T, C)
};
Status embedding(Context& context, const EmbeddingArgs& args);

// out = x / sqrt(mean(x²) + eps) · weight, row by row.
struct RmsNormArgs {
  Rows<const float> x;            // (T, C)
  std::span<const float> weight;  // (C)
  Rows<float> out;                // (T, C)
  float eps = 0;
};
Status rms_norm(Context& context, const RmsNormArgs& args);

// out[t][o] = Σ_c w[o][c] · x[t][c]. The sum runs in 16 lanes (lane = c mod 16), then a fixed tree.
struct MatmulArgs {
  WeightView weight;    // (O, C)
  Rows<const float> x;  // (T, C)
  Rows<float> out;      // (T, O)
};
Status matmul(Context& context, const MatmulArgs& args);

// The same for quantised weights with x rounded to eight bits: 32 columns of a row share the scale
// max|x| / 127, products of bytes are added exactly, and their sums, scaled, in fp32, 32 columns
// after the other (16 for q6_k). Several times the speed of matmul where many tokens are computed
// together; the rounding errs by up to half a step, 2⁻⁸ of the largest x of each 32. A NaN or an
// infinity in x makes the outputs of its row NaN.
Status matmul_int8(Context& context, const MatmulArgs& args);
// Can this CPU do that for weights of this type and so many columns? (AVX-512 VNNI.)
bool has_matmul_int8(DType type, int64_t columns);

// Which elements of a head rotate together: (2i, 2i + 1), as GGUF's llama weights are stored, or
// (i, i + D/2).
enum class RopePairing : uint8_t { interleaved, half_split };

// Rotates each head of each row in place. One rotation row is cos_0, sin_0, cos_1, sin_1, …
struct RopeArgs {
  Rows<float> x;               // (T, H·D)
  Rows<const float> rotation;  // (T, D): row t belongs to the position of row t
  RopePairing pairing = RopePairing::interleaved;
};
Status rope(Context& context, const RopeArgs& args);

// Writes rows of k and v to positions [pos0, pos0 + T) of the cache, rounded to its type (nearest,
// ties to even).
struct KvUpdateArgs {
  Rows<const float> k, v;    // (T, Hkv·D)
  KvWrite k_cache, v_cache;  // (Hkv, capacity, D)
  int64_t pos0 = 0;
};
Status kv_update(Context& context, const KvUpdateArgs& args);

// rope(q), rope(k) and kv_update for one token in one pass over the KV heads: worker w owns KV
// heads, with the query heads of their groups. q and k are rotated in place as well.
struct FusedRopeKvUpdateDecodeArgs {
  std::span<float> q;                 // (Hq·D)
  std::span<float> k;                 // (Hkv·D)
  std::span<const float> v;           // (Hkv·D)
  std::span<const float> q_rotation;  // (D)
  std::span<const float> k_rotation;  // (D)
  KvWrite k_cache, v_cache;           // (Hkv, capacity, D)
  int64_t position = 0;
  RopePairing pairing = RopePairing::interleaved;
};
Status fused_rope_kv_update_decode(Context& context, const FusedRopeKvUpdateDecodeArgs& args);

// What attention computed on its way, for whoever asks (empty: nobody does, nothing is written).
// One row a query head of a token and one column a key: the scaled scores, and the weights of the
// keys, which are the kernel's own numerators divided by its own sum.
struct AttentionShown {
  Rows<float> scores, weights;  // (T'·Hq, at least seq_len)
  bool wanted() const { return scores.rows() > 0; }
};

// out_h = softmax(scale · q_h · K_g[0..seq_len)) V_g, g = h / (Hq / Hkv): two passes over the keys,
// scores minus their maximum, fp32.
struct AttentionDecodeArgs {
  std::span<const float> q;  // (Hq·D) after RoPE
  KvRead k, v;               // (Hkv, capacity, D)
  int64_t seq_len = 0;       // keys to read, the newest included
  float scale = 0;
  std::span<float> out;       // (Hq·D)
  AttentionShown shown = {};  // of every head
};
Status attention_decode(Context& context, const AttentionDecodeArgs& args);

// The same with every running sum rounded to bf16: a measurable low-precision variant.
Status attention_decode_bf16acc(Context& context, const AttentionDecodeArgs& args);

// Row t attends to positions [0, pos0 + t]; each row's arithmetic is that of attention_decode.
struct AttentionPrefillArgs {
  Rows<const float> q;  // (T, Hq·D) after RoPE
  KvRead k, v;          // (Hkv, capacity, D), positions [0, pos0 + T) written
  int64_t pos0 = 0;
  float scale = 0;
  Rows<float> out;                             // (T, Hq·D)
  std::span<const int64_t> shown_tokens = {};  // T' rows of q, ascending
  AttentionShown shown = {};                   // of their heads
};
Status attention_prefill(Context& context, const AttentionPrefillArgs& args);

// Alignment in bytes that attention wants of every head of q, out and of every cache slot: 16, or
// what D allows. Less gives the same result more slowly.
int64_t attention_alignment(int64_t head_dim, DType type);

// out = silu(gate) · up, silu(x) = x / (1 + e⁻ˣ).
struct SwigluArgs {
  Rows<const float> gate, up;  // (T, C)
  Rows<float> out;             // (T, C); may be gate or up
};
Status swiglu(Context& context, const SwigluArgs& args);

// sum = a + b.
struct AddArgs {
  Rows<const float> a, b;  // (T, C)
  Rows<float> sum;         // (T, C); may be a or b
};
Status add(Context& context, const AddArgs& args);

// The two largest values; the smaller id wins among equals. NaN is never chosen; an id is −1 when
// nothing is left to choose.
struct Top2 {
  int64_t id[2] = {-1, -1};
  float value[2] = {0, 0};
};
Top2 top2(std::span<const float> values);

// One row of stored weights (or cache elements) as fp32, bit-exact.
void dequantize(DType type, const std::byte* row, std::span<float> out);
// fp32 rounded to f32, f16 or bf16: nearest, ties to even, NaN stays NaN.
void round_to(DType type, std::span<const float> values, std::byte* out);

}  // namespace greta::kernels
