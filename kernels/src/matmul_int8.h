#pragma once
// The code behind matmul_int8, as chosen for this CPU, and the shapes of what its parts hand over.

#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"

namespace greta::kernels::int8 {

constexpr int64_t kTileTokens = 8;  // that a prefill computes together
// 32 columns of a tile of tokens, and of sixteen rows of weights.
constexpr int64_t kTileBlockBytes = 384, kPanelBlockBytes = 640;

// A token as a decode reads it: bytes, offsets and scales of whole 256 columns.
constexpr int64_t token_bytes(int64_t columns) { return (columns + 255) / 256 * 576; }

struct Int8Code {
  // Tokens (or tiles of them) [begin, end) of args.x to `to`; rows [begin, end) of args.weight
  // times all of them. memory: (columns / 32) · kPanelBlockBytes for `multiply`, 64-byte aligned.
  using Quantise = void (*)(const MatmulArgs&, int64_t begin, int64_t end, std::byte* to);
  using Multiply = void (*)(const MatmulArgs&, int64_t begin, int64_t end, const std::byte* x,
                            std::byte* memory);
  struct OfType {
    int64_t block;  // columns are a multiple of it
    Quantise quantise_tokens;
    Multiply dot;
    Quantise quantise_tiles;
    Multiply multiply;
  };
  OfType q8_0, q4_0, q5_0, q4_k, q5_k, q6_k;
};

// Null where this CPU has no byte products (x86: AVX-512 VNNI).
const Int8Code* code();
const Int8Code::OfType* code_of(DType type);

}  // namespace greta::kernels::int8
