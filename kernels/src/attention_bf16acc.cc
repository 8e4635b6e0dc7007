// Decode attention with every running sum rounded to bf16. Plain loops: this kernel exists to be
// measured against, not to be fast.
#include <algorithm>
#include <cmath>

#include "convert.h"
#include "kernels/kernels.h"
#include "registry.h"

namespace greta::kernels {
namespace {

float rounded(float value) { return bf16_to_f32(f32_to_bf16(value)); }

}  // namespace

// scratch: seq_len scores, head_dim elements of a key or value, head_dim running sums.
void attention_bf16acc_heads(const AttentionDecodeArgs& args, int64_t begin, int64_t end,
                             float* scratch) {
  const int64_t head_dim = args.k.head_dim();
  const int64_t group = static_cast<int64_t>(args.q.size()) / head_dim / args.k.heads();
  float* scores = scratch;
  const std::span<float> element(scratch + args.seq_len, static_cast<size_t>(head_dim));
  float* mixed = element.data() + head_dim;
  for (int64_t h = begin; h < end; ++h) {
    const float* q = args.q.data() + h * head_dim;
    float largest = -INFINITY;
    for (int64_t t = 0; t < args.seq_len; ++t) {
      dequantize(args.k.type(), args.k.slot(h / group, t), element);
      float dot = 0;
      for (int64_t i = 0; i < head_dim; ++i) dot = rounded(dot + q[i] * element[i]);
      scores[t] = dot * args.scale;
      largest = std::max(largest, scores[t]);
    }
    const bool shown = args.shown.wanted();
    if (shown) std::copy(scores, scores + args.seq_len, args.shown.scores.row(h));
    float total = 0;
    std::fill(mixed, mixed + head_dim, 0.0f);
    for (int64_t t = 0; t < args.seq_len; ++t) {
      const float p = std::exp(scores[t] - largest);
      scores[t] = p;
      total = rounded(total + p);
      dequantize(args.v.type(), args.v.slot(h / group, t), element);
      for (int64_t i = 0; i < head_dim; ++i) mixed[i] = rounded(mixed[i] + p * element[i]);
    }
    for (int64_t t = 0; shown && t < args.seq_len; ++t) {
      args.shown.weights.row(h)[t] = scores[t] / total;
    }
    for (int64_t i = 0; i < head_dim; ++i) args.out[h * head_dim + i] = mixed[i] / total;
  }
}

}  // namespace greta::kernels
