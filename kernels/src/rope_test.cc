#include <gtest/gtest.h>

#include "kernels/kernels.h"
#include "testing/numbers.h"

namespace greta::kernels {
namespace {

using testing::random_floats;

std::vector<float> rotation_row(int64_t position, int64_t head_dim) {
  std::vector<float> row(static_cast<size_t>(head_dim));
  for (int64_t i = 0; i < head_dim / 2; ++i) {
    const double angle =
        static_cast<double>(position) *
        std::pow(1e4, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
    row[static_cast<size_t>(2 * i)] = static_cast<float>(std::cos(angle));
    row[static_cast<size_t>(2 * i + 1)] = static_cast<float>(std::sin(angle));
  }
  return row;
}

TEST(Rope, TurnsThePairsThatItIsToldTo) {
  for (const int64_t head_dim : {2, 8, 10, 64}) {
    for (const RopePairing pairing : {RopePairing::interleaved, RopePairing::half_split}) {
      const auto before = random_floats(2 * 3 * head_dim, 1);
      auto x = before;
      std::vector<float> rotation = rotation_row(7, head_dim);
      const auto second = rotation_row(8, head_dim);
      rotation.insert(rotation.end(), second.begin(), second.end());
      Context context(1);
      ASSERT_EQ(rope(context, {.x = {x.data(), 2, 3 * head_dim},
                               .rotation = {rotation.data(), 2, head_dim},
                               .pairing = pairing}),
                Status::ok);
      for (int64_t row = 0; row < 2; ++row) {
        for (int64_t h = 0; h < 3; ++h) {
          for (int64_t i = 0; i < head_dim / 2; ++i) {
            const int64_t base = (row * 3 + h) * head_dim;
            const bool pairs = pairing == RopePairing::interleaved;
            const auto a = static_cast<size_t>(base + (pairs ? 2 * i : i));
            const auto b = static_cast<size_t>(base + (pairs ? 2 * i + 1 : i + head_dim / 2));
            const double c = rotation[static_cast<size_t>(row * head_dim + 2 * i)];
            const double s = rotation[static_cast<size_t>(row * head_dim + 2 * i + 1)];
            const double p = before[a], q = before[b];
            const double bound = testing::gamma(2) * (std::abs(p) + std::abs(q));
            EXPECT_LE(std::abs(x[a] - (p * c - q * s)), bound);
            EXPECT_LE(std::abs(x[b] - (p * s + q * c)), bound);
          }
        }
      }
    }
  }
}

struct Arm {
  std::vector<float> q, k;
  std::vector<std::byte> k_cache, v_cache;
};

// The two arms of the decode update: equal bits, from different code.
TEST(FusedRopeKvUpdate, EqualsTheSeparateKernels) {
  struct Heads {
    int64_t q, kv;
  };
  for (const auto [heads, kv_heads] : {Heads{1, 1}, {4, 2}, {8, 2}, {8, 8}, {6, 2}, {4, 1}}) {
    for (const int64_t head_dim : {2, 8, 10, 32, 64, 128}) {
      for (const DType type : {DType::f32, DType::f16, DType::bf16}) {
        constexpr int64_t kCapacity = 5, kPosition = 3;
        const int64_t kv_dim = kv_heads * head_dim;
        const auto v = random_floats(kv_dim, 3);
        const auto rotation = rotation_row(kPosition, head_dim);
        const auto bytes = static_cast<size_t>(kv_heads * kCapacity * row_bytes(type, head_dim));
        const auto run = [&](bool fused) {
          Arm arm = {.q = random_floats(heads * head_dim, 1),
                     .k = random_floats(kv_dim, 2),
                     .k_cache = std::vector<std::byte>(bytes, std::byte{0x7f}),
                     .v_cache = std::vector<std::byte>(bytes, std::byte{0x7f})};
          Context context(fused ? 3 : 1);
          const int64_t stride = kCapacity * head_dim;
          const KvWrite k_cache(arm.k_cache.data(), type, kv_heads, kCapacity, head_dim, stride);
          const KvWrite v_cache(arm.v_cache.data(), type, kv_heads, kCapacity, head_dim, stride);
          if (fused) {
            EXPECT_EQ(fused_rope_kv_update_decode(context, {.q = arm.q,
                                                            .k = arm.k,
                                                            .v = v,
                                                            .q_rotation = rotation,
                                                            .k_rotation = rotation,
                                                            .k_cache = k_cache,
                                                            .v_cache = v_cache,
                                                            .position = kPosition}),
                      Status::ok);
          } else {
            const Rows<const float> turn(rotation.data(), 1, head_dim);
            const Rows<float> k(arm.k.data(), 1, kv_dim);
            EXPECT_EQ(rope(context, {.x = {arm.q.data(), 1, heads * head_dim}, .rotation = turn}),
                      Status::ok);
            EXPECT_EQ(rope(context, {.x = k, .rotation = turn}), Status::ok);
            EXPECT_EQ(kv_update(context, {.k = k,
                                          .v = {v.data(), 1, kv_dim},
                                          .k_cache = k_cache,
                                          .v_cache = v_cache,
                                          .pos0 = kPosition}),
                      Status::ok);
          }
          return arm;
        };
        const Arm manual = run(false), fused = run(true);
        EXPECT_TRUE(testing::same_bits(manual.q, fused.q));
        EXPECT_TRUE(testing::same_bits(manual.k, fused.k));
        EXPECT_EQ(manual.k_cache, fused.k_cache);
        EXPECT_EQ(manual.v_cache, fused.v_cache);
        // Only slot (head, kPosition) was written, for every KV head.
        for (int64_t g = 0; g < kv_heads; ++g) {
          for (int64_t p = 0; p < kCapacity; ++p) {
            const auto at = static_cast<size_t>((g * kCapacity + p) * row_bytes(type, head_dim));
            const bool untouched =
                fused.v_cache[at] == std::byte{0x7f} && fused.v_cache[at + 1] == std::byte{0x7f};
            EXPECT_EQ(untouched, p != kPosition);
          }
        }
      }
    }
  }
}

TEST(KvUpdate, WritesManyRowsAndRefusesWhatDoesNotFit) {
  const auto k = random_floats(3 * 8, 1), v = random_floats(3 * 8, 2);
  std::vector<float> k_memory(2 * 6 * 4, NAN), v_memory(2 * 6 * 4, NAN);
  const auto slab = [](std::vector<float>& memory) {
    return KvWrite(reinterpret_cast<std::byte*>(memory.data()), DType::f32, 2, 6, 4, 24);
  };
  Context context(2);
  const auto update = [&](int64_t pos0) {
    return kv_update(context, {.k = {k.data(), 3, 8},
                               .v = {v.data(), 3, 8},
                               .k_cache = slab(k_memory),
                               .v_cache = slab(v_memory),
                               .pos0 = pos0});
  };
  EXPECT_EQ(update(4), Status::bad_shape);
  EXPECT_EQ(update(-1), Status::bad_shape);
  ASSERT_EQ(update(2), Status::ok);
  for (size_t head = 0; head < 2; ++head) {
    for (size_t p = 0; p < 6; ++p) {
      for (size_t i = 0; i < 4; ++i) {
        const float got = k_memory[head * 24 + p * 4 + i];
        if (p >= 2 && p < 5) {
          EXPECT_EQ(got, k[(p - 2) * 8 + head * 4 + i]);
        } else {
          EXPECT_TRUE(std::isnan(got));
        }
      }
    }
  }
}

}  // namespace
}  // namespace greta::kernels
