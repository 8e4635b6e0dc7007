#pragma once
// The attention oracle: fp64 attention of one query over its own history of keys and values, and
// how far a correct computation in fp32 may be from it.
//
// The history holds k and v as the projections gave them, before RoPE, by explicit (layer,
// position, KV head); it never looks at the engine's cache. A cache of type F16 or BF16 stores
// rounded numbers: that is part of what is asked, so the oracle rounds its own rotated k and its v
// to that type.
//
// THE BOUND. u = 2^-24. What is assumed of the judged computation: data in fp32; cos and sin within
// 1 ulp of their true value (the angle not rounded to fp32); exp within 4u relative; sums in any
// order; softmax in two passes, online in key order, or over splits that are merged in a tree.
//
// A sum in which no term meets more than n roundings is off by at most g(n)·Σ|terms|, where
//   g(n) = min(γ_n, λ·√n·u),   γ_n = n·u / (1 − n·u).
// γ_n always holds (Higham, Accuracy and Stability, lemma 3.1). The second one holds for roundings
// that are independent with mean zero, except with probability 2·exp(−λ²/2) (Higham and Mary, 2019,
// theorem 2.4, from Hoeffding's inequality); λ = 8 makes that 3e-14. It is the smaller one from n =
// 64 on.
//
//   RoPE     a rotated element is off by at most e = 4u·(|x0 cos| + |x1 sin|): cos and sin 2u,
//   product u,
//            sum u. Stored k lies between round(k − e) and round(k + e) in the cache's type; E is
//            the wider of the two distances from round(k). v is stored exactly as the oracle rounds
//            it.
//   score    s_j = scale·Σ q_i k_ij is off by what is common to the keys, from q's rotation,
//            a_j = scale·Σ e_i (|k_ij| + E_ij),
//            and by roundings of its own: b_j = scale·(g(d + 5)·Σ |q_i k_ij| + Σ |q_i| E_ij)·(1 +
//            g(d + 5)). 5: the scale's rounding, its product, q premultiplied, base-2 exponent and
//            its constant. In F16 and BF16, E is rare and large (a rounding that tipped over): it
//            goes to a_j.
//   weight   exp(s_j − m): an error of m is common to all keys and cancels. The subtractions, over
//   all
//            rescalings together, are off by u·(m − s_j), added to b_j. An exponential and its
//            product are off by 5u, added to a_j once for the weight and once a rescaling that
//            comes after: the running maximum rises only where a score sets a record, a tree adds
//            ⌈log2 n⌉ levels.
//   output   with true weights w and o = Σ w_j v_j, relative errors δ_j of the weights move o by
//            Σ w_j δ_j (v_j − o) / (1 + Σ w_j δ_j), where |δ_j| ≤ exp(a_j + b_j) − 1 =: η_j. The
//            shares of b_j are independent from key to key: Σ w_j b_j |v_j − o| may be replaced by
//            λ·√(Σ (w_j b_j |v_j − o|)²) where that is smaller. The sums over keys and the
//            normalisation add g = g(n + rescalings + 3) in numerator and denominator. In all:
//            [that + g·(Σ w_j (1 + η_j) |v_j| + |o|)] / (1 − Σ w_j η_j − g), element by element.
//   shown    a score is off by at most a_j + b_j as they are before the exponential; a weight w_j
//   by
//            w_j (η_j + Σ w_i η_i + g) / (1 − Σ w_i η_i − g): its numerator and the sum below it.
//   tiny     below 2^-126 a rounded product is off by at most ω = 2^-149, whatever its size (a sum
//   is
//            exact there): 2ω go to e, ω (d + 2 + Σ |k_ij|) to b_j (products, scale, q
//            premultiplied), ω (n + rescalings + 3) to the output, whose sum of weights is 1 or
//            more. So no bound of a sum is 0.
// Where the denominator is below 1/2 no useful bound exists: it is NaN then, which no gate accepts.

#include <cstdint>
#include <span>
#include <vector>

