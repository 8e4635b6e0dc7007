// One routine for decode (few tokens: weights are converted in registers) and prefill (many: a
// panel of weights is converted once and used for all tokens). Both add the same products in the
// same lanes in the same order.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "matmul.cc"
#include "hwy/foreach_target.h"
// (First, because it includes this file once more for each instruction set.)
#include <algorithm>

#include "blocks-inl.h"
#include "kernels/kernels.h"
#include "registry.h"
#include "simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace greta::kernels::HWY_NAMESPACE {

// A panel of weights (32 KiB) stays in the first-level cache while the tokens pass by; the sums of
// a chunk of tokens wait in the second-level cache for the next columns.
constexpr int64_t kPanelRows = 16, kPanelColumns = 512, kChunkTokens = 256;
constexpr int64_t kScratchFloats = kPanelRows * kPanelColumns + kPanelRows * kChunkTokens * 16;
// Accumulators of a tile stay within the registers: 16 of 32 (AVX-512), 12 of 16 (AVX2).
constexpr int kTileRows = kParts == 1 ? 4 : 2;
constexpr int kTileTokens = kParts == 1 ? 4 : 3;
constexpr int64_t kFewTokens = kTileTokens - 1;

// Continues the sums of kRows × kTokens outputs over some columns of a panel, padded with zeros to
// a multiple of 16; x is read up to its end only. sums: [kPanelRows][16] a token.
template <int kRows, int kTokens>
HWY_INLINE void tile(const float* weights, const float* x, int64_t x_stride, int64_t columns,
                     bool first, float* sums) {
  Lanes sum[kRows][kTokens];
  for (int r = 0; r < kRows; ++r) {
    for (int t = 0; t < kTokens; ++t) {
      sum[r][t] = first ? zero() : load(sums + (t * kPanelRows + r) * 16);
    }
  }
  const int64_t full = columns / 16 * 16;
  for (int64_t c = 0; c < full; c += 16) {
    Lanes xs[kTokens];
    for (int t = 0; t < kTokens; ++t) xs[t] = load(x + t * x_stride + c);
    for (int r = 0; r < kRows; ++r) {
      const Lanes w = load(weights + r * kPanelColumns + c);
      for (int t = 0; t < kTokens; ++t) sum[r][t] = mul_add(w, xs[t], sum[r][t]);
    }
  }
  if (full < columns) {
    for (int t = 0; t < kTokens; ++t) {
      const Lanes xs = load_rest(x + t * x_stride + full, columns - full);
      for (int r = 0; r < kRows; ++r) {
        sum[r][t] = mul_add(load(weights + r * kPanelColumns + full), xs, sum[r][t]);
      }
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int t = 0; t < kTokens; ++t) store(sum[r][t], sums + (t * kPanelRows + r) * 16);
  }
}

template <int kTokens>
HWY_INLINE void panel_times(const float* panel, Rows<const float> x, int64_t token, int64_t column,
                            int64_t columns, float* sums) {
  for (int r = 0; r < kPanelRows; r += kTileRows) {
    tile<kTileRows, kTokens>(panel + r * kPanelColumns, x.row(token) + column, x.stride(), columns,
                             column == 0, sums + (token * kPanelRows + r) * 16);
  }
}

// A block each of several rows.
template <class Blocks, int kRows>
struct Several {
  explicit HWY_INLINE Several(const std::byte* const (&rows)[kRows])
      : Several(rows, std::make_integer_sequence<int, kRows>()) {}
  template <int... kIndex>
  HWY_INLINE Several(const std::byte* const (&rows)[kRows], std::integer_sequence<int, kIndex...>)
      : block{Blocks(rows[kIndex])...} {}
  Blocks block[kRows];
};

