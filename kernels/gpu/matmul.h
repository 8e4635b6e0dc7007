#pragma once
// out[t][o] = Σ_c w[o][c] · x[t][c], two ways.
//   matmul_rows   one wave for kRows outputs of up to kTokens tokens; lanes take chunks of columns
//   in
//                 turn, then a butterfly. One order of each sum however many tokens: a prefill is
//                 bitwise equal to a decode.
//   matmul_tiles  matrix units, 64 outputs × 64 tokens a block, for long prefills in fast numerics.

#include "gpu/mma.h"
#include "gpu/wave.h"
#include "gpu/weights.h"

namespace greta::kernels::gpu {
inline namespace GRETA_ON_TARGET {

struct MatmulLaunch {
  WeightMatrix weight;
  Global<const float, 16> x;  // (tokens, columns)
  Global<float> out;          // (tokens, outputs)
  int tokens = 0, outputs = 0;
};

constexpr int kMatmulThreads = 256;
constexpr int kMatmulRows = 2;

// Grid: x over kMatmulRows · waves outputs, y over kTokens tokens.
template <DType W, int kTokens>
GRETA_KERNEL(kMatmulThreads)
matmul_rows(MatmulLaunch a) {
  using Weights = Chunk<W>;
  constexpr int kColumns = Weights::kColumns;
  const int columns = a.weight.columns;
  const int first_row = (block_x() * block_waves() + wave_index()) * kMatmulRows;
  const int first_token = block_y() * kTokens;
  if (first_row >= a.outputs) return;  // the whole wave
  float sum[kMatmulRows][kTokens] = {};
  const int chunks = (columns + kColumns - 1) / kColumns;
  GRETA_UNROLL_BY(4)
  for (int c = lane_index(); c < chunks; c += kWave) {
    float w[kMatmulRows][kColumns];
    GRETA_UNROLL
    for (int r = 0; r < kMatmulRows; ++r) {
      const int row = first_row + r < a.outputs ? first_row + r : first_row;
      Weights::load(a.weight, row * a.weight.row_bytes, c, w[r]);
    }
    GRETA_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      if (first_token + t >= a.tokens) break;
      const int64_t at = static_cast<int64_t>(first_token + t) * columns + c * kColumns;
      const bool packs = columns % 4 == 0;
      GRETA_UNROLL
      for (int i = 0; i < kColumns; i += 4) {
        Pack<float, 4> x = {};
        if (packs && c * kColumns + i < columns) {
          x = a.x.template load_pack<4>(at + i);
        } else {
          for (int j = 0; j < 4; ++j) {
            if (c * kColumns + i + j < columns) x.at[j] = a.x.load(at + i + j);
          }
        }
        GRETA_UNROLL
        for (int j = 0; j < 4; ++j) {
          GRETA_UNROLL
          for (int r = 0; r < kMatmulRows; ++r) sum[r][t] = fmaf(w[r][i + j], x.at[j], sum[r][t]);
        }
      }
    }
  }
  GRETA_UNROLL
  for (int r = 0; r < kMatmulRows; ++r) {
    GRETA_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      if (first_token + t >= a.tokens) break;
      const float all = wave_sum(sum[r][t]);
      if (lane_index() == 0 && first_row + r < a.outputs) {
        a.out.store(static_cast<int64_t>(first_token + t) * a.outputs + first_row + r, all);
      }
    }
  }
}

constexpr int kTileOutputs = 64, kTileTokens = 64, kTileColumns = 32;
constexpr int kTileStride = kTileColumns + 4;  // a row of a tile in shared memory, no bank twice

// One 16 × 16 × 16 step: A[row][k] and B[k][column] lie in shared memory with k fastest.
template <class T>
GRETA_DEVICE void tile_step(Accumulator& d, const Shared<float>& a, int a_row,
                            const Shared<float>& b, int b_row, int k) {
  Operand<T> left, right;
  GRETA_UNROLL
  for (int e = 0; e < Tile::kElements; ++e) {
    left.at[e] = from_float<T>(a.load((a_row + Tile::a_row(e)) * kTileStride + k + Tile::a_k(e)));
    right.at[e] =
        from_float<T>(b.load((b_row + Tile::b_column(e)) * kTileStride + k + Tile::b_k(e)));
  }
  multiply_add(d, left, right);
}

// T is what the matrix unit multiplies: float, or Bf16 where weights are and x may be rounded.
template <DType W, class T>
GRETA_KERNEL(kMatmulThreads)
matmul_tiles(MatmulLaunch a) {
  using Weights = Chunk<W>;
  constexpr int kColumns = Weights::kColumns;
  constexpr int kTiles = (kTileOutputs / Tile::kSide) * (kTileTokens / Tile::kSide);
  constexpr int kWaveTiles = kTiles / (kMatmulThreads / kWave);
  GRETA_SHARED(float, w_tile, kTileOutputs* kTileStride);
  GRETA_SHARED(float, x_tile, kTileTokens* kTileStride);
  const int columns = a.weight.columns;
  const int output = block_x() * kTileOutputs, token = block_y() * kTileTokens;
  Accumulator sum[kWaveTiles];
  for (int first = 0; first < columns; first += kTileColumns) {
    constexpr int kChunks = kTileColumns / kColumns;  // of a row of the tile
    for (int i = thread_index(); i < kTileOutputs * kChunks; i += kMatmulThreads) {
      const int row = i / kChunks, chunk = i % kChunks;
      float w[kColumns] = {};
      if (output + row < a.outputs && first + chunk * kColumns < columns) {
        Weights::load(a.weight, (output + row) * a.weight.row_bytes, first / kColumns + chunk, w);
      }
      GRETA_UNROLL
      for (int j = 0; j < kColumns; ++j)
        w_tile.store(row * kTileStride + chunk * kColumns + j, w[j]);
    }
    for (int i = thread_index(); i < kTileTokens * kTileColumns; i += kMatmulThreads) {
      const int t = i / kTileColumns, c = i % kTileColumns;
      const bool inside = token + t < a.tokens && first + c < columns;
      x_tile.store(t * kTileStride + c,
                   inside ? a.x.load(static_cast<int64_t>(token + t) * columns + first + c) : 0.0f);
    }
    block_sync();
    GRETA_UNROLL
    for (int i = 0; i < kWaveTiles; ++i) {
      const int tile = wave_index() * kWaveTiles + i;
      for (int k = 0; k < kTileColumns; k += Tile::kSide) {
        tile_step<T>(sum[i], w_tile, tile / 4 * Tile::kSide, x_tile, tile % 4 * Tile::kSide, k);
      }
    }
    block_sync();
  }
  GRETA_UNROLL
  for (int i = 0; i < kWaveTiles; ++i) {
    const int tile = wave_index() * kWaveTiles + i;
    GRETA_UNROLL
    for (int e = 0; e < Tile::kElements; ++e) {
      const int o = output + tile / 4 * Tile::kSide + Tile::d_row(e);
      const int t = token + tile % 4 * Tile::kSide + Tile::d_column(e);
      if (o < a.outputs && t < a.tokens) {
        a.out.store(static_cast<int64_t>(t) * a.outputs + o, sum[i].at[e]);
      }
    }
  }
}

}  // namespace GRETA_ON_TARGET
}  // namespace greta::kernels::gpu
