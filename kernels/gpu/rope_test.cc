#include <gtest/gtest.h>

#include <cmath>

#include "gpu/testing/device.h"
#include "testing/numbers.h"

namespace greta::kernels::gpu {
namespace {

using greta::kernels::testing::gamma;
using greta::kernels::testing::random_floats;
using greta::kernels::testing::same_bits;
using testing::Buffer;
using testing::device;

// Rotation rows of `positions` positions; `turn` makes tables differ.
std::vector<float> rotation(int64_t positions, int64_t head_dim, double turn) {
  std::vector<float> out;
  for (int64_t p = 0; p < positions; ++p) {
    for (int64_t i = 0; i < head_dim / 2; ++i) {
      const double angle =
          static_cast<double>(p) * turn / (1.0 + static_cast<double>(i)) + 0.1 * turn;
      out.push_back(static_cast<float>(std::cos(angle)));
      out.push_back(static_cast<float>(std::sin(angle)));
    }
  }
  return out;
}

struct Rows {
  int64_t tokens, heads, head_dim, pos0;
  bool half_split;
};

// Two products and a sum, each rounded once.
void check_rotated(const Rows& r, const std::vector<float>& before, const std::vector<float>& table,
                   const std::vector<float>& after) {
  const auto at = [](const std::vector<float>& from, int64_t i) {
    return static_cast<double>(from[static_cast<size_t>(i)]);
  };
  for (int64_t t = 0; t < r.tokens; ++t) {
    for (int64_t h = 0; h < r.heads; ++h) {
      for (int64_t i = 0; i < r.head_dim / 2; ++i) {
        const int64_t head = (t * r.heads + h) * r.head_dim;
        const int64_t first = head + (r.half_split ? i : 2 * i);
        const int64_t second = head + (r.half_split ? i + r.head_dim / 2 : 2 * i + 1);
        const double c = at(table, (r.pos0 + t) * r.head_dim + 2 * i);
        const double s = at(table, (r.pos0 + t) * r.head_dim + 2 * i + 1);
        const double x = at(before, first), y = at(before, second);
        ASSERT_LE(std::abs(at(after, first) - (x * c - y * s)),
                  gamma(2) * (std::abs(x * c) + std::abs(y * s)))
            << "token " << t << " head " << h << " pair " << i;
        ASSERT_LE(std::abs(at(after, second) - (x * s + y * c)),
                  gamma(2) * (std::abs(x * s) + std::abs(y * c)))
            << "token " << t << " head " << h << " pair " << i;
      }
    }
  }
}

constexpr int64_t kCapacity = 11;

TEST(GpuRope, RotatesBothPairingsAtTheirPositions) {
  for (const bool half_split : {false, true}) {
    for (const int64_t head_dim : {2, 10, 64, 128, 258}) {
      for (const auto& [tokens, heads, pos0] :
           {std::tuple{1, 1, 0}, std::tuple{1, 3, 7}, std::tuple{3, 2, 5}}) {
        const Rows rows = {tokens, heads, head_dim, pos0, half_split};
        const auto x = random_floats(tokens * heads * head_dim, 1);
        const auto table = rotation(kCapacity, head_dim, 1.0);
        const Buffer<float> in(x), by(table);
        const Buffer<int32_t> at(std::vector<int32_t>{pos0});
        ASSERT_EQ(device()
                      .run(RopeOp{in.span(), by.read(), at.read(), heads, head_dim, half_split})
                      .error,
                  "");
        ASSERT_NO_FATAL_FAILURE(check_rotated(rows, x, table, in.download()));
      }
    }
  }
}

TEST(GpuRope, RefusesOtherShapes) {
  const Buffer<float> x(random_floats(32, 1)), by(rotation(4, 8, 1));
  const Buffer<int32_t> at(std::vector<int32_t>{0, 1});
  const auto error = [&](int64_t size, int64_t heads, int64_t head_dim, int64_t positions) {
    return device()
        .run(RopeOp{x.span().sub(0, size), by.read(), at.read().sub(0, positions), heads, head_dim,
                    false})
        .error;
  };
  EXPECT_EQ(error(32, 2, 8, 1), "");
  EXPECT_EQ(error(31, 2, 8, 1), "rope: shapes");
  EXPECT_EQ(error(28, 2, 7, 1), "rope: shapes");
  EXPECT_EQ(error(32, 0, 8, 1), "rope: shapes");
  EXPECT_EQ(error(32, 2, 8, 2), "rope: shapes");
}

// A cache of K and V on the device and what it must hold, all of it.
struct Cache {
  DType type;
  int64_t heads, head_dim;
  std::vector<std::byte> k_want, v_want;
  Buffer<std::byte> k, v;

