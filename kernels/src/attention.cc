// Attention of one query head over a prefix of the cache. Decode and prefill call the same inlined
// routine for each (token, head), so that their results are bitwise equal; they differ in how the
// work is split.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "attention.cc"
#include "hwy/foreach_target.h"
// (First, because it includes this file once more for each instruction set.)
#include <algorithm>
#include <limits>

#include "hwy/contrib/math/math-inl.h"
#include "kernels/kernels.h"
#include "registry.h"
#include "simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace greta::kernels::HWY_NAMESPACE {

HWY_INLINE int64_t round_up_16(int64_t n) { return (n + 15) / 16 * 16; }

template <class From>
HWY_INLINE Lanes load_chunk(const std::byte* row, int64_t c, int64_t columns) {
  return c + 16 <= columns ? From::load(row, c) : load_rest<From>(row, c, columns - c);
}

// scores[t] = scale · q·k_t for t < count ≤ 4 keys from `first` on. q is padded with zeros.
template <class From>
HWY_INLINE void score4(const float* q, const KvRead& k, int64_t kv_head, int64_t first,
                       int64_t count, float scale, float* scores) {
  const int64_t head_dim = k.head_dim();
  const std::byte* keys[4];
  for (int64_t t = 0; t < 4; ++t) keys[t] = k.slot(kv_head, first + (t < count ? t : 0));
  Lanes sum[4] = {zero(), zero(), zero(), zero()};
  for (int64_t c = 0; c < head_dim; c += 16) {
    const Lanes qs = load(q + c);
    for (int t = 0; t < 4; ++t)
      sum[t] = mul_add(qs, load_chunk<From>(keys[t], c, head_dim), sum[t]);
  }
  float dots[4];
  reduce4(sum, dots);
  for (int64_t t = 0; t < count; ++t) scores[t] = dots[t] * scale;
}

// exp(x) for x ≤ 0; NaN stays NaN (Highway's exp makes it 0).
HWY_INLINE Lanes exp_or_nan(const Lanes& x) {
  Lanes out;
  for (int p = 0; p < kParts; ++p) {
    out.part[p] = hn::IfThenElse(hn::IsNaN(x.part[p]), x.part[p], hn::Exp(Tag(), x.part[p]));
  }
  return out;
}

// Where a head's scores and weights are to be shown, if anywhere.
struct ShownHead {
  float* scores = nullptr;
  float* weights = nullptr;
};
HWY_INLINE ShownHead shown_head(const AttentionShown& shown, int64_t row) {
  return shown.wanted() ? ShownHead{shown.scores.row(row), shown.weights.row(row)} : ShownHead{};
}

