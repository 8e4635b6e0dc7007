#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <tuple>

#include "gpu_attention_case.h"

namespace greta::reference {
namespace {

using gpu::Accumulate;
using gpu::AttentionKernel;
using gpu::Route;
using gpu::testing::Buffer;
using gpu::testing::device;
using kernels::DType;

struct Heads {
  int64_t q, kv;
};
constexpr Heads kHeads[] = {{1, 1}, {2, 1}, {4, 4}, {8, 2}, {8, 1}, {32, 2}, {40, 2}};
constexpr int64_t kDims[] = {8, 16, 32, 64, 72, 128};
constexpr int64_t kLengths[] = {1,  2,  15,  16,  17,  31,  32,  33,  63,
                                64, 65, 127, 128, 129, 255, 256, 257, 300};

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

class GpuAttention : public ::testing::TestWithParam<std::tuple<AttentionKernel, Route, DType>> {
 protected:
  // `rows` rows, the last of which sees `length` keys.
  AttentionCase of(const Heads& heads, int64_t head_dim, int64_t length, int64_t rows) const {
    const auto [kernel, route, type] = GetParam();
    rows = std::min(rows, length);
    return {.heads = heads.q,
            .kv_heads = heads.kv,
            .head_dim = head_dim,
            .pos0 = length - rows,
            .rows = rows,
            .type = type,
            .kernel = kernel,
            .route = route};
  }
};

std::string case_name(const ::testing::TestParamInfo<GpuAttention::ParamType>& info) {
  const auto [kernel, route, type] = info.param;
  return std::string(kernel == AttentionKernel::fused ? "fused_" : "manual_") +
         (route == Route::mfma ? "mfma_" : "valu_") + kernels::to_string(type);
}
INSTANTIATE_TEST_SUITE_P(Kernels, GpuAttention,
                         ::testing::Combine(::testing::Values(AttentionKernel::fused,
                                                              AttentionKernel::manual),
                                            ::testing::Values(Route::valu, Route::mfma),
                                            ::testing::ValuesIn(gpu::testing::kEveryKv)),
                         case_name);

// Every length with every head_dim; heads, rows and sizes take turns. GRETA_TEST_FULL=1: all.
TEST_P(GpuAttention, StaysWithinTheBound) {
  const Sizes sizes[] = {{1, 1, 1}, {3, 2, 1}, {0.3f, 0.3f, 5}};
  uint32_t turn = 100;
  for (const int64_t length : kLengths) {
    for (const int64_t head_dim : kDims) {
      for (size_t h = 0; h < std::size(kHeads); ++h) {
        ++turn;
        // Long ones with many heads are slow: three of seven, and one from 127 keys on.
        const size_t every = length < 33 ? 3 : 7;
        if (!gpu::testing::full() && turn % every != 0) continue;
        AttentionCase c = of(kHeads[h], head_dim, length, turn % 2 == 0 ? 1 : 3);
        c.shown = turn % 4 < 2;
        ASSERT_EQ(check_attention(c, random_attention(c, turn, sizes[turn % 3])), "");
      }
    }
  }
}

// Cuts toward zero have a mean: where all products have one sign, they add up.
TEST_P(GpuAttention, StaysWithinTheBoundWhereAllSignsAreEqual) {
  for (const int64_t head_dim : kDims) {
    for (const int64_t length : {16, 128, 300}) {
      AttentionCase c = of({8, 2}, head_dim, length, 1);
      c.shown = true;
      AttentionInput input = random_attention(c, 20, {0.5f, 1, 1});
      for (auto* const values : {&input.q, &input.k, &input.v}) {
        for (float& value : *values) value = std::abs(value);
      }
      ASSERT_EQ(check_attention(c, input), "");
    }
  }
}

// Where the parts of a block end: sixteen heads of a block and one more, the widest and the
// narrowest head, a key on either side of a split.
TEST_P(GpuAttention, StaysWithinTheBoundAtTheCorners) {
  for (const Heads& heads : {Heads{16, 1}, Heads{17, 1}, Heads{40, 2}}) {
    for (const int64_t head_dim : {8, 24, 120, 128}) {
      for (const int64_t length : {1, 129}) {
        const AttentionCase c = of(heads, head_dim, length, 1);
        ASSERT_EQ(check_attention(c, random_attention(c, 5)), "");
      }
    }
  }
}

// What is shown is what was used, and showing changes no bit of the output.
TEST_P(GpuAttention, ShowsScoresAndWeightsWithoutChangingTheOutput) {
  for (const int64_t length : {1, 33, 129, 257}) {
    AttentionCase c = of({8, 2}, 64, length, 3);
    const AttentionInput input = random_attention(c, 6, {2, 2, 1});
    const auto plain = run_attention(c, input);
    c.shown = true;
    const auto shown = run_attention(c, input);
    ASSERT_EQ(judge(c, input, shown), "");
    EXPECT_TRUE(same_bits(plain.out, shown.out)) << c.name();
  }
}

TEST_P(GpuAttention, ARowHasTheSameBitsAloneAndAmongOthers) {
  for (const auto& [heads, head_dim, length, rows] :
       {std::tuple{Heads{8, 2}, 64, 130, 4}, std::tuple{Heads{2, 1}, 8, 34, 34},
        std::tuple{Heads{40, 2}, 72, 257, 2}}) {
    const AttentionCase c = of(heads, head_dim, length, rows);
    const AttentionInput input = random_attention(c, 7);
    const auto together = run_attention(c, input);
    ASSERT_EQ(together.error, "");
    const int64_t width = c.heads * c.head_dim;
    const KvMemory memory(c, {input});
    for (int64_t row = 0; row < rows; ++row) {
      AttentionCase one = c;
      one.pos0 = c.pos0 + row;
      one.rows = 1;
      gpu::KvLayer cache = memory.layer(0);
      const std::vector<float> q(input.q.begin() + row * width,
                                 input.q.begin() + (row + 1) * width);
      const auto alone = run_attention(one, q, cache);
      ASSERT_EQ(alone.error, "");
      ASSERT_TRUE(same_bits(
          alone.out,
          std::span(together.out).subspan(static_cast<size_t>(row * width), alone.out.size())))
          << c.name() << " row " << row;
    }
  }
}

// The slots behind the sequence may hold anything. (random_attention() leaves NaN there.)
TEST_P(GpuAttention, SlotsBehindTheSequenceAreNeverRead) {
  for (const int64_t length : {1, 16, 31, 33, 128, 129, 255}) {
    const AttentionCase c = of({8, 2}, 32, length, 1);
    AttentionInput input = random_attention(c, 8);
    const auto with_nan = run_attention(c, input);
    ASSERT_EQ(judge(c, input, with_nan), "");
    for (const float value : {1e30f, -INFINITY, 0.0f}) {
      poison_tail(c, input, value);
      EXPECT_TRUE(same_bits(run_attention(c, input).out, with_nan.out)) << c.name() << " " << value;
    }
  }
}

// A NaN inside the sequence is not to be masked, and stays with its KV head.
TEST_P(GpuAttention, NanInsideTheSequenceReachesTheOutput) {
  const AttentionCase c = of({8, 2}, 32, 150, 1);
  for (const bool in_key : {true, false}) {
    for (const int64_t key : {0, 31, 127, 128, 149}) {
      AttentionInput input = random_attention(c, 9);
      (in_key ? input.k : input.v)[static_cast<size_t>((c.capacity() + key) * c.head_dim + 5)] =
          NAN;
      const auto got = run_attention(c, input);
      ASSERT_EQ(got.error, "");
      for (int64_t head = 0; head < c.heads; ++head) {
        EXPECT_EQ(std::isnan(got.out[static_cast<size_t>(head * c.head_dim + 5)]), head >= 4)
            << c.name() << " key " << key << " head " << head;
      }
    }
  }
}

// One key has a score of 100, all others −100: no other weight is left, and the output is that
// key's row of V, exactly; V tells key, element and KV head apart.
TEST_P(GpuAttention, ANeedleGivesItsOwnRow) {
  for (const auto& [heads, head_dim] : {std::pair{Heads{8, 2}, 64}, std::pair{Heads{40, 2}, 8}}) {
    AttentionCase c = of(heads, head_dim, 300, 1);
    AttentionInput input = random_attention(c, 10);
    const float sized = std::sqrt(100.0f / (static_cast<float>(head_dim) * c.scale()));
    const auto sign = [](int64_t head, int64_t i) {
      return (i * 7 + head * 3) % 5 < 2 ? -1.0f : 1.0f;
    };
    for (int64_t h = 0; h < c.heads; ++h) {
      for (int64_t i = 0; i < head_dim; ++i) {
        input.q[static_cast<size_t>(h * head_dim + i)] = sized * sign(c.kv_of(h), i);
      }
    }
    const auto at = [&](int64_t h, int64_t key, int64_t i) {
      return static_cast<size_t>((h * c.capacity() + key) * c.head_dim + i);
    };
    for (const int64_t needle : {0, 1, 15, 16, 31, 32, 127, 128, 200, 255, 256, 299}) {
      for (int64_t h = 0; h < c.kv_heads; ++h) {
        // Each KV head has a needle of its own.
        const int64_t mine = (needle + 37 * h) % 300;
        for (int64_t key = 0; key < 300; ++key) {
          for (int64_t i = 0; i < head_dim; ++i) {
            input.k[at(h, key, i)] = stored(c, (key == mine ? sized : -sized) * sign(h, i));
            input.v[at(h, key, i)] =
                stored(c, static_cast<float>(key) + 0.25f * static_cast<float>(i) -
                              1000.0f * static_cast<float>(h));
          }
        }
      }
      const auto got = run_attention(c, input);
      ASSERT_EQ(got.error, "");
      for (int64_t h = 0; h < c.heads; ++h) {
        const int64_t mine = (needle + 37 * c.kv_of(h)) % 300;
        for (int64_t i = 0; i < head_dim; ++i) {
          ASSERT_EQ(got.out[static_cast<size_t>(h * head_dim + i)],
                    input.v[at(c.kv_of(h), mine, i)])
              << c.name() << " needle " << needle << " head " << h << " element " << i;
        }
      }
    }
  }
}

// Equal keys: the weights are 1/n each, and the output is the mean of V.
TEST_P(GpuAttention, EqualKeysGiveTheMean) {
  for (const int64_t length : {1, 16, 33, 128, 257}) {
    AttentionCase c = of({4, 4}, 16, length, 1);
    AttentionInput input = random_attention(c, 11);
    std::fill(input.k.begin(), input.k.end(), 0.5f);
    for (size_t i = 0; i < input.v.size(); ++i) input.v[i] = stored(c, static_cast<float>(i % 13));
    poison_tail(c, input, NAN);
    c.shown = true;
    ASSERT_EQ(check_attention(c, input), "");
    for (const float weight : run_attention(c, input).weights) {
      ASSERT_NEAR(weight, 1.0 / static_cast<double>(length), 1e-6);
    }
  }
}

// Far beyond exp's range: without subtracting the maximum this is inf/inf.
TEST_P(GpuAttention, ScoresOfAHundredDoNotOverflow) {
  for (const int64_t length : {40, 200}) {
    AttentionCase c = of({8, 2}, 64, length, 1);
    c.shown = true;
    const AttentionInput input = random_attention(c, 12, {16, 8, 1});
    const auto got = run_attention(c, input);
    ASSERT_EQ(judge(c, input, got), "") << c.name();
    EXPECT_GT(*std::ranges::max_element(got.scores), 100) << c.name();
    EXPECT_LT(*std::ranges::min_element(got.scores), -100) << c.name();
  }
}

// Sums that are rounded more coarsely are worse than fp32's, and within what that rounding allows.
TEST_P(GpuAttention, ReducedSumsAreWorseAndWithinTheirBound) {
  for (const int64_t length : {40, 140}) {
    AttentionCase c = of({8, 2}, 16, length, 1);
    const AttentionInput input = random_attention(c, 13, {0.5f, 0.5f, 1});
    double last = 0;
    for (const Accumulate accumulate : {Accumulate::f32, Accumulate::f16, Accumulate::bf16}) {
      c.accumulate = accumulate;
      const auto got = run_attention(c, input);
      ASSERT_EQ(judge(c, input, got), "") << c.name();
      double error = 0;
      for (int64_t head = 0; head < c.heads; ++head) {
        const HeadAnswer want = expected(c, input, 0, head);
        for (int64_t i = 0; i < c.head_dim; ++i) {
          const auto at = static_cast<size_t>(i);
          ASSERT_FALSE(std::isnan(want.bound[at])) << c.name();
          error +=
              std::pow(static_cast<double>(got.out[static_cast<size_t>(head * c.head_dim + i)]) -
                           want.out[at],
                       2);
        }
      }
      // f16 has thirteen bits less than fp32, bf16 three less than f16.
      EXPECT_GT(std::sqrt(error), (accumulate == Accumulate::bf16 ? 2 : 100) * last) << c.name();
      last = std::sqrt(error);
    }
  }
}

// After fused RoPE and KV update, token by token, against the oracle's own history and rotation.
TEST_P(GpuAttention, FollowsTheOracleFromBeforeRope) {
  const AttentionCase c = of({8, 2}, 32, 70, 1);
  History history({.layers = 1,
                   .heads = c.heads,
                   .kv_heads = c.kv_heads,
                   .head_dim = c.head_dim,
                   .kv_type = c.type == DType::f32   ? engine::KvType::f32
                              : c.type == DType::f16 ? engine::KvType::f16
                                                     : engine::KvType::bf16});
  std::vector<float> table;
  for (int64_t p = 0; p < c.keys(); ++p) {
    std::vector<double> one(static_cast<size_t>(c.head_dim)), turned(one.size());
    for (size_t i = 0; i < one.size(); i += 2) one[i] = 1;
    history.rope().rotate(p, one, turned);  // (1, 0) becomes (cos, sin)
    table.insert(table.end(), turned.begin(), turned.end());
  }
  AttentionCase before = c;
  before.pos0 = 0;
  before.rows = c.keys();
  AttentionCase plain = before;
  plain.type = DType::f32;
  const AttentionInput pre = random_attention(plain, 14, {2, 2, 1});
  // Rows (keys, kv_heads, head_dim), as the projections give them.
  const auto width = static_cast<size_t>(c.kv_heads * c.head_dim);
  const auto rows = static_cast<ptrdiff_t>(width) * c.keys();
  const AttentionInput other = random_attention(plain, 19, {2, 1, 1});
  const std::vector<float> k(other.q.begin(), other.q.begin() + rows);
  const std::vector<float> v(other.q.end() - rows, other.q.end());
  ASSERT_TRUE(history.remember_k(0, 0, c.keys(), k.data()));
  ASSERT_TRUE(history.remember_v(0, 0, c.keys(), v.data()));

  const KvMemory memory(c, {random_attention(c, 15)});
  const Buffer<float> by(table);
  for (int64_t position = 0; position < c.keys(); ++position) {
    const auto heads = static_cast<size_t>(c.heads * c.head_dim);
    const auto first = static_cast<size_t>(position);
    const Buffer<float> q(std::span(pre.q).subspan(first * heads, heads));
    const Buffer<float> k_row{std::span(k).subspan(first * width, width)};
    const Buffer<float> v_row{std::span(v).subspan(first * width, width)};
    const Buffer<int32_t> pos0(std::vector<int32_t>{static_cast<int32_t>(position)});
    gpu::FusedRopeKvUpdateOp update = {.q = q.span(), .k = k_row.span(), .v = v_row.read()};
    update.q_rotation = update.k_rotation = by.read();
    update.cache = memory.layer(0), update.pos0 = pos0.read(), update.heads = c.heads;
    ASSERT_EQ(device().run(update).error, "");
    AttentionCase one = c;
    one.pos0 = position;
    if (position % 23 != 0 && position + 1 != c.keys()) continue;
    const auto got = run_attention(one, q.download(), memory.layer(0));
    ASSERT_EQ(got.error, "");
    for (int64_t head = 0; head < c.heads; ++head) {
      const auto from = first * heads + static_cast<size_t>(head * c.head_dim);
      const HeadAnswer want =
          attend(std::span(pre.q).subspan(from, static_cast<size_t>(c.head_dim)), position,
                 history.stored(0, c.kv_of(head), 0, position + 1), history.rope());
      const auto result = compare(std::span(got.out).subspan(static_cast<size_t>(head * c.head_dim),
                                                             static_cast<size_t>(c.head_dim)),
                                  want);
      EXPECT_EQ(result.over_bound, 0) << c.name() << " position " << position << " head " << head;
    }
  }
}

TEST_P(GpuAttention, LaunchesWhatItSays) {
  AttentionCase c = of({8, 2}, 32, 300, 3);
  // A kernel that serves several arms has one name, whoever launched it first.
  c.accumulate = Accumulate::f16;
  ASSERT_EQ(run_attention(c, random_attention(c, 16)).error, "");
  c.accumulate = Accumulate::f32;
  const auto runs = [&] {
    std::vector<gpu::KernelRun> out;
    const auto add = [&](const std::string& op, const std::string& variant) {
      out.push_back(gpu::testing::run_of(device(), op, variant));
    };
    if (c.kernel == AttentionKernel::fused) {
      add("attention_fused", c.variant());
      add("attention_merge", kernels::to_string(c.type));
    } else {
      add("attention_scores", c.variant());
      add("attention_softmax", "f32");
      add("attention_values", c.variant());
    }
    return out;
  };
  const auto before = runs();
  ASSERT_EQ(run_attention(c, random_attention(c, 16)).error, "");
  const auto after = runs();
  for (size_t i = 0; i < after.size(); ++i) {
    EXPECT_EQ(after[i].launches, before[i].launches + 1) << after[i].id;
    EXPECT_EQ(after[i].grid[2], 3) << after[i].id;
    EXPECT_NE(after[i].code_hash, 0u) << after[i].id;
    EXPECT_TRUE(i == 0 || after[i].last == after[i - 1].last + 1) << after[i].id;
  }
  EXPECT_EQ(after[0].grid[0], 2);  // KV heads, never query heads
  EXPECT_EQ(after[0].grid[1], c.kernel == AttentionKernel::fused ? 3 : 10);
}

// Arms that a comparison calls different are different machine code.
TEST(GpuAttentionKernels, EveryArmIsCodeOfItsOwn) {
  std::vector<gpu::KernelRun> seen;
  for (const AttentionKernel kernel : {AttentionKernel::fused, AttentionKernel::manual}) {
    for (const Route route : {Route::valu, Route::mfma}) {
      for (const DType type : gpu::testing::kEveryKv) {
        for (const Accumulate accumulate : {Accumulate::f32, Accumulate::f16, Accumulate::bf16}) {
          AttentionCase c = {.heads = 2, .pos0 = 3, .type = type, .kernel = kernel, .route = route};
          c.accumulate = accumulate;
          ASSERT_EQ(check_attention(c, random_attention(c, 17)), "");
          const bool fused = kernel == AttentionKernel::fused;
          seen.push_back(gpu::testing::run_of(
              device(), fused ? "attention_fused" : "attention_scores", c.variant()));
          if (!fused)
            seen.push_back(gpu::testing::run_of(device(), "attention_values", c.variant()));
        }
      }
    }
  }
  for (size_t i = 0; i < seen.size(); ++i) {
    EXPECT_NE(seen[i].code_hash, 0u) << seen[i].id << " " << seen[i].variant;
    for (size_t j = 0; j < i; ++j) {
      EXPECT_NE(seen[i].code_hash, seen[j].code_hash)
          << seen[i].id << " " << seen[i].variant << ", " << seen[j].id << " " << seen[j].variant;
    }
  }
}

// The matrix unit that multiplies and adds in fp32 is another arithmetic, and as good.
TEST(GpuAttentionKernels, BothArithmeticsOfTheEmulatorStayWithinTheirBounds) {
  if (!gpu::testing::on_emulator()) GTEST_SKIP() << "a real matrix unit has one arithmetic";
  const auto other = gpu::testing::emulator(gpu::MfmaArithmetic::fma);
  for (const AttentionKernel kernel : {AttentionKernel::fused, AttentionKernel::manual}) {
    AttentionCase c = {.heads = 8, .kv_heads = 2, .head_dim = 64, .pos0 = 199, .type = DType::bf16};
    c.kernel = kernel, c.route = Route::mfma;
    const AttentionInput input = random_attention(c, 18);
    const auto cut = run_attention(c, input), fma = run_attention(c, input, *other);
    EXPECT_EQ(judge(c, input, cut), "");
    EXPECT_EQ(judge(c, input, fma, *other), "");
    EXPECT_FALSE(same_bits(cut.out, fma.out));
  }
}

}  // namespace
}  // namespace greta::reference
