#include "kernels/context.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <set>

#include "code_hash.h"
#include "kernels/kernels.h"
#include "testing/numbers.h"

namespace greta::kernels {
namespace {

TEST(ThreadPool, RunsEveryPieceOnceWithWorkersApart) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    std::vector<int> runs(13);
    std::vector<std::atomic<int>> busy(static_cast<size_t>(threads));
    bool shared = false;
    for (int round = 0; round < 2000; ++round) {
      pool.run(13, [&](int32_t piece, int worker) {
        auto& mine = busy[static_cast<size_t>(worker)];
        if (mine.fetch_add(1) != 0) shared = true;
        ++runs[static_cast<size_t>(piece)];
        mine.fetch_sub(1);
      });
    }
    EXPECT_EQ(std::ranges::count(runs, 2000), 13);
    EXPECT_FALSE(shared) << "two pieces ran with the same worker number at once";
  }
}

// While one worker is stuck in its piece the others finish the rest.
TEST(ThreadPool, NobodyWaitsForAWorkerThatHasNoPiece) {
  ThreadPool pool(3);
  std::atomic<int> others{0};
  pool.run(100, [&](int32_t piece, int) {
    if (piece == 99) {
      while (others.load() < 99) std::this_thread::yield();
    } else {
      ++others;
    }
  });
  EXPECT_EQ(others.load(), 99);
}

TEST(ThreadPool, SplitCoversTheRangeOnceAtMultiplesOfTheGrain) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    for (const int64_t count : {0, 1, 7, 8, 9, 100}) {
      for (const int64_t grain : {1, 8, 200}) {
        std::vector<int> hits(static_cast<size_t>(count));
        pool.split(count, grain, [&](int64_t begin, int64_t end, int) {
          EXPECT_EQ(begin % grain, 0);
          EXPECT_LT(begin, end);
          for (int64_t i = begin; i < end; ++i) ++hits[static_cast<size_t>(i)];
        });
        EXPECT_EQ(std::ranges::count(hits, 1), count) << threads << " " << count << " " << grain;
      }
    }
  }
}

TEST(Context, ScratchIsAlignedAndKept) {
  Context context(2);
  const auto first = context.scratch(1, 100);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(first.data()) % 64, 0u);
  EXPECT_EQ(context.scratch(1, 50).data(), first.data());
  EXPECT_NE(context.scratch(0, 50).data(), first.data());
}

// Every kernel that can run has a hash of its own, the same whenever it is asked for.
TEST(Identity, HashesDifferBetweenKernels) {
  struct Variant {
    Op op;
    DType type;
  };
  std::vector<Variant> variants;
  for (int i = 0; i < kOps; ++i) {
    const auto op = static_cast<Op>(i);
    if (op != Op::matmul_int8 && op != Op::matmul_int8_tiles) variants.push_back({op, DType::f32});
  }
  for (const DType type : {DType::f16, DType::bf16, DType::q8_0, DType::q4_0, DType::q5_0,
                           DType::q4_k, DType::q5_k, DType::q6_k}) {
    variants.push_back({Op::matmul, type});
    if (has_matmul_int8(type, 256)) {
      variants.push_back({Op::matmul_int8, type});
      variants.push_back({Op::matmul_int8_tiles, type});
    }
    if (is_quantised(type)) continue;
    variants.push_back({Op::attention_decode, type});
    variants.push_back({Op::attention_prefill, type});
  }
  std::set<uint64_t> hashes;
  std::set<std::string> names;
  for (const auto [op, type] : variants) {
    const KernelIdentity kernel = identity(op, type);
    EXPECT_NE(kernel.code_hash, 0u) << kernel.id;
    EXPECT_EQ(kernel.code_hash, identity(op, type).code_hash);
    hashes.insert(kernel.code_hash);
    names.insert(kernel.id + kernel.variant);
  }
  EXPECT_EQ(hashes.size(), variants.size());
  EXPECT_EQ(names.size(), variants.size());
  EXPECT_EQ(identity(Op::attention_decode, DType::f16).variant, isa() + "-f16");
}

TEST(Identity, CodeThatIsNotOurOwnHasNoHash) {
  EXPECT_EQ(code_hash(reinterpret_cast<const void*>(&std::strtol)), 0u);
  EXPECT_EQ(code_hash(nullptr), 0u);
}

TEST(Identity, EachInstructionSetIsAnotherVariant) {
  std::set<std::string> variants;
  std::set<uint64_t> hashes;
  size_t sets = 0;
  testing::on_every_isa([&](const std::string&) {
    const KernelIdentity kernel = identity(Op::matmul, DType::f16);
    variants.insert(kernel.variant);
    hashes.insert(kernel.code_hash);
    ++sets;
  });
  EXPECT_GE(sets, 1u);
  EXPECT_EQ(variants.size(), sets);
  EXPECT_EQ(hashes.size(), sets);
}

TEST(Context, CountsLaunches) {
  Context context(1);
  std::vector<float> x(16, 1.0f);
  const Rows<float> rows(x.data(), 1, 16);
  ASSERT_EQ(add(context, {.a = rows, .b = rows, .sum = rows}), Status::ok);
  ASSERT_EQ(add(context, {.a = rows, .b = rows, .sum = rows}), Status::ok);
  const Rows<float> wrong(x.data(), 1, 15);
  ASSERT_EQ(add(context, {.a = rows, .b = wrong, .sum = rows}), Status::bad_shape);
  const auto launched = context.launched();
  ASSERT_EQ(launched.size(), 1u);
  EXPECT_EQ(launched[0].kernel.id, "add.cpu");
  EXPECT_EQ(launched[0].launches, 2);
}

}  // namespace
}  // namespace greta::kernels