// scratch: seq_len and head_dim, each rounded up to 16, floats.
template <class From>
HWY_INLINE void attend(const float* q, const KvRead& k, const KvRead& v, int64_t kv_head,
                       int64_t seq_len, float scale, float* out, float* scratch,
                       const ShownHead& shown) {
  const int64_t head_dim = k.head_dim(), padded = round_up_16(seq_len);
  float* scores = scratch;
  float* q_padded = scratch + padded;
  for (int64_t c = 0; c < round_up_16(head_dim); ++c) q_padded[c] = c < head_dim ? q[c] : 0.0f;

  for (int64_t t = 0; t < seq_len; t += 4) {
    score4<From>(q_padded, k, kv_head, t, seq_len - t < 4 ? seq_len - t : 4, scale, scores + t);
  }
  if (shown.scores != nullptr) std::copy(scores, scores + seq_len, shown.scores);
  const float minus_infinity = -std::numeric_limits<float>::infinity();
  for (int64_t t = seq_len; t < padded; ++t) scores[t] = minus_infinity;

  Lanes largest = broadcast(minus_infinity);
  for (int64_t t = 0; t < padded; t += 16) largest = max(largest, load(scores + t));
  float lane[16];
  store(largest, lane);
  float maximum = lane[0];
  for (int i = 1; i < 16; ++i) maximum = lane[i] > maximum ? lane[i] : maximum;

  const Lanes shift = broadcast(maximum);
  Lanes sum = zero();
  for (int64_t t = 0; t < padded; t += 16) {
    const Lanes p = exp_or_nan(sub(load(scores + t), shift));
    store(p, scores + t);
    sum = add(sum, p);
  }
  const float sum_of_lanes = reduce(sum);
  const Lanes total = broadcast(sum_of_lanes);
  if (shown.weights != nullptr) {
    for (int64_t t = 0; t < seq_len; ++t) shown.weights[t] = scores[t] / sum_of_lanes;
  }

  // Four running sums (t mod 4) hide the latency of the addition.
  for (int64_t c = 0; c < head_dim; c += 16) {
    Lanes acc[4] = {zero(), zero(), zero(), zero()};
    int64_t t = 0;
    for (; t + 4 <= seq_len; t += 4) {
      for (int i = 0; i < 4; ++i) {
        const Lanes value = load_chunk<From>(v.slot(kv_head, t + i), c, head_dim);
        acc[i] = mul_add(broadcast(scores[t + i]), value, acc[i]);
      }
    }
    for (int i = 0; t + i < seq_len; ++i) {
      const Lanes value = load_chunk<From>(v.slot(kv_head, t + i), c, head_dim);
      acc[i] = mul_add(broadcast(scores[t + i]), value, acc[i]);
    }
    const Lanes mixed = div(add(add(acc[0], acc[1]), add(acc[2], acc[3])), total);
    if (c + 16 <= head_dim) {
      store(mixed, out + c);
    } else {
      store_rest(mixed, out + c, head_dim - c);
    }
  }
}

template <class From>
void decode_heads(const AttentionDecodeArgs& args, int64_t begin, int64_t end, float* scratch) {
  const int64_t head_dim = args.k.head_dim();
  const int64_t group = static_cast<int64_t>(args.q.size()) / head_dim / args.k.heads();
  for (int64_t h = begin; h < end; ++h) {
    attend<From>(args.q.data() + h * head_dim, args.k, args.v, h / group, args.seq_len, args.scale,
                 args.out.data() + h * head_dim, scratch, shown_head(args.shown, h));
  }
}

inline ShownHead shown_pair(const AttentionPrefillArgs& args, int64_t row, int64_t head,
                            int64_t heads) {
  const auto tokens = args.shown_tokens;
  const auto found = std::lower_bound(tokens.begin(), tokens.end(), row);
  if (found == tokens.end() || *found != row) return {};
  return shown_head(args.shown, (found - tokens.begin()) * heads + head);
}

template <class From>
void prefill_pairs(const AttentionPrefillArgs& args, int64_t begin, int64_t end, float* scratch) {
  const int64_t head_dim = args.k.head_dim(), heads = args.q.columns() / head_dim;
  const int64_t group = heads / args.k.heads();
  for (int64_t pair = begin; pair < end; ++pair) {
    const int64_t row = pair / heads, h = pair % heads;
    attend<From>(args.q.row(row) + h * head_dim, args.k, args.v, h / group, args.pos0 + row + 1,
                 args.scale, args.out.row(row) + h * head_dim, scratch,
                 shown_pair(args, row, h, heads));
  }
}