  static std::vector<std::byte> old(int64_t bytes, uint32_t seed) {
    std::mt19937 random(seed);
    std::vector<std::byte> out(static_cast<size_t>(bytes));
    for (std::byte& byte : out) byte = static_cast<std::byte>(random() >> 24);
    return out;
  }
  int64_t element() const { return type == DType::f32 ? 4 : 2; }
  Cache(DType dtype, int64_t kv_heads, int64_t dim)
      : type(dtype),
        heads(kv_heads),
        head_dim(dim),
        k_want(old(kv_heads * kCapacity * dim * element(), 21)),
        v_want(old(kv_heads * kCapacity * dim * element(), 22)),
        k(k_want),
        v(v_want) {}
  KvLayer layer() const { return {type, k.byte_span(), v.byte_span(), heads, kCapacity, head_dim}; }
  // What a correct update leaves: rows (tokens, heads, head_dim) from position pos0 on.
  void expect_rows(std::vector<std::byte>& want, const std::vector<float>& rows,
                   int64_t pos0) const {
    const int64_t tokens = static_cast<int64_t>(rows.size()) / (heads * head_dim);
    for (int64_t t = 0; t < tokens; ++t) {
      for (int64_t h = 0; h < heads; ++h) {
        round_to(type, std::span(rows).subspan((t * heads + h) * head_dim, head_dim),
                 want.data() + (h * kCapacity + pos0 + t) * head_dim * element());
      }
    }
  }
};

// Ties of both 16-bit types, the largest F16, what is beyond, subnormals, both zeros.
std::vector<float> hard_to_round(int64_t count, uint32_t seed) {
  auto out = random_floats(count, seed, 2.0f);
  const float hard[] = {1 + 0x1p-11f, 1 + 0x3p-11f, 1 + 0x1p-8f, 1 + 0x3p-8f, 65504,    65519,
                        65520,        -1e6f,        0x1p-24f,    0x1p-25f,    0x3p-25f, -0x1p-15f,
                        0x1.8p-130f,  -0.0f,        3.4e38f,     INFINITY};
  for (size_t i = 0; i < std::size(hard) && i < out.size(); ++i)
    out[(i * 7) % out.size()] = hard[i];
  return out;
}

TEST(GpuKvUpdate, RoundsExactlyIntoTheRightSlotsAndNoOther) {
  for (const DType type : testing::kEveryKv) {
    for (const int64_t head_dim : {8, 64, 128}) {
      for (const auto& [tokens, heads, pos0] :
           {std::tuple{1, 1, 0}, std::tuple{1, 3, 10}, std::tuple{3, 2, 4}, std::tuple{11, 2, 0}}) {
        Cache cache(type, heads, head_dim);
        const auto k = hard_to_round(tokens * heads * head_dim, 23);
        const auto v = hard_to_round(tokens * heads * head_dim, 24);
        const Buffer<float> ks(k), vs(v);
        const Buffer<int32_t> at(std::vector<int32_t>{pos0});
        ASSERT_EQ(device().run(KvUpdateOp{ks.read(), vs.read(), cache.layer(), at.read()}).error,
                  "");
        cache.expect_rows(cache.k_want, k, pos0);
        cache.expect_rows(cache.v_want, v, pos0);
        ASSERT_TRUE(cache.k.download() == cache.k_want) << to_string(type) << " " << head_dim;
        ASSERT_TRUE(cache.v.download() == cache.v_want) << to_string(type) << " " << head_dim;
      }
    }
  }
}

// The parts of a fused update, on the device.
struct Fused {
  Rows rows;
  int64_t kv_heads;
  std::vector<float> q, k, v, q_table, k_table;
  Cache cache;
  Buffer<float> qs, ks, vs, q_by, k_by;
  Buffer<int32_t> at;