// kRows outputs of one token straight from the stored weights. Meanwhile the kRows rows after them
// are fetched, in the order of memory: the rows in use lie interleaved, which the hardware's own
// prefetch makes little of.
template <class Blocks, int kRows>
HWY_INLINE void direct(const MatmulArgs& args, int64_t row, int64_t token) {
  constexpr int64_t kColumns = Blocks::kColumns, kBytes = row_bytes(Blocks::kType, kColumns);
  const int64_t columns = args.weight.columns(), full = columns / kColumns * kColumns;
  const float* x = args.x.row(token);
  const std::byte* rows[kRows];
  Lanes sum[kRows];
  for (int r = 0; r < kRows; ++r) {
    rows[r] = args.weight.row(row + r);
    sum[r] = zero();
  }
  const std::byte* next = rows[0] + kRows * row_bytes(Blocks::kType, columns);
  for (int64_t c = 0; c < full; c += kColumns) {
    for (int64_t b = 0; b < kRows * kBytes; b += 64) __builtin_prefetch(next + b);
    next += kRows * kBytes;
    const Several<Blocks, kRows> blocks(rows);
    for (int s = 0; s < Blocks::kSteps; ++s) {
      constexpr int kChunks = kColumns / 16 / Blocks::kSteps;
      const float* at = x + c + s * 16 * kChunks;
      unrolled<kRows>([&](auto r) HWY_ATTR {
        blocks.block[r].step(s, [&](int i, const Lanes& w)
                                    HWY_ATTR { sum[r] = mul_add(w, load(at + 16 * i), sum[r]); });
      });
    }
    for (int r = 0; r < kRows; ++r) rows[r] += kBytes;
  }
  if constexpr (!is_quantised(Blocks::kType)) {
    for (int64_t c = full; c < columns; c += 16) {
      const int64_t n = columns - c < 16 ? columns - c : 16;
      const Lanes xs = load_rest(x + c, n);
      for (int r = 0; r < kRows; ++r) {
        const std::byte* from = rows[r] + row_bytes(Blocks::kType, c - full);
        sum[r] = mul_add(load_rest<typename Blocks::From>(from, 0, n), xs, sum[r]);
      }
    }
  }
  float* out = args.out.row(token) + row;
  if constexpr (kRows % 4 == 0) {
    for (int r = 0; r < kRows; r += 4) {
      const Lanes four[4] = {sum[r], sum[r + 1], sum[r + 2], sum[r + 3]};
      reduce4(four, out + r);
    }
  } else {
    for (int r = 0; r < kRows; ++r) out[r] = reduce(sum[r]);
  }
}

// `columns` weights; to: filled up with zeros to a multiple of 16.
template <class Blocks>
HWY_INLINE void unpack_row(const std::byte* from, int64_t columns, float* to) {
  constexpr int64_t kColumns = Blocks::kColumns, kBytes = row_bytes(Blocks::kType, kColumns);
  const int64_t full = columns / kColumns * kColumns;
  for (int64_t c = 0; c < full; c += kColumns, from += kBytes) {
    const Blocks block(from);
    for (int s = 0; s < Blocks::kSteps; ++s) {
      float* at = to + c + s * (kColumns / Blocks::kSteps);
      block.step(s, [&](int i, const Lanes& w) HWY_ATTR { store(w, at + 16 * i); });
    }
  }
  if constexpr (!is_quantised(Blocks::kType)) {
    for (int64_t c = full; c < columns; c += 16) {
      const int64_t n = columns - c < 16 ? columns - c : 16;
      const std::byte* at = from + row_bytes(Blocks::kType, c - full);
      store(load_rest<typename Blocks::From>(at, 0, n), to + c);
    }
  }
}

// All sums of kPanelRows rows (those beyond `rows` repeat the last) and a chunk of tokens.
template <class Blocks>
HWY_INLINE void sum_chunk(const WeightView& weight, int64_t row, int64_t rows, Rows<const float> x,
                          float* scratch) {
  const int64_t columns = weight.columns(), tokens = x.rows();
  float* sums = scratch + kPanelRows * kPanelColumns;
  for (int64_t c = 0; c < columns; c += kPanelColumns) {
    const int64_t n = columns - c < kPanelColumns ? columns - c : kPanelColumns;
    for (int64_t r = 0; r < kPanelRows; ++r) {
      const std::byte* from = weight.row(row + (r < rows ? r : rows - 1));
      unpack_row<Blocks>(from + row_bytes(Blocks::kType, c), n, scratch + r * kPanelColumns);
    }
    int64_t t = 0;
    for (; t + kTileTokens <= tokens; t += kTileTokens) {
      panel_times<kTileTokens>(scratch, x, t, c, n, sums);
    }
    for (; t < tokens; ++t) panel_times<1>(scratch, x, t, c, n, sums);
  }
}

