// RMS norm, SwiGLU and sum: element by element, and one sum of fixed order a row.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "elementwise.cc"
#include "hwy/foreach_target.h"
// (First, because it includes this file once more for each instruction set.)
#include <algorithm>
#include <cmath>

#include "hwy/contrib/math/math-inl.h"
#include "kernels/kernels.h"
#include "registry.h"
#include "simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace greta::kernels::HWY_NAMESPACE {

void rms_norm_rows(const RmsNormArgs& args, int64_t begin, int64_t end) {
  const int64_t columns = args.x.columns(), full = columns / 16 * 16;
  const float* weight = args.weight.data();
  for (int64_t r = begin; r < end; ++r) {
    const float* x = args.x.row(r);
    float* out = args.out.row(r);
    Lanes sum = zero();
    for (int64_t c = 0; c < full; c += 16) {
      const Lanes v = load(x + c);
      sum = mul_add(v, v, sum);
    }
    if (full < columns) {
      const Lanes v = load_rest(x + full, columns - full);
      sum = mul_add(v, v, sum);
    }
    const float mean = reduce(sum) / static_cast<float>(columns);
    const float scale = 1.0f / std::sqrt(mean + args.eps);
    const Lanes scales = broadcast(scale);
    for (int64_t c = 0; c < full; c += 16) {
      store(mul(mul(load(x + c), scales), load(weight + c)), out + c);
    }
    if (full < columns) {
      const int64_t rest = columns - full;
      const Lanes v = mul(mul(load_rest(x + full, rest), scales), load_rest(weight + full, rest));
      store_rest(v, out + full, rest);
    }
  }
}

HWY_INLINE Lanes silu_times(const Lanes& gate, const Lanes& up) {
  const Tag d;
  Lanes out;
  for (int p = 0; p < kParts; ++p) {
    const Vec g = gate.part[p];
    const Vec silu = hn::Div(g, hn::Add(hn::Set(d, 1.0f), hn::Exp(d, hn::Neg(g))));
    // Highway's exp knows neither values beyond 88 (silu is −0 there: g / ∞) nor NaN.
    const Vec low = hn::IfThenElse(hn::Lt(g, hn::Set(d, -88.0f)), hn::Set(d, -0.0f), silu);
    out.part[p] = hn::Mul(hn::IfThenElse(hn::IsNaN(g), g, low), up.part[p]);
  }
  return out;
}

// Columns [begin, end) of one row.
void swiglu_columns(const SwigluArgs& args, int64_t row, int64_t begin, int64_t end) {
  const float* gate = args.gate.row(row);
  const float* up = args.up.row(row);
  float* out = args.out.row(row);
  int64_t c = begin;
  for (; c + 16 <= end; c += 16) store(silu_times(load(gate + c), load(up + c)), out + c);
  if (c < end) {
    const int64_t rest = end - c;
    store_rest(silu_times(load_rest(gate + c, rest), load_rest(up + c, rest)), out + c, rest);
  }
}

void add_rows(const AddArgs& args, int64_t begin, int64_t end) {
  const int64_t columns = args.a.columns();
  for (int64_t r = begin; r < end; ++r) {
    const float* a = args.a.row(r);
    const float* b = args.b.row(r);
    float* sum = args.sum.row(r);
    int64_t c = 0;
    for (; c + 16 <= columns; c += 16) store(add(load(a + c), load(b + c)), sum + c);
    for (; c < columns; ++c) sum[c] = a[c] + b[c];
  }
}

const ElementwiseCode* elementwise_code() {
  static constexpr ElementwiseCode code = {.target = HWY_TARGET,
                                           .rms_norm = &rms_norm_rows,
                                           .swiglu = &swiglu_columns,
                                           .add = &add_rows};
  return &code;
}

}  // namespace greta::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace greta::kernels {
namespace {

template <class A, class B>
bool same_shape(const Rows<A>& a, const Rows<B>& b) {
  return a.rows() == b.rows() && a.columns() == b.columns();
}

// Rows that are worth waking a worker for.
int64_t row_grain(int64_t columns) {
  return std::max<int64_t>(1, 16384 / std::max<int64_t>(1, columns));
}

}  // namespace

HWY_EXPORT(elementwise_code);
const ElementwiseCode& chosen_elementwise() { return *HWY_DYNAMIC_DISPATCH(elementwise_code)(); }

Status rms_norm(Context& context, const RmsNormArgs& args) {
  if (!same_shape(args.x, args.out) ||
      static_cast<int64_t>(args.weight.size()) != args.x.columns()) {
    return Status::bad_shape;
  }
  context.count(Op::rms_norm, DType::f32);
  context.pool().split(
      args.x.rows(), row_grain(args.x.columns()),
      [&](int64_t begin, int64_t end, int) { chosen_elementwise().rms_norm(args, begin, end); });
  return Status::ok;
}

Status swiglu(Context& context, const SwigluArgs& args) {
  if (!same_shape(args.gate, args.up) || !same_shape(args.gate, args.out)) return Status::bad_shape;
  context.count(Op::swiglu, DType::f32);
  const int64_t rows = args.gate.rows(), columns = args.gate.columns();
  // One row is cut by columns, many by rows; cuts at multiples of 16 keep every lane where it was.
  if (rows == 1) {
    context.pool().split(columns, 8192, [&](int64_t begin, int64_t end, int) {
      chosen_elementwise().swiglu(args, 0, begin, end);
    });
  } else {
    context.pool().split(rows, row_grain(columns), [&](int64_t begin, int64_t end, int) {
      for (int64_t r = begin; r < end; ++r) chosen_elementwise().swiglu(args, r, 0, columns);
    });
  }
  return Status::ok;
}

Status add(Context& context, const AddArgs& args) {
  if (!same_shape(args.a, args.b) || !same_shape(args.a, args.sum)) return Status::bad_shape;
  context.count(Op::add, DType::f32);
  context.pool().split(
      args.a.rows(), row_grain(args.a.columns()),
      [&](int64_t begin, int64_t end, int) { chosen_elementwise().add(args, begin, end); });
  return Status::ok;
}

}  // namespace greta::kernels
#endif