  Fused(DType type, const Rows& r, int64_t kv)
      : rows(r),
        kv_heads(kv),
        q(random_floats(r.tokens * r.heads * r.head_dim, 31)),
        k(random_floats(r.tokens * kv * r.head_dim, 32)),
        v(hard_to_round(r.tokens * kv * r.head_dim, 33)),
        q_table(rotation(kCapacity, r.head_dim, 1.0)),
        k_table(rotation(kCapacity, r.head_dim, 0.7)),
        cache(type, kv, r.head_dim),
        qs(q),
        ks(k),
        vs(v),
        q_by(q_table),
        k_by(k_table),
        at(std::vector<int32_t>{static_cast<int32_t>(r.pos0)}) {}
  FusedRopeKvUpdateOp op() const {
    return {.q = qs.span(),
            .k = ks.span(),
            .v = vs.read(),
            .q_rotation = q_by.read(),
            .k_rotation = k_by.read(),
            .cache = cache.layer(),
            .pos0 = at.read(),
            .heads = rows.heads,
            .half_split = rows.half_split};
  }
};

TEST(GpuFusedRopeKvUpdate, RotatesAndStoresWhatTheSingleOpsDo) {
  for (const DType type : testing::kEveryKv) {
    for (const bool half_split : {false, true}) {
      for (const int64_t head_dim : {8, 64, 128}) {
        for (const auto& [tokens, heads, kv_heads, pos0] :
             {std::tuple{1, 1, 1, 0}, std::tuple{1, 4, 2, 10}, std::tuple{3, 6, 2, 5},
              std::tuple{2, 5, 1, 3}}) {
          SCOPED_TRACE(std::string(to_string(type)) + " " + std::to_string(head_dim));
          const Rows rows = {tokens, heads, head_dim, pos0, half_split};
          Fused f(type, rows, kv_heads);
          ASSERT_EQ(device().run(f.op()).error, "");
          const auto q = f.qs.download(), k = f.ks.download();
          ASSERT_NO_FATAL_FAILURE(check_rotated(rows, f.q, f.q_table, q));
          Rows of_k = rows;
          of_k.heads = kv_heads;
          ASSERT_NO_FATAL_FAILURE(check_rotated(of_k, f.k, f.k_table, k));
          f.cache.expect_rows(f.cache.k_want, k, pos0);
          f.cache.expect_rows(f.cache.v_want, f.v, pos0);
          ASSERT_TRUE(f.cache.k.download() == f.cache.k_want);
          ASSERT_TRUE(f.cache.v.download() == f.cache.v_want);

          const Buffer<float> alone_q(f.q), alone_k(f.k);
          const RopeOp of_q = {alone_q.span(), f.q_by.read(), f.at.read(),
                               heads,          head_dim,      half_split};
          const RopeOp of_keys = {alone_k.span(), f.k_by.read(), f.at.read(),
                                  kv_heads,       head_dim,      half_split};
          ASSERT_EQ(device().run(of_q).error, "");
          ASSERT_EQ(device().run(of_keys).error, "");
          EXPECT_TRUE(same_bits(alone_q.download(), q));
          EXPECT_TRUE(same_bits(alone_k.download(), k));
        }
      }
    }
  }
}

// The update launched over query heads runs past K, which a real GPU may not notice.
TEST(GpuFaultQueryHeadsInGrid, IsOutOfBounds) {
  if (!testing::on_emulator()) GTEST_SKIP() << "it writes where it must not";
  const Rows rows = {1, 4, 8, 2, false};
  const Fused clean(DType::f32, rows, 2);
  EXPECT_EQ(device().run(clean.op()).error, "");
  const Fused faulty(DType::f32, rows, 2);
  FusedRopeKvUpdateOp op = faulty.op();
  op.fault = KernelFault::query_heads_in_grid;
  const std::string error = device().run(op).error;
  EXPECT_NE(error.find("fused_rope_kv_update"), std::string::npos) << error;
  EXPECT_NE(error.find("out of bounds"), std::string::npos) << error;
}

// A position beyond the capacity is a write past the last head's slots.
TEST(GpuFaultPositionPastTheCache, IsOutOfBounds) {
  if (!testing::on_emulator()) GTEST_SKIP() << "it writes where it must not";
  const Fused f(DType::f16, {1, 2, 8, kCapacity, false}, 1);
  const std::string error = device().run(f.op()).error;
  EXPECT_NE(error.find("out of bounds"), std::string::npos) << error;
}

TEST(GpuKvRefusals, NameTheOp) {
  const Buffer<std::byte> memory(int64_t{4096});
  const Buffer<float> q(int64_t{32}), k(int64_t{16}), by(int64_t{64});
  const Buffer<int32_t> at(std::vector<int32_t>{0, 0});
  const std::string prefix[] = {"kv_update: ", "fused_rope_kv_update: "};
  const auto errors = [&](const KvLayer& cache, int64_t heads, int64_t k_size, int64_t positions) {
    const Span<const float> rows = k.read().sub(0, k_size);
    const Span<const int32_t> pos0 = at.read().sub(0, positions);
    FusedRopeKvUpdateOp fused = {.q = q.span(), .k = k.span().sub(0, k_size), .v = rows};
    fused.q_rotation = fused.k_rotation = by.read();
    fused.cache = cache, fused.pos0 = pos0, fused.heads = heads;
    return std::vector{device().run(KvUpdateOp{rows, rows, cache, pos0}).error,
                       device().run(fused).error};
  };
  const auto layer = [&](int64_t bytes, int64_t shift, int64_t heads, int64_t dim) {
    const Span<std::byte> half = memory.byte_span().sub(shift, bytes);
    return KvLayer{DType::f32, half, memory.byte_span().sub(2048, bytes), heads, 4, dim};
  };
  EXPECT_EQ(errors(layer(256, 0, 2, 8), 4, 16, 1), (std::vector<std::string>{"", ""}));
  const auto both = [&](const KvLayer& cache, const std::string& why) {
    EXPECT_EQ(errors(cache, 4, 16, 1), (std::vector{prefix[0] + why, prefix[1] + why}));
  };
  both(layer(256, 8, 2, 8), "the cache is not aligned to 16 bytes");
  both(layer(240, 0, 2, 8), "a cache of another size");
  both(layer(192, 0, 1, 12),
       "a cache of 1 KV heads, capacity 4, head_dim 12 (a multiple of 8 up to 128)");
  both(layer(1024, 0, 1, 136),
       "a cache of 1 KV heads, capacity 4, head_dim 136 (a multiple of 8 up to 128)");
  both(layer(0, 0, 0, 8),
       "a cache of 0 KV heads, capacity 4, head_dim 8 (a multiple of 8 up to 128)");
  EXPECT_EQ(errors(layer(256, 0, 2, 8), 4, 15, 1),
            (std::vector{prefix[0] + "shapes", prefix[1] + "shapes"}));
  EXPECT_EQ(errors(layer(256, 0, 2, 8), 4, 16, 2),
            (std::vector{prefix[0] + "shapes", prefix[1] + "shapes"}));
  EXPECT_EQ(errors(layer(256, 0, 2, 8), 3, 16, 1)[1], prefix[1] + "shapes");
  KvLayer quantised = layer(256, 0, 2, 8);
  quantised.type = DType::q8_0;
  for (const std::string& error : errors(quantised, 4, 16, 1)) EXPECT_NE(error, "");
}

}  // namespace
}  // namespace greta::kernels::gpu