HWY_INLINE void store_chunk(const float* sums, int64_t rows, Rows<float> out, int64_t row) {
  for (int64_t t = 0; t < out.rows(); ++t) {
    float values[kPanelRows];
    for (int64_t r = 0; r < kPanelRows; r += 4) {
      const float* from = sums + (t * kPanelRows + r) * 16;
      const Lanes four[4] = {load(from), load(from + 16), load(from + 32), load(from + 48)};
      reduce4(four, values + r);
    }
    std::memcpy(out.row(t) + row, values, static_cast<size_t>(rows) * sizeof(float));
  }
}

// Outputs [begin, end) of all tokens.
template <class Blocks>
void matmul_range(const MatmulArgs& args, int64_t begin, int64_t end, float* scratch) {
  const int64_t tokens = args.x.rows();
  if (tokens <= kFewTokens) {
    constexpr int kRows = 4;
    int64_t row = begin;
    for (; row + kRows <= end; row += kRows) {
      for (int64_t t = 0; t < tokens; ++t) direct<Blocks, kRows>(args, row, t);
    }
    for (; row < end; ++row) {
      for (int64_t t = 0; t < tokens; ++t) direct<Blocks, 1>(args, row, t);
    }
    return;
  }
  for (int64_t t = 0; t < tokens; t += kChunkTokens) {
    const int64_t chunk = tokens - t < kChunkTokens ? tokens - t : kChunkTokens;
    for (int64_t row = begin; row < end; row += kPanelRows) {
      const int64_t rows = end - row < kPanelRows ? end - row : kPanelRows;
      sum_chunk<Blocks>(args.weight, row, rows, args.x.sub_rows(t, chunk), scratch);
      store_chunk(scratch + kPanelRows * kPanelColumns, rows, args.out.sub_rows(t, chunk), row);
    }
  }
}

const MatmulCode* matmul_code() {
  static constexpr MatmulCode code = {
      .target = HWY_TARGET,
      .range = {&matmul_range<BlocksOfFloats<FromF32, 1>>,
                &matmul_range<BlocksOfFloats<FromF16, 2>>,
                &matmul_range<BlocksOfFloats<FromBf16, 2>>, &matmul_range<BlocksOfQ8>,
                &matmul_range<BlocksOfQ4>, &matmul_range<BlocksOfQ5>, &matmul_range<BlocksOfQ4K>,
                &matmul_range<BlocksOfQ5K>, &matmul_range<BlocksOfQ6K>},
      .panel_rows = kPanelRows,
      .scratch_floats = kScratchFloats};
  return &code;
}

}  // namespace greta::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace greta::kernels {

HWY_EXPORT(matmul_code);
const MatmulCode& chosen_matmul() { return *HWY_DYNAMIC_DISPATCH(matmul_code)(); }

Status matmul(Context& context, const MatmulArgs& args) {
  const int64_t columns = args.weight.columns(), outputs = args.weight.rows();
  if (args.x.columns() != columns || args.out.columns() != outputs ||
      args.out.rows() != args.x.rows() || !whole_blocks(args.weight.type(), columns)) {
    return Status::bad_shape;
  }
  const MatmulCode& code = chosen_matmul();
  const MatmulCode::Range range = code.range[static_cast<int>(args.weight.type())];
  context.count(Op::matmul, args.weight.type());
  // Rows that are worth waking a worker for: about 64 thousand products (2 to 4 µs).
  const int64_t row_products = std::max<int64_t>(1, columns * args.x.rows());
  const int64_t panels = std::max<int64_t>(1, 65536 / (row_products * code.panel_rows));
  context.pool().split(
      outputs, panels * code.panel_rows, [&](int64_t begin, int64_t end, int worker) {
        range(args, begin, end, context.scratch(worker, code.scratch_floats).data());
      });
  return Status::ok;
}

}  // namespace greta::kernels
#endif
