// Small kernels, whole: what a kernel's author writes, through the headers that one includes.

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <type_traits>
#include <vector>

#include "gpu/mma.h"
#include "gpu/wave.h"
#include "kernels/thread_pool.h"

namespace greta::kernels::gpu {
namespace {

// out[row] = Σ x[row][…]² by a block of four waves a row.
void sum_of_squares(Global<const float, 16> x, Global<float> out, int columns) {
  GRETA_SHARED(float, of_waves, 4);
  const int64_t row = static_cast<int64_t>(block_x()) * columns;
  float sum = 0;
  for (int i = thread_index() * 4; i < columns; i += block_threads() * 4) {
    const auto pack = x.load_pack<4>(row + i);
    for (const float value : pack.at) sum += value * value;
  }
  sum = wave_sum(sum);
  if (lane_index() == 0) of_waves.store(wave_index(), sum);
  block_sync();
  if (thread_index() == 0) {
    float total = 0;
    for (int w = 0; w < block_waves(); ++w) total += of_waves.load(w);
    out.store(block_x(), total);
  }
}

TEST(Kernel, ABlockSumsARow) {
  constexpr int kRows = 9, kColumns = 2048;
  std::vector<float> x(static_cast<size_t>(kRows * kColumns));
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 13) - 6;
  for (const int workers : {1, 3}) {
    ThreadPool pool(workers);
    std::vector<float> out(kRows);
    const auto fault =
        emu::run({.kernel = "sum_of_squares", .grid = {kRows, 1, 1}, .threads = 256}, pool, [&] {
          sum_of_squares({x.data(), static_cast<int64_t>(x.size())}, {out.data(), kRows}, kColumns);
        });
    ASSERT_FALSE(fault) << fault->text();
    for (int row = 0; row < kRows; ++row) {
      float want = 0;  // of small integers: exact
      for (int i = 0; i < kColumns; ++i) {
        const float value = x[static_cast<size_t>(row * kColumns + i)];
        want += value * value;
      }
      EXPECT_EQ(out[static_cast<size_t>(row)], want);
    }
  }
}

// C (rows × columns) = A (rows × depth) · B (depth × columns), a tile a wave, B through shared
// memory.
template <class T>
void product(Global<const T> a, Global<const T> b, Global<float> c, int columns, int depth) {
  GRETA_SHARED(T, tile, Tile::kSide * Tile::kSide);
  const int row = block_y() * Tile::kSide, column = block_x() * Tile::kSide;
  Accumulator sum;
  for (int k = 0; k < depth; k += Tile::kSide) {
    for (int i = thread_index(); i < Tile::kSide * Tile::kSide; i += kWave) {
      tile.store(i, b.load((k + i / Tile::kSide) * columns + column + i % Tile::kSide));
    }
    wave_sync();
    Operand<T> in_a, in_b;
    for (int e = 0; e < Tile::kElements; ++e) {
      in_a.at[e] = a.load((row + Tile::a_row(e)) * depth + k + Tile::a_k(e));
      in_b.at[e] = tile.load(Tile::b_k(e) * Tile::kSide + Tile::b_column(e));
    }
    multiply_add(sum, in_a, in_b);
    wave_sync();
  }
  for (int e = 0; e < Tile::kElements; ++e) {
    c.store((row + Tile::d_row(e)) * columns + column + Tile::d_column(e), sum.at[e]);
  }
}

// Numbers that say where they were: no two elements of a row or column are equal, and A is not its
// transpose. All sums are exact in every arithmetic.
int code_a(int row, int k) { return (row * 5 + k * 3) % 61 - 17; }
int code_b(int k, int column) { return (k * 7 + column * 11) % 53 - 29; }

template <class T>
void check_product(emu::MfmaArithmetic arithmetic) {
  constexpr int kRows = 32, kColumns = 48, kDepth = 64;
  std::vector<T> a(static_cast<size_t>(kRows * kDepth)), b(static_cast<size_t>(kDepth * kColumns));
  for (int i = 0; i < kRows * kDepth; ++i) {
    a[static_cast<size_t>(i)] = from_float<T>(static_cast<float>(code_a(i / kDepth, i % kDepth)));
  }
  for (int i = 0; i < kDepth * kColumns; ++i) {
    b[static_cast<size_t>(i)] =
        from_float<T>(static_cast<float>(code_b(i / kColumns, i % kColumns)));
  }
  ThreadPool pool(2);
  std::vector<float> c(static_cast<size_t>(kRows * kColumns));
  const emu::Launch launch{.kernel = "product",
                           .grid = {kColumns / 16, kRows / 16, 1},
                           .threads = kWave,
                           .mfma = arithmetic};
  const auto fault = emu::run(launch, pool, [&] {
    product<T>({a.data(), kRows * kDepth}, {b.data(), kDepth * kColumns},
               {c.data(), kRows * kColumns}, kColumns, kDepth);
  });
  ASSERT_FALSE(fault) << fault->text();
  for (int i = 0; i < kRows * kColumns; ++i) {
    int want = 0;
    for (int k = 0; k < kDepth; ++k) want += code_a(i / kColumns, k) * code_b(k, i % kColumns);
    ASSERT_EQ(c[static_cast<size_t>(i)], static_cast<float>(want)) << i;
  }
}

TEST(Kernel, TilesOfEveryTypeMultiply) {
  for (const auto arithmetic : {emu::MfmaArithmetic::cdna3, emu::MfmaArithmetic::fma}) {
    check_product<float>(arithmetic);
    check_product<Bf16>(arithmetic);
    check_product<F16>(arithmetic);
  }
}

TEST(Kernel, ALaunchChoosesTheArithmetic) {
  // 1 + 2^-24 - 1: one rounding at the end, or one a step.
  for (const auto arithmetic : {emu::MfmaArithmetic::cdna3, emu::MfmaArithmetic::fma}) {
    ThreadPool pool(1);
    float first = NAN;
    const auto fault =
        emu::run({.kernel = "arithmetic", .grid = {}, .mfma = arithmetic}, pool, [&] {
          Operand<Bf16> a{}, b{};
          const float numbers[] = {1, 0x1p-24f, -1};
          for (int e = 0; e < 3 && thread_index() / 16 == 0; ++e) {
            a.at[e] = from_float<Bf16>(numbers[e]);
            b.at[e] = from_float<Bf16>(1);
          }
          Accumulator d;
          multiply_add(d, a, b);
          if (thread_index() == 0) first = d.at[0];
        });
    ASSERT_FALSE(fault) << fault->text();
    EXPECT_EQ(first, arithmetic == emu::MfmaArithmetic::cdna3 ? 0x1p-24f : 0.0f);
  }
}

// The map of the fp32 instruction itself, k and both sides told apart.
TEST(Kernel, TheFp32InstructionHasItsDocumentedLanes) {
  ThreadPool pool(1);
  std::vector<float> d(256);
  const auto fault = emu::run({.kernel = "mfma"}, pool, [&] {
    const int lane = thread_index();
    float sums[4];
    for (int r = 0; r < 4; ++r)
      sums[r] = static_cast<float>(1000 * (4 * (lane / 16) + r) + lane % 16);
    emu::mfma_f32_16x16x4_f32(sums, static_cast<float>(code_a(lane % 16, lane / 16)),
                              static_cast<float>(code_b(lane / 16, lane % 16)), emu::Site::here());
    for (int r = 0; r < 4; ++r)
      d[static_cast<size_t>((4 * (lane / 16) + r) * 16 + lane % 16)] = sums[r];
  });
  ASSERT_FALSE(fault) << fault->text();
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < 16; ++j) {
      int want = 1000 * i + j;
      for (int k = 0; k < 4; ++k) want += code_a(i, k) * code_b(k, j);
      EXPECT_EQ(d[static_cast<size_t>(i * 16 + j)], static_cast<float>(want));
    }
  }
}

