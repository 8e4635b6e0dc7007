#include "reference/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "reference/numbers.h"

namespace greta::reference {
namespace {

using engine::KvType;

// A judged computation in fp32, written here on its own. `Order` is how it sums and normalises.
enum class Order { sequential, tree, online, split };
enum class Bug { none, last_key_missing, scale, half_split, k_position, bf16_sums, only_itself };

struct Input {
  int64_t head_dim = 0, n = 0;
  double rope_base = 10000;
  KvType kv_type = KvType::f32;
  std::vector<float> q, k, v;  // before RoPE; (n, head_dim)
};

Input random_input(std::mt19937& random, int64_t head_dim, int64_t n, double k_scale,
                   KvType kv_type) {
  std::normal_distribution<float> normal;
  Input input{.head_dim = head_dim, .n = n, .kv_type = kv_type, .q = {}, .k = {}, .v = {}};
  for (int64_t i = 0; i < head_dim; ++i) input.q.push_back(normal(random));
  for (int64_t i = 0; i < n * head_dim; ++i) {
    input.k.push_back(static_cast<float>(k_scale) * normal(random));
    input.v.push_back(normal(random));
  }
  return input;
}

float to_bf16(float x) { return static_cast<float>(round_to_storage(x, KvType::bf16)); }

std::vector<float> rotate_fp32(const Input& in, const float* x, int64_t position, Bug bug) {
  const auto d = static_cast<size_t>(in.head_dim);
  std::vector<float> out(d);
  for (size_t i = 0; i < d / 2; ++i) {
    const double angle =
        static_cast<double>(position) *
        std::pow(in.rope_base, -2.0 * static_cast<double>(i) / static_cast<double>(d));
    const auto c = static_cast<float>(std::cos(angle)), s = static_cast<float>(std::sin(angle));
    const size_t first = bug == Bug::half_split ? i : 2 * i;
    const size_t second = bug == Bug::half_split ? i + d / 2 : 2 * i + 1;
    out[first] = x[first] * c - x[second] * s;
    out[second] = x[first] * s + x[second] * c;
  }
  return out;
}

float sum(std::vector<float> terms, Order order, Bug bug) {
  if (order == Order::tree) {
    while (terms.size() > 1) {
      std::vector<float> half;
      for (size_t i = 0; i + 1 < terms.size(); i += 2) half.push_back(terms[i] + terms[i + 1]);
      if (terms.size() % 2 != 0) half.push_back(terms.back());
      terms = half;
    }
    return terms[0];
  }
  float total = 0;
  for (const float term : terms) {
    total = bug == Bug::bf16_sums ? to_bf16(total + term) : total + term;
  }
  return total;
}

// Softmax-weighted sum of v over keys [begin, end): maximum, sum of weights, sums of weight · v.
struct Partial {
  float max = -std::numeric_limits<float>::infinity(), total = 0;
  std::vector<float> acc;
};

Partial run_online(const std::vector<float>& score, const std::vector<float>& v, size_t d,
                   size_t begin, size_t end) {
  Partial part{.acc = std::vector<float>(d)};
  for (size_t j = begin; j < end; ++j) {
    const float max = std::max(part.max, score[j]);
    const float rescale = std::exp(part.max - max), weight = std::exp(score[j] - max);
    part.max = max;
    part.total = part.total * rescale + weight;
    for (size_t i = 0; i < d; ++i) part.acc[i] = part.acc[i] * rescale + weight * v[j * d + i];
  }
  return part;
}

std::vector<float> scores_fp32(const Input& in, Order order, Bug bug) {
  const auto d = static_cast<size_t>(in.head_dim);
  const auto position = in.n - 1;
  const auto q = rotate_fp32(in, in.q.data(), position, bug);
  const float scale =
      bug == Bug::scale ? 1.0f / static_cast<float>(d) : 1.0f / std::sqrt(static_cast<float>(d));
  std::vector<float> score(static_cast<size_t>(in.n));
  for (size_t j = 0; j < score.size(); ++j) {
    const auto at = static_cast<int64_t>(j);
    auto k =
        rotate_fp32(in, &in.k[j * d], bug == Bug::k_position && at == position ? at + 1 : at, bug);
    for (size_t i = 0; i < d; ++i) {
      k[i] = static_cast<float>(round_to_storage(k[i], in.kv_type)) * q[i];
    }
    score[j] = scale * sum(k, order, bug);
  }
  return score;
}

std::vector<float> attention_fp32(const Input& in, Order order, Bug bug = Bug::none) {
  const auto d = static_cast<size_t>(in.head_dim);
  auto n = static_cast<size_t>(in.n);
  if (bug == Bug::last_key_missing) --n;
  auto score = scores_fp32(in, order, bug);
  score.resize(n);
  std::vector<float> v(n * d);
  for (size_t i = 0; i < v.size(); ++i) {
    v[i] = static_cast<float>(round_to_storage(in.v[i], in.kv_type));
  }
  if (bug == Bug::only_itself) return {v.end() - static_cast<ptrdiff_t>(d), v.end()};

  std::vector<float> out(d);
  if (order == Order::online || order == Order::split) {
    const size_t middle = order == Order::split ? n / 2 : 0;
    const Partial a = run_online(score, v, d, 0, middle), b = run_online(score, v, d, middle, n);
    const float max = std::max(a.max, b.max);
    const float ra = std::exp(a.max - max), rb = std::exp(b.max - max);
    const float inverse = 1.0f / (a.total * ra + b.total * rb);
    for (size_t i = 0; i < d; ++i) out[i] = (a.acc[i] * ra + b.acc[i] * rb) * inverse;
    return out;
  }
  const float max = *std::ranges::max_element(score);
  std::vector<float> weight(n);
  for (size_t j = 0; j < n; ++j) weight[j] = std::exp(score[j] - max);
  const float total = sum(weight, order, bug);
  for (size_t i = 0; i < d; ++i) {
    std::vector<float> terms(n);
    for (size_t j = 0; j < n; ++j) terms[j] = weight[j] * v[j * d + i];
    out[i] = sum(terms, order, bug) / total;
  }
  return out;
}

HeadAnswer oracle(const Input& in) {
  History history({.layers = 1,
                   .heads = 1,
                   .kv_heads = 1,
                   .head_dim = in.head_dim,
                   .rope_base = in.rope_base,
                   .kv_type = in.kv_type});
  EXPECT_TRUE(history.remember_k(0, 0, in.n, in.k.data()));
  EXPECT_TRUE(history.remember_v(0, 0, in.n, in.v.data()));
  return attend(in.q, in.n - 1, history.stored(0, 0, 0, in.n), history.rope());
}

// Correct fp32 computations, in four orders and three storage types, stay inside the bound element
// by element; the bound stays useful.
TEST(AttentionBound, HoldsForCorrectComputationsAndIsNotAbsurdlyLoose) {
  std::mt19937 random(20);
  double worst_share = 0;
  for (const int64_t head_dim : {32, 64, 128}) {
    for (const int64_t n : {1, 2, 3, 17, 64, 206, 512}) {
      for (const double k_scale : {0.3, 1.0, 3.0}) {
        for (const KvType kv_type : {KvType::f32, KvType::f16, KvType::bf16}) {
          const Input input = random_input(random, head_dim, n, k_scale, kv_type);
          const HeadAnswer answer = oracle(input);
          for (const Order order : {Order::sequential, Order::tree, Order::online, Order::split}) {
            const auto got = attention_fp32(input, order);
            const auto result = compare(got, answer);
            ASSERT_LE(result.rel_l2, result.bound) << head_dim << ' ' << n << ' ' << k_scale;
            for (size_t i = 0; i < got.size(); ++i) {
              ASSERT_LE(std::abs(got[i] - answer.out[i]), answer.bound[i])
                  << head_dim << ' ' << n << ' ' << k_scale << ' ' << i;
            }
            worst_share = std::max(worst_share, result.rel_l2 / result.bound);
            if (kv_type == KvType::f32 && k_scale <= 1) {
              EXPECT_LT(result.bound, 1e-3) << head_dim << ' ' << n << ' ' << k_scale;
            }
          }
        }
      }
    }
  }
  EXPECT_GT(worst_share, 0.01);  // and some computation comes within two orders of it
}

// Where products underflow, a rounding is no share of the result; the bound still holds and still
// catches.
TEST(AttentionBound, HoldsWhereProductsUnderflow) {
  std::mt19937 random(25);
  for (const float scale : {1e-18f, 1e-20f, 1e-22f, 1e-30f, 1e-38f, 1e-41f, 0.0f}) {
    for (const KvType kv_type : {KvType::f32, KvType::bf16}) {
      Input input = random_input(random, 64, 40, 1.0, kv_type);
      for (auto* values : {&input.q, &input.k, &input.v}) {
        for (float& value : *values) value *= scale;
      }
      const HeadAnswer answer = oracle(input);
      for (const Order order : {Order::sequential, Order::tree, Order::online, Order::split}) {
        const auto got = attention_fp32(input, order);
        const auto result = compare(got, answer);
        EXPECT_EQ(result.over_bound, 0) << scale;
        EXPECT_LE(result.rel_l2, result.bound) << scale;
        EXPECT_TRUE(std::isfinite(result.bound)) << scale;
      }
      const auto scores = scores_fp32(input, Order::sequential, Bug::none);
      EXPECT_EQ(compare(scores, answer.score, answer.score_bound).over_bound, 0) << scale;
      if (scale < 1e-30f) continue;  // what is lost there is lost to a correct computation, too
      const auto wrong = attention_fp32(input, Order::sequential, Bug::only_itself);
      const auto result = compare(wrong, answer);
      EXPECT_GT(result.rel_l2, 10 * result.bound) << scale;
    }
  }
}

// Nothing to be relative to: no infinity that any error is below, and no alarm for an exact zero.
TEST(Compare, AgainstZerosHoldsAbsoluteErrors) {
  const StoredHead keys{.positions = 3,
                        .head_dim = 4,
                        .k = std::vector<double>(12),
                        .k_error = std::vector<double>(12),
                        .v = std::vector<double>(12)};
  const HeadAnswer zeros = mix(std::vector<float>(3, 0.5f), keys);
  struct Case {
    float got;
    bool holds;
  };
  for (const auto& [got, holds] : {Case{0, true}, Case{1e-45f, true}, Case{1e-30f, false}}) {
    const auto result = compare(std::vector<float>(4, got), zeros);
    EXPECT_TRUE(std::isfinite(result.bound)) << got;
    EXPECT_TRUE(std::isfinite(result.rel_l2)) << got;
    EXPECT_EQ(result.rel_l2 <= result.bound, holds) << got;
    EXPECT_EQ(result.over_bound == 0, holds) << got;
  }
  const std::vector<double> none(4);
  EXPECT_EQ(compare(std::vector<float>(4), none, none).rel_l2, 0);
  EXPECT_TRUE(std::isnan(compare(std::vector<float>(4, NAN), none, none).rel_l2));
}

TEST(AttentionBound, EveryBugIsFarOutside) {
  std::mt19937 random(21);
  for (const int64_t head_dim : {32, 64, 128}) {
    for (const int64_t n : {3, 64, 206, 512}) {
      for (const Bug bug : {Bug::last_key_missing, Bug::scale, Bug::half_split, Bug::k_position,
                            Bug::bf16_sums, Bug::only_itself}) {
        for (const KvType kv_type : {KvType::f32, KvType::bf16}) {
          Input input = random_input(random, head_dim, n, 1.0, kv_type);
          // What touches one key shows as far as that key is attended to: it gets a fair share
          // here.
          const auto newest = input.k.end() - static_cast<ptrdiff_t>(head_dim);
          for (int64_t i = 0; i < head_dim; ++i) newest[i] = 0.5f * input.q[static_cast<size_t>(i)];
          const auto result = compare(attention_fp32(input, Order::sequential, bug), oracle(input));
          EXPECT_GT(result.rel_l2, 10 * result.bound)
              << static_cast<int>(bug) << ' ' << head_dim << ' ' << n << ' '
              << static_cast<int>(kv_type) << " rel_l2 " << result.rel_l2 << " bound "
              << result.bound;
        }
      }
    }
  }
}

// Scores too far apart for storage errors to be bounded: no number, which no gate accepts.
TEST(AttentionBound, IsNoNumberWhereNoneCanBeGiven) {
  std::mt19937 random(22);
  Input input = random_input(random, 32, 8, 1000.0, KvType::bf16);
  for (float& q : input.q) q *= 1e6f;
  const auto result = compare(attention_fp32(input, Order::sequential), oracle(input));
  EXPECT_TRUE(std::isnan(result.bound));
}

TEST(Attention, AnswersByHand) {
  // Two keys, position 1, one pair: angles 0 and 1 radian. q·k depends on the angle between them.
  Input input{.head_dim = 2,
              .n = 2,
              .rope_base = 1.0,
              .kv_type = KvType::f32,
              .q = {1, 0},
              .k = {2, 0, 3, 0},
              .v = {10, 0, 0, 10}};
  const HeadAnswer answer = oracle(input);
  const double s0 = 2 * std::cos(1.0) / std::sqrt(2.0), s1 = 3 / std::sqrt(2.0);
  const double w0 = 1 / (1 + std::exp(s1 - s0));
  EXPECT_NEAR(answer.out[0], 10 * w0, 1e-12);
  EXPECT_NEAR(answer.out[1], 10 * (1 - w0), 1e-12);
}

TEST(Attention, NanIsReportedWhereItIsFirst) {
  std::mt19937 random(23);
  const Input input = random_input(random, 32, 9, 1.0, KvType::f32);
  auto got = attention_fp32(input, Order::sequential);
  got[3] = 1e9f;
  got[7] = std::numeric_limits<float>::quiet_NaN();
  got[9] = std::numeric_limits<float>::quiet_NaN();
  const auto result = compare(got, oracle(input));
  EXPECT_TRUE(std::isnan(result.rel_l2));
  EXPECT_TRUE(std::isnan(result.max_diff));
  EXPECT_EQ(result.worst_dim, 7);
  EXPECT_TRUE(std::isnan(result.worst_got));
  EXPECT_FALSE(std::isnan(result.worst_ref));
  EXPECT_FALSE(result.rel_l2 <= result.bound);
}

TEST(Attention, NanInTheInputIsNanInTheAnswer) {
  std::mt19937 random(24);
  for (const size_t element : {0, 32 * 8}) {
    Input input = random_input(random, 32, 9, 1.0, KvType::f32);
    input.k[element] = std::numeric_limits<float>::quiet_NaN();
    const auto result = compare(attention_fp32(input, Order::sequential), oracle(input));
    EXPECT_TRUE(std::isnan(result.rel_l2)) << element;
  }
}

TEST(History, KeepsWhatWasWrittenByPositionLayerAndHead) {
  History history({.layers = 2, .heads = 4, .kv_heads = 2, .head_dim = 2, .rope_base = 1.0});
  const std::vector<float> k = {1, 0, 2, 0, 3, 0, 4, 0}, v = {1, 2, 3, 4, 5, 6, 7, 8};
  ASSERT_TRUE(history.remember_k(1, 0, 2, k.data()));
  EXPECT_EQ(history.positions(1), 0);  // v is not known yet
  ASSERT_TRUE(history.remember_v(1, 0, 2, v.data()));
  EXPECT_EQ(history.positions(1), 2);
  EXPECT_EQ(history.positions(0), 0);
  const StoredHead slots = history.stored(1, 1, 1, 1);  // layer 1, KV head 1, position 1
  EXPECT_NEAR(slots.k[0], 4 * std::cos(1.0), 1e-12);
  EXPECT_NEAR(slots.k[1], 4 * std::sin(1.0), 1e-12);
  EXPECT_EQ(slots.v, (std::vector<double>{7, 8}));
}

TEST(History, RewindsAndRefusesGaps) {
  History history({.layers = 1, .heads = 1, .kv_heads = 1, .head_dim = 2});
  const std::vector<float> rows = {1, 2, 3, 4, 5, 6};
  ASSERT_TRUE(history.remember_v(0, 0, 3, rows.data()));
  ASSERT_TRUE(history.remember_k(0, 0, 3, rows.data()));
  ASSERT_TRUE(history.remember_v(0, 1, 1, rows.data()));
  ASSERT_TRUE(history.remember_k(0, 1, 1, rows.data()));
  EXPECT_EQ(history.positions(0), 2);
  EXPECT_EQ(history.stored(0, 0, 1, 1).v, (std::vector<double>{1, 2}));
  const auto gap = history.remember_k(0, 4, 1, rows.data());
  ASSERT_FALSE(gap);
  EXPECT_EQ(gap.error().message, "attention oracle: layer 0 saw no k for positions 2 to 3");
}

}  // namespace
}  // namespace greta::reference
