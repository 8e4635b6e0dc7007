// RoPE and the cache update, as separate ops and fused. The rotation is the same inlined arithmetic
// in both, two products and one sum an element, each rounded: fused and separate give the same
// bits.
#include <cstring>

#include "kernels/kernels.h"
#include "registry.h"

namespace greta::kernels {
namespace {

struct Pair {
  float first, second;
};
inline Pair rotate(float first, float second, float cosine, float sine) {
  return {first * cosine - second * sine, first * sine + second * cosine};
}

// One head in place. rotation: cos_0, sin_0, cos_1, sin_1, …
inline void rotate_head(float* head, const float* rotation, int64_t head_dim, RopePairing pairing) {
  const bool interleaved = pairing == RopePairing::interleaved;
  for (int64_t i = 0; i < head_dim / 2; ++i) {
    float& first = head[interleaved ? 2 * i : i];
    float& second = head[interleaved ? 2 * i + 1 : i + head_dim / 2];
    const Pair turned = rotate(first, second, rotation[2 * i], rotation[2 * i + 1]);
    first = turned.first;
    second = turned.second;
  }
}

bool same_shape(const KvWrite& a, const KvWrite& b) {
  return a.heads() == b.heads() && a.positions() == b.positions() && a.head_dim() == b.head_dim();
}

}  // namespace

void rope_rows(const RopeArgs& args, int64_t begin, int64_t end) {
  const int64_t head_dim = args.rotation.columns();
  for (int64_t t = begin; t < end; ++t) {
    float* row = args.x.row(t);
    for (int64_t h = 0; h < args.x.columns(); h += head_dim) {
      rotate_head(row + h, args.rotation.row(t), head_dim, args.pairing);
    }
  }
}

void kv_update_heads(const KvUpdateArgs& args, int64_t begin, int64_t end) {
  const int64_t head_dim = args.k_cache.head_dim();
  const auto n = static_cast<size_t>(head_dim);
  for (int64_t head = begin; head < end; ++head) {
    for (int64_t t = 0; t < args.k.rows(); ++t) {
      const int64_t position = args.pos0 + t;
      round_to(args.k_cache.type(), {args.k.row(t) + head * head_dim, n},
               args.k_cache.slot(head, position));
      round_to(args.v_cache.type(), {args.v.row(t) + head * head_dim, n},
               args.v_cache.slot(head, position));
    }
  }
}

void fused_rope_kv_update_heads(const FusedRopeKvUpdateDecodeArgs& args, int64_t begin,
                                int64_t end) {
  const int64_t head_dim = args.k_cache.head_dim(), kv_heads = args.k_cache.heads();
  const int64_t group = static_cast<int64_t>(args.q.size()) / head_dim / kv_heads;
  const auto n = static_cast<size_t>(head_dim);
  for (int64_t head = begin; head < end; ++head) {
    float* k = args.k.data() + head * head_dim;
    rotate_head(k, args.k_rotation.data(), head_dim, args.pairing);
    round_to(args.k_cache.type(), {k, n}, args.k_cache.slot(head, args.position));
    round_to(args.v_cache.type(), args.v.subspan(static_cast<size_t>(head) * n, n),
             args.v_cache.slot(head, args.position));
    for (int64_t h = head * group; h < (head + 1) * group; ++h) {
      rotate_head(args.q.data() + h * head_dim, args.q_rotation.data(), head_dim, args.pairing);
    }
  }
}

Status rope(Context& context, const RopeArgs& args) {
  const int64_t head_dim = args.rotation.columns();
  if (head_dim <= 0 || head_dim % 2 != 0 || args.x.columns() % head_dim != 0 ||
      args.rotation.rows() != args.x.rows()) {
    return Status::bad_shape;
  }
  context.count(Op::rope, DType::f32);
  context.pool().split(args.x.rows(), 4, [&](int64_t begin, int64_t end, int) {
    kGenericCode.rope(args, begin, end);
  });
  return Status::ok;
}

Status kv_update(Context& context, const KvUpdateArgs& args) {
  const KvWrite& cache = args.k_cache;
  if (!same_shape(cache, args.v_cache) || args.k.columns() != cache.heads() * cache.head_dim() ||
      args.v.columns() != args.k.columns() || args.v.rows() != args.k.rows() || args.pos0 < 0 ||
      args.pos0 + args.k.rows() > cache.positions()) {
    return Status::bad_shape;
  }
  if (cache.type() != args.v_cache.type()) return Status::bad_dtype;
  context.count(Op::kv_update, cache.type());
  const auto update = [&](int64_t begin, int64_t end, int) {
    kGenericCode.kv_update(args, begin, end);
  };
  // One token is too little work to wake another worker for.
  if (args.k.rows() == 1) {
    update(0, cache.heads(), 0);
  } else {
    context.pool().split(cache.heads(), 1, update);
  }
  return Status::ok;
}

Status fused_rope_kv_update_decode(Context& context, const FusedRopeKvUpdateDecodeArgs& args) {
  const KvWrite& cache = args.k_cache;
  const int64_t head_dim = cache.head_dim();
  if (!same_shape(cache, args.v_cache) || head_dim <= 0 || head_dim % 2 != 0 ||
      static_cast<int64_t>(args.k.size()) != cache.heads() * head_dim ||
      args.v.size() != args.k.size() || args.k.empty() || args.q.size() % args.k.size() != 0 ||
      static_cast<int64_t>(args.q_rotation.size()) != head_dim ||
      static_cast<int64_t>(args.k_rotation.size()) != head_dim || args.position < 0 ||
      args.position >= cache.positions()) {
    return Status::bad_shape;
  }
  if (cache.type() != args.v_cache.type()) return Status::bad_dtype;
  context.count(Op::fused_rope_kv_update_decode, cache.type());
  // Four KV heads a worker: less is not worth a wake-up.
  context.pool().split(cache.heads(), 4, [&](int64_t begin, int64_t end, int) {
    kGenericCode.fused_rope_kv_update_decode(args, begin, end);
  });
  return Status::ok;
}

}  // namespace greta::kernels