#include "contract/result.h"
#include "forward/backend.h"
#include "forward/kv_cache.h"
#include "model/model_config.h"
#include "reference/rope.h"

namespace greta::reference {

struct AttentionShape {
  int64_t layers = 0, heads = 0, kv_heads = 0, head_dim = 0;
  double rope_base = 10000.0;
  std::vector<float> rope_factors = {};  // (head_dim / 2), or empty
  engine::KvType kv_type = engine::KvType::f32;
};

AttentionShape shape_of(const engine::ModelConfig& config, const engine::BackendOptions& options);

// One KV head's keys and values for positions [0, positions), as a correct cache would hold them.
struct StoredHead {
  int64_t positions = 0, head_dim = 0;
  std::vector<double> k, k_error, v;  // (positions, head_dim)
  bool smooth_k_errors = true;        // k_error is RoPE's (F32), not that of a rounding tipped over
};

class History {
 public:
  explicit History(const AttentionShape& shape);
  void clear();
  // rows × (kv_heads · head_dim) fp32, at positions [pos0, pos0 + rows). Positions from pos0 on
  // that were known are replaced. An error if positions before pos0 are missing.
  Result<> remember_k(int64_t layer, int64_t pos0, int64_t rows, const float* k_pre);
  Result<> remember_v(int64_t layer, int64_t pos0, int64_t rows, const float* v_pre);
  // Positions of which both k and v are known.
  int64_t positions(int64_t layer) const;
  // The slots [first, first + count) of one KV head.
  StoredHead stored(int64_t layer, int64_t kv_head, int64_t first, int64_t count) const;
  const AttentionShape& shape() const { return shape_; }
  const Rope& rope() const { return rope_; }

 private:
  Result<> remember(std::vector<std::vector<float>>& rows_of_layer, const char* what, int64_t layer,
                    int64_t pos0, int64_t rows, const float* data);
  AttentionShape shape_;
  Rope rope_;
  std::vector<std::vector<float>> k_pre_, v_pre_;  // [layer] (positions, kv_heads, head_dim)
};

struct HeadAnswer {
  std::vector<double> out;  // head_dim
  std::vector<double>
      bound;  // |fp32 − out| that a correct computation cannot exceed, element by element
  std::vector<double> score = {}, score_bound = {};    // by key: scale · q·k
  std::vector<double> weight = {}, weight_bound = {};  // by key: the softmax of the scores
};

// Attention of one query head (head_dim fp32 before RoPE) at `position` over keys [0,
// keys.positions).
HeadAnswer attend(std::span<const float> q_pre, int64_t position, const StoredHead& keys,
                  const Rope& rope);

// The attention output of given weights: Σ w_j v_j, for `keys.positions` weights, some of which may
// be NaN (a key that the kernel did not weigh). The bound is that of the sum alone: the kernel
// divides its own numerators by its own sum, so that each term meets n + 3 roundings.
HeadAnswer mix(std::span<const float> weights, const StoredHead& keys);

// The same in sums that are rounded to `accumulator` after each addition.
std::vector<double> attend_reduced(std::span<const float> q_pre, int64_t position,
                                   const StoredHead& keys, const Rope& rope,
                                   engine::KvType accumulator);

// g(n) above: error of a sum in which a term meets at most `roundings` roundings.
double sum_error(int64_t roundings);

// One head of the engine against the oracle.
struct HeadComparison {
  double rel_l2 = 0, bound = 0, ref_rms = 0, mae = 0, max_diff = 0;
  int64_t over_bound = 0;  // elements further from the oracle than their own bound
  int64_t worst_dim = 0;   // of the largest difference; the first NaN if there is one
  double worst_got = 0, worst_ref = 0;
};
HeadComparison compare(std::span<const float> got, std::span<const double> ref,
                       std::span<const double> bound);
HeadComparison compare(std::span<const float> got, const HeadAnswer& ref);

}  // namespace greta::reference
