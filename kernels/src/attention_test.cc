#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/kernels.h"
#include "testing/numbers.h"

namespace greta::kernels {
namespace {

using testing::gamma;
using testing::kU;
using testing::random_floats;

// A cache whose positions from `length` on are NaN: a kernel that reads them cannot be right.
struct Cache {
  DType type;
  int64_t heads, capacity, head_dim;
  std::vector<std::byte> k, v;
  std::vector<float> k_values, v_values;  // what k and v mean

  Cache(DType dtype, int64_t kv_heads, int64_t length, int64_t dim, float scale = 1.0f)
      : type(dtype), heads(kv_heads), capacity(length + 3), head_dim(dim) {
    auto ks = random_floats(heads * capacity * head_dim, 11, scale);
    auto vs = random_floats(heads * capacity * head_dim, 12);
    for (int64_t h = 0; h < heads; ++h) {
      for (int64_t i = length * head_dim; i < capacity * head_dim; ++i) {
        ks[static_cast<size_t>(h * capacity * head_dim + i)] = NAN;
        vs[static_cast<size_t>(h * capacity * head_dim + i)] = NAN;
      }
    }
    set(ks, vs);
  }
  void set(std::span<const float> ks, std::span<const float> vs) {
    auto stored_k = testing::store_as(type, ks, head_dim);
    auto stored_v = testing::store_as(type, vs, head_dim);
    k = std::move(stored_k.bytes), k_values = std::move(stored_k.values);
    v = std::move(stored_v.bytes), v_values = std::move(stored_v.values);
  }
  KvRead view(const std::vector<std::byte>& bytes) const {
    return {bytes.data(), type, heads, capacity, head_dim, capacity * head_dim};
  }
  double at(const std::vector<float>& values, int64_t head, int64_t t, int64_t i) const {
    return values[static_cast<size_t>((head * capacity + t) * head_dim + i)];
  }
};

std::vector<float> decode(Context& context, const Cache& cache, std::span<const float> q,
                          int64_t seq_len) {
  std::vector<float> out(q.size(), NAN);
  EXPECT_EQ(
      attention_decode(context, {.q = q,
                                 .k = cache.view(cache.k),
                                 .v = cache.view(cache.v),
                                 .seq_len = seq_len,
                                 .scale = 1.0f / std::sqrt(static_cast<float>(cache.head_dim)),
                                 .out = out}),
      Status::ok);
  return out;
}

// One query head in fp64: two-pass softmax, and the error that fp32 may have made. A score errs by
// ds ≤ γ Σ|q k| · scale; a weight by e^{2 ds} (its own and the denominator's) and the roundings of
// exp and of the difference; the sums over n keys by γ.
struct Reference {
  std::vector<double> out, bound;
};
Reference reference(const Cache& cache, std::span<const float> q, int64_t head, int64_t kv_head,
                    int64_t seq_len) {
  const int64_t dim = cache.head_dim;
  const double scale = static_cast<double>(1.0f / std::sqrt(static_cast<float>(dim)));
  std::vector<double> weight(static_cast<size_t>(seq_len));
  double largest = -INFINITY, smallest = INFINITY, ds = 0;
  for (int64_t t = 0; t < seq_len; ++t) {
    double dot = 0, magnitude = 0;
    for (int64_t i = 0; i < dim; ++i) {
      const double product = static_cast<double>(q[static_cast<size_t>(head * dim + i)]) *
                             cache.at(cache.k_values, kv_head, t, i);
      dot += product;
      magnitude += std::abs(product);
    }
    weight[static_cast<size_t>(t)] = dot * scale;
    largest = std::max(largest, dot * scale);
    smallest = std::min(smallest, dot * scale);
    ds = std::max(ds, gamma(2 * ((dim + 15) / 16) + 5) * magnitude * scale);
  }
  double total = 0;
  for (double& w : weight) total += w = std::exp(w - largest);
  const double of_weight = std::expm1(2 * ds + 2 * kU * (largest - smallest)) + 8 * kU;
  const double relative =
      1.01 * (of_weight + gamma(2 * (seq_len / 4 + 1) + 4) + gamma(seq_len / 16 + 6));
  Reference result;
  for (int64_t i = 0; i < dim; ++i) {
    double sum = 0, magnitude = 0;
    for (int64_t t = 0; t < seq_len; ++t) {
      const double term = weight[static_cast<size_t>(t)] * cache.at(cache.v_values, kv_head, t, i);
      sum += term;
      magnitude += std::abs(term);
    }
    result.out.push_back(sum / total);
    result.bound.push_back(relative * magnitude / total);
  }
  return result;
}

struct Heads {
  int64_t q, kv;
};
constexpr Heads kHeads[] = {{1, 1}, {2, 1}, {4, 2}, {8, 2}, {8, 8}, {6, 2}, {8, 1}};

TEST(Attention, StaysWithinTheBoundOnEveryIsa) {
  testing::on_every_isa([](const std::string&) {
    Context context(2);
    for (const auto [heads, kv_heads] : kHeads) {
      for (const int64_t dim : {2, 8, 10, 32, 64, 128}) {
        for (const int64_t seq_len : {1, 3, 4, 15, 16, 17, 64, 65, 206}) {
          if (seq_len > 65 && (dim > 64 || heads > 4)) continue;  // time
          for (const DType type : {DType::f32, DType::f16, DType::bf16}) {
            const Cache cache(type, kv_heads, seq_len, dim, 2.0f);
            const auto q = random_floats(heads * dim, 7, 2.0f);
            const auto out = decode(context, cache, q, seq_len);
            for (int64_t h = 0; h < heads; ++h) {
              const auto want = reference(cache, q, h, h / (heads / kv_heads), seq_len);
              for (int64_t i = 0; i < dim; ++i) {
                const auto n = static_cast<size_t>(i);
                ASSERT_LE(std::abs(out[static_cast<size_t>(h * dim + i)] - want.out[n]),
                          want.bound[n])
                    << heads << "/" << kv_heads << " dim " << dim << " keys " << seq_len << " "
                    << to_string(type) << " head " << h << " element " << i;
              }
            }
          }
        }
      }
    }
  });
}

TEST(Attention, PrefillRowsHaveTheBitsOfDecode) {
  for (const auto [heads, kv_heads] : kHeads) {
    for (const int64_t dim : {8, 10, 32}) {
      for (const DType type : {DType::f32, DType::f16, DType::bf16}) {
        constexpr int64_t kLength = 35, kPos0 = 2, kRows = kLength - kPos0;
        const Cache cache(type, kv_heads, kLength, dim);
        const auto q = random_floats(kRows * heads * dim, 7);
        const auto width = static_cast<size_t>(heads * dim);
        std::vector<float> fma;
        testing::on_every_isa([&](const std::string& name) {
          Context one(1);
          std::vector<float> rows;
          for (int64_t r = 0; r < kRows; ++r) {
            const auto row =
                decode(one, cache, std::span(q).subspan(r * width, width), kPos0 + r + 1);
            rows.insert(rows.end(), row.begin(), row.end());
          }
          for (const int threads : {1, 2, 3, 8}) {
            Context context(threads);
            std::vector<float> out(q.size(), NAN);
            ASSERT_EQ(
                attention_prefill(context, {.q = {q.data(), kRows, heads * dim},
                                            .k = cache.view(cache.k),
                                            .v = cache.view(cache.v),
                                            .pos0 = kPos0,
                                            .scale = 1.0f / std::sqrt(static_cast<float>(dim)),
                                            .out = {out.data(), kRows, heads * dim}}),
                Status::ok);
            ASSERT_TRUE(testing::same_bits(rows, out)) << threads << " threads, dim " << dim;
          }
          if (!testing::has_fma(name)) return;
          if (fma.empty()) fma = rows;
          ASSERT_TRUE(testing::same_bits(fma, rows));
        });
      }
    }
  }
}

// Scores far beyond exp's range: without subtracting the maximum this is inf/inf.
TEST(Attention, LargeScoresAreFine) {
  constexpr int64_t kDim = 16, kLength = 40;
  Cache cache(DType::f32, 1, kLength, kDim);
  auto ks = cache.k_values;
  for (int64_t i = 0; i < kDim; ++i) ks[static_cast<size_t>(17 * kDim + i)] = 100.0f;
  cache.set(ks, cache.v_values);
  const std::vector<float> q(kDim, 100.0f);
  Context context(1);
  const auto out = decode(context, cache, q, kLength);
  for (int64_t i = 0; i < kDim; ++i) {
    EXPECT_EQ(out[static_cast<size_t>(i)], cache.at(cache.v_values, 0, 17, i));
  }
}

// Poison must come through: a NaN key or value inside the sequence is not to be masked.
TEST(Attention, NanInsideTheSequenceReachesTheOutput) {
  testing::on_every_isa([](const std::string&) {
    Context context(1);
    for (const bool in_key : {true, false}) {
      for (const int64_t bad : {0, 7, 16, 32}) {
        Cache cache(DType::f32, 1, 33, 8);
        auto ks = cache.k_values, vs = cache.v_values;
        (in_key ? ks : vs)[static_cast<size_t>(bad * 8 + 3)] = NAN;
        cache.set(ks, vs);
        const auto out = decode(context, cache, random_floats(8, 5), 33);
        EXPECT_TRUE(std::isnan(out[3])) << bad;
      }
    }
    // The slots behind the sequence are NaN as well, and stay unread.
    const Cache cache(DType::f16, 1, 33, 8);
    for (const float value : decode(context, cache, random_floats(8, 5), 33)) {
      EXPECT_FALSE(std::isnan(value));
    }
  });
}

TEST(Attention, LowPrecisionVariantIsWorseButNotWrong) {
  constexpr int64_t kDim = 32, kLength = 200;
  const Cache cache(DType::f32, 2, kLength, kDim);
  const auto q = random_floats(4 * kDim, 3);
  Context context(2);
  const auto exact = decode(context, cache, q, kLength);
  std::vector<float> out(q.size());
  ASSERT_EQ(attention_decode_bf16acc(context, {.q = q,
                                               .k = cache.view(cache.k),
                                               .v = cache.view(cache.v),
                                               .seq_len = kLength,
                                               .scale = 1.0f / std::sqrt(static_cast<float>(kDim)),
                                               .out = out}),
            Status::ok);
  double difference = 0, norm = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    difference += std::pow(static_cast<double>(out[i] - exact[i]), 2);
    norm += std::pow(static_cast<double>(exact[i]), 2);
  }
  const double relative = std::sqrt(difference / norm);
  EXPECT_GT(relative, 1e-3);
  EXPECT_LT(relative, 1.0);
}

// Showing scores and weights changes no bit of the output, and they are those of that output.
TEST(Attention, WhatIsShownIsWhatWasUsed) {
  testing::on_every_isa([](const std::string&) {
    constexpr int64_t kDim = 10, kLength = 37, kQueries = 4;
    const Cache cache(DType::f16, 2, kLength, kDim);
    const auto q = random_floats(kQueries * kDim, 3);
    Context context(2);
    const auto plain = decode(context, cache, q, kLength);
    std::vector<float> scores(kQueries * (kLength + 1), NAN), weights = scores, out(q.size());
    const AttentionShown shown = {{scores.data(), kQueries, kLength, kLength + 1},
                                  {weights.data(), kQueries, kLength, kLength + 1}};
    const float scale = 1.0f / std::sqrt(static_cast<float>(kDim));
    const KvRead k = cache.view(cache.k), v = cache.view(cache.v);
    ASSERT_EQ(attention_decode(context, {.q = q,
                                         .k = k,
                                         .v = v,
                                         .seq_len = kLength,
                                         .scale = scale,
                                         .out = out,
                                         .shown = shown}),
              Status::ok);
    EXPECT_EQ(out, plain);
    for (int64_t h = 0; h < kQueries; ++h) {
      double mixed = 0, total = 0;
      for (int64_t t = 0; t < kLength; ++t) {
        double dot = 0;
        for (int64_t i = 0; i < kDim; ++i) {
          dot += static_cast<double>(q[static_cast<size_t>(h * kDim + i)]) *
                 cache.at(cache.k_values, h / 2, t, i);
        }
        EXPECT_NEAR(shown.scores.row(h)[t], dot * static_cast<double>(scale), 1e-6);
        total += static_cast<double>(shown.weights.row(h)[t]);
        mixed +=
            static_cast<double>(shown.weights.row(h)[t]) * cache.at(cache.v_values, h / 2, t, 0);
      }
      EXPECT_NEAR(total, 1, 1e-6);
      EXPECT_NEAR(out[static_cast<size_t>(h * kDim)], mixed, 1e-6);
      EXPECT_TRUE(std::isnan(shown.scores.data()[h * (kLength + 1) + kLength])) << "column beyond";
    }

    // Of a prefill: the tokens that are asked for, with the bits of decode.
    std::vector<float> queries(q);
    queries.insert(queries.begin(), q.begin(), q.end());
    std::vector<float> prefill_out(queries.size()), shown_scores(kQueries * kLength),
        shown_weights(kQueries * kLength);
    const int64_t token[] = {1};
    const AttentionShown of_prefill = {{shown_scores.data(), kQueries, kLength},
                                       {shown_weights.data(), kQueries, kLength}};
    const AttentionPrefillArgs args = {.q = {queries.data(), 2, kQueries * kDim},
                                       .k = k,
                                       .v = v,
                                       .pos0 = kLength - 2,
                                       .scale = scale,
                                       .out = {prefill_out.data(), 2, kQueries * kDim},
                                       .shown_tokens = token,
                                       .shown = of_prefill};
    ASSERT_EQ(attention_prefill(context, args), Status::ok);
    for (int64_t h = 0; h < kQueries; ++h) {
      for (int64_t t = 0; t < kLength; ++t) {
        EXPECT_EQ(of_prefill.scores.row(h)[t], shown.scores.row(h)[t]);
        EXPECT_EQ(of_prefill.weights.row(h)[t], shown.weights.row(h)[t]);
      }
    }
    AttentionPrefillArgs narrow = args;
    narrow.shown.scores = {shown_scores.data(), kQueries, kLength - 1};
    EXPECT_EQ(attention_prefill(context, narrow), Status::bad_shape);
  });
}

TEST(Attention, RefusesShapesThatDoNotFit) {
  const Cache cache(DType::f32, 2, 4, 8);
  Context context(1);
  std::vector<float> q(32), out(32);
  const auto status = [&](size_t q_size, int64_t seq_len) {
    return attention_decode(context, {.q = std::span(q).first(q_size),
                                      .k = cache.view(cache.k),
                                      .v = cache.view(cache.v),
                                      .seq_len = seq_len,
                                      .scale = 1,
                                      .out = std::span(out).first(q_size)});
  };
  EXPECT_EQ(status(32, 4), Status::ok);
  EXPECT_EQ(status(24, 4), Status::bad_shape);  // 3 query heads over 2 KV heads
  EXPECT_EQ(status(32, 0), Status::bad_shape);
  EXPECT_EQ(status(32, 8), Status::bad_shape);  // more than the cache has room for
}

TEST(Attention, WantedAlignmentFollowsTheHead) {
  EXPECT_EQ(attention_alignment(32, DType::f32), 16);
  EXPECT_EQ(attention_alignment(10, DType::f32), 8);
  EXPECT_EQ(attention_alignment(10, DType::f16), 4);
  EXPECT_EQ(attention_alignment(2, DType::f16), 4);
}

}  // namespace
}  // namespace greta::kernels