TEST(Kernel, AMatrixProductNeedsTheWholeWave) {
  ThreadPool pool(1);
  for (const bool wrong : {false, true}) {
    const auto fault = emu::run({.kernel = "half"}, pool, [&] {
      if (wrong && lane_index() == 40) return;
      Accumulator d;
      multiply_add(d, Operand<F16>{}, Operand<F16>{});
    });
    EXPECT_EQ(fault.has_value(), wrong);
    if (fault) {
      EXPECT_NE(fault->what.find("matrix product, lane 40 ended"), std::string::npos)
          << fault->text();
    }
  }
}

TEST(Kernel, Bf16RoundsToNearestEven) {
  const struct {
    float x;
    uint16_t bits;
  } cases[] = {{1, 0x3f80},
               {1 + 0x1p-8f, 0x3f80},
               {1 + 0x1p-7f + 0x1p-8f, 0x3f82},
               {1 + 0x1p-8f + 0x1p-20f, 0x3f81},
               {-INFINITY, 0xff80},
               {0x1.ffp127f, 0x7f80}};
  for (const auto& c : cases) EXPECT_EQ(from_float<Bf16>(c.x).bits, c.bits) << c.x;
  EXPECT_TRUE(std::isnan(to_float(from_float<Bf16>(NAN))));
}

}  // namespace
}  // namespace greta::kernels::gpu
