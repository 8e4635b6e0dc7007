// One routine for decode (few tokens: weights are converted in registers) and prefill (many: a
// panel of weight rows is converted once and used for all tokens). Both add the same products in
// the same lanes in the same order.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "matmul.cc"
#include "hwy/foreach_target.h"
// (First, because it includes this file once more for each instruction set.)
#include <algorithm>

#include "kernels/kernels.h"
#include "registry.h"
#include "simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace greta::kernels::HWY_NAMESPACE {

constexpr int64_t kPanelRows = 16;
// Accumulators of a tile stay within the registers: 16 of 32 (AVX-512), 12 of 16 (AVX2).
constexpr int kTileRows = kParts == 1 ? 4 : 2;
constexpr int kTileTokens = kParts == 1 ? 4 : 3;
constexpr int64_t kFewTokens = kTileTokens - 1;

// Rows × tokens sums over floats. `rest`: columns beyond the last full 16; weights there are padded
// with zeros, x is read up to its end only.
template <int kRows, int kTokens>
HWY_INLINE void tile(const float* weights, int64_t weight_stride, const float* x, int64_t x_stride,
                     int64_t columns, float* out, int64_t out_stride) {
  Lanes sum[kRows][kTokens];
  for (int r = 0; r < kRows; ++r) {
    for (int t = 0; t < kTokens; ++t) sum[r][t] = zero();
  }
  const int64_t full = columns / 16 * 16;
  for (int64_t c = 0; c < full; c += 16) {
    Lanes xs[kTokens];
    for (int t = 0; t < kTokens; ++t) xs[t] = load(x + t * x_stride + c);
    for (int r = 0; r < kRows; ++r) {
      const Lanes w = load(weights + r * weight_stride + c);
      for (int t = 0; t < kTokens; ++t) sum[r][t] = mul_add(w, xs[t], sum[r][t]);
    }
  }
  if (full < columns) {
    for (int t = 0; t < kTokens; ++t) {
      const Lanes xs = load_rest(x + t * x_stride + full, columns - full);
      for (int r = 0; r < kRows; ++r) {
        sum[r][t] = mul_add(load(weights + r * weight_stride + full), xs, sum[r][t]);
      }
    }
  }
  for (int t = 0; t < kTokens; ++t) {
    if constexpr (kRows == 4) {
      const Lanes four[4] = {sum[0][t], sum[1][t], sum[2][t], sum[3][t]};
      reduce4(four, out + t * out_stride);
    } else {
      for (int r = 0; r < kRows; ++r) out[t * out_stride + r] = reduce(sum[r][t]);
    }
  }
}

template <int kRows>
HWY_INLINE void tile_all_tokens(const float* weights, int64_t weight_stride, const MatmulArgs& args,
                                int64_t row) {
  const int64_t tokens = args.x.rows(), columns = args.weight.columns();
  int64_t t = 0;
  for (; t + kTileTokens <= tokens; t += kTileTokens) {
    tile<kRows, kTileTokens>(weights, weight_stride, args.x.row(t), args.x.stride(), columns,
                             args.out.row(t) + row, args.out.stride());
  }
  for (; t < tokens; ++t) {
    tile<kRows, 1>(weights, weight_stride, args.x.row(t), args.x.stride(), columns,
                   args.out.row(t) + row, args.out.stride());
  }
}

// kRows outputs of one token straight from the stored weights.
template <class From, int kRows>
HWY_INLINE void direct(const MatmulArgs& args, int64_t row, int64_t token) {
  const int64_t columns = args.weight.columns(), full = columns / 16 * 16;
  const float* x = args.x.row(token);
  const std::byte* rows[kRows];
  Lanes sum[kRows];
  for (int r = 0; r < kRows; ++r) {
    rows[r] = args.weight.row(row + r);
    sum[r] = zero();
  }
  for (int64_t c = 0; c < full; c += 16) {
    const Lanes xs = load(x + c);
    for (int r = 0; r < kRows; ++r) sum[r] = mul_add(From::load(rows[r], c), xs, sum[r]);
  }
  if constexpr (!is_quantised(From::kType)) {
    if (full < columns) {
      const Lanes xs = load_rest(x + full, columns - full);
      for (int r = 0; r < kRows; ++r) {
        sum[r] = mul_add(load_rest<From>(rows[r], full, columns - full), xs, sum[r]);
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

// Outputs [begin, end) of all tokens. panel: kPanelRows · (columns rounded up to 16) floats.
template <class From>
void matmul_range(const MatmulArgs& args, int64_t begin, int64_t end, float* panel) {
  const int64_t tokens = args.x.rows(), columns = args.weight.columns();
  if (tokens <= kFewTokens) {
    constexpr int kRows = kParts == 1 ? 8 : 4;
    int64_t row = begin;
    for (; row + kRows <= end; row += kRows) {
      for (int64_t t = 0; t < tokens; ++t) direct<From, kRows>(args, row, t);
    }
    for (; row < end; ++row) {
      for (int64_t t = 0; t < tokens; ++t) direct<From, 1>(args, row, t);
    }
    return;
  }
  const int64_t stride = (columns + 15) / 16 * 16;
  for (int64_t first = begin; first < end; first += kPanelRows) {
    const int64_t rows = end - first < kPanelRows ? end - first : kPanelRows;
    for (int64_t r = 0; r < rows; ++r) {
      const std::byte* from = args.weight.row(first + r);
      float* to = panel + r * stride;
      int64_t c = 0;
      for (; c + 16 <= columns; c += 16) store(From::load(from, c), to + c);
      if constexpr (!is_quantised(From::kType)) {
        if (c < columns) store(load_rest<From>(from, c, columns - c), to + c);
      }
    }
    int64_t r = 0;
    for (; r + kTileRows <= rows; r += kTileRows) {
      tile_all_tokens<kTileRows>(panel + r * stride, stride, args, first + r);
    }
    for (; r < rows; ++r) tile_all_tokens<1>(panel + r * stride, stride, args, first + r);
  }
}

const MatmulCode* matmul_code() {
  static constexpr MatmulCode code = {
      .target = HWY_TARGET,
      .range = {&matmul_range<FromF32>, &matmul_range<FromF16>, &matmul_range<FromBf16>,
                &matmul_range<FromQ8>, &matmul_range<FromQ4>, &matmul_range<FromQ5>,
                &matmul_range<FromQ4K>, &matmul_range<FromQ5K>, &matmul_range<FromQ6K>},
      .panel_rows = kPanelRows};
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
  const int64_t panel_floats = code.panel_rows * ((columns + 15) / 16 * 16);
  context.count(Op::matmul, args.weight.type());
  // Rows that are worth waking a worker for: about 64 thousand products (2 to 4 µs).
  const int64_t row_products = std::max<int64_t>(1, columns * args.x.rows());
  const int64_t panels = std::max<int64_t>(1, 65536 / (row_products * code.panel_rows));
  context.pool().split(outputs, panels * code.panel_rows,
                       [&](int64_t begin, int64_t end, int worker) {
                         range(args, begin, end, context.scratch(worker, panel_floats).data());
                       });
  return Status::ok;
}

}  // namespace greta::kernels
#endif