const AttentionCode* attention_code() {
  static constexpr AttentionCode code = {
      .target = HWY_TARGET,
      .decode = {&decode_heads<FromF32>, &decode_heads<FromF16>, &decode_heads<FromBf16>},
      .prefill = {&prefill_pairs<FromF32>, &prefill_pairs<FromF16>, &prefill_pairs<FromBf16>}};
  return &code;
}

}  // namespace greta::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace greta::kernels {
namespace {

int64_t scratch_floats(int64_t seq_len, int64_t head_dim) { return seq_len + head_dim + 32; }

// Heads that are worth waking a worker for: about 32 thousand products of q·k and p·v.
int64_t grain(int64_t seq_len, int64_t head_dim) {
  return std::max<int64_t>(1, 16384 / (seq_len * head_dim));
}

bool heads_fit(int64_t q_columns, const KvRead& k, const KvRead& v) {
  return k.head_dim() > 0 && k.heads() > 0 && k.head_dim() == v.head_dim() &&
         k.heads() == v.heads() && q_columns > 0 && q_columns % (k.head_dim() * k.heads()) == 0;
}

// Room for the scores and weights of `rows` heads over `keys` keys, or nobody asks.
bool shown_fits(const AttentionShown& shown, int64_t rows, int64_t keys) {
  if (!shown.wanted()) return true;
  return shown.scores.rows() == rows && shown.weights.rows() == rows &&
         shown.scores.columns() >= keys && shown.weights.columns() >= keys;
}

bool decode_fits(const AttentionDecodeArgs& args) {
  return heads_fit(static_cast<int64_t>(args.q.size()), args.k, args.v) &&
         shown_fits(args.shown, static_cast<int64_t>(args.q.size()) / args.k.head_dim(),
                    args.seq_len) &&
         args.out.size() == args.q.size() && args.seq_len > 0 &&
         args.seq_len <= args.k.positions() && args.seq_len <= args.v.positions();
}

}  // namespace

HWY_EXPORT(attention_code);
const AttentionCode& chosen_attention() { return *HWY_DYNAMIC_DISPATCH(attention_code)(); }

Status attention_decode(Context& context, const AttentionDecodeArgs& args) {
  if (!decode_fits(args)) return Status::bad_shape;
  if (args.k.type() != args.v.type()) return Status::bad_dtype;
  const auto decode = chosen_attention().decode[static_cast<int>(args.k.type())];
  context.count(Op::attention_decode, args.k.type());
  const int64_t head_dim = args.k.head_dim();
  const int64_t heads = static_cast<int64_t>(args.q.size()) / head_dim;
  const int64_t piece = grain(args.seq_len, head_dim);
  context.pool().split(heads, piece, [&](int64_t begin, int64_t end, int worker) {
    decode(args, begin, end,
           context.scratch(worker, scratch_floats(args.seq_len, head_dim)).data());
  });
  return Status::ok;
}

Status attention_decode_bf16acc(Context& context, const AttentionDecodeArgs& args) {
  if (!decode_fits(args)) return Status::bad_shape;
  if (args.k.type() != args.v.type()) return Status::bad_dtype;
  context.count(Op::attention_decode_bf16acc, args.k.type());
  const int64_t head_dim = args.k.head_dim();
  const int64_t heads = static_cast<int64_t>(args.q.size()) / head_dim;
  const int64_t floats = args.seq_len + 2 * head_dim;
  context.pool().split(heads, 1, [&](int64_t begin, int64_t end, int worker) {
    kGenericCode.attention_decode_bf16acc(args, begin, end, context.scratch(worker, floats).data());
  });
  return Status::ok;
}

Status attention_prefill(Context& context, const AttentionPrefillArgs& args) {
  const int64_t last = args.pos0 + args.q.rows();
  if (!heads_fit(args.q.columns(), args.k, args.v) || args.pos0 < 0 ||
      args.out.rows() != args.q.rows() || args.out.columns() != args.q.columns() ||
      last > args.k.positions() || last > args.v.positions() ||
      !shown_fits(
          args.shown,
          static_cast<int64_t>(args.shown_tokens.size()) * (args.q.columns() / args.k.head_dim()),
          last)) {
    return Status::bad_shape;
  }
  if (args.k.type() != args.v.type()) return Status::bad_dtype;
  const auto prefill = chosen_attention().prefill[static_cast<int>(args.k.type())];
  context.count(Op::attention_prefill, args.k.type());
  const int64_t head_dim = args.k.head_dim();
  const int64_t pairs = args.q.rows() * (args.q.columns() / head_dim);
  context.pool().split(
      pairs, grain(last / 2 + 1, head_dim), [&](int64_t begin, int64_t end, int worker) {
        prefill(args, begin, end, context.scratch(worker, scratch_floats(last, head_dim)).data());
      });
  return Status::ok;
}

int64_t attention_alignment(int64_t head_dim, DType type) {
  const int64_t bytes = row_bytes(type, head_dim);
  return std::min<int64_t>(16, bytes & -bytes);
}

}  // namespace greta::kernels
#endif
