// Faults that a kernel can have, put into it on purpose: what judges attention on a GPU must find
// each, and must not complain about the same launch without it.
#include <gtest/gtest.h>

#include <cmath>

#include "gpu_attention_case.h"

namespace greta::reference {
namespace {

using gpu::AttentionKernel;
using gpu::AttentionOp;
using gpu::KernelFault;
using gpu::Route;
using gpu::testing::Buffer;
using gpu::testing::device;
using kernels::DType;

constexpr AttentionKernel kKernels[] = {AttentionKernel::fused, AttentionKernel::manual};
constexpr Route kRoutes[] = {Route::valu, Route::mfma};

// The clean launch passes, the faulty one does not. Returns what was found.
std::string found(AttentionCase c, const AttentionInput& input, KernelFault fault) {
  EXPECT_EQ(check_attention(c, input), "");
  c.fault = fault;
  const std::string why = check_attention(c, input);
  EXPECT_NE(why, "") << c.name() << " was not caught";
  return why;
}

TEST(GpuFaultTransposedTile, IsBeyondTheBound) {
  for (const AttentionKernel kernel : kKernels) {
    for (const int64_t heads : {16, 8}) {
      const AttentionCase c = {
          .heads = heads, .head_dim = 32, .pos0 = 40, .kernel = kernel, .route = Route::mfma};
      (void)found(c, random_attention(c, 1), KernelFault::transposed_tile);
    }
  }
}

TEST(GpuFaultNoSplitRescale, IsBeyondTheBoundFromTheSecondSplitOn) {
  for (const Route route : kRoutes) {
    for (const int64_t length : {1, 127, 128, 129, 256, 300}) {
      AttentionCase c = {
          .heads = 8, .kv_heads = 2, .head_dim = 32, .pos0 = length - 1, .route = route};
      AttentionInput input = random_attention(c, 2);
      if (length <= 128) {
        const auto clean = run_attention(c, input);
        c.fault = KernelFault::no_split_rescale;
        EXPECT_EQ(run_attention(c, input).out, clean.out) << length;
        continue;
      }
      (void)found(c, input, KernelFault::no_split_rescale);
    }
  }
}

TEST(GpuFaultGqaMap, IsBeyondTheBound) {
  for (const AttentionKernel kernel : kKernels) {
    for (const Route route : kRoutes) {
      AttentionCase c = {
          .heads = 8, .kv_heads = 2, .head_dim = 32, .pos0 = 20, .kernel = kernel, .route = route};
      (void)found(c, random_attention(c, 3), KernelFault::gqa_map);
      // One KV head, or one query head for each: h mod Hkv is right, and nothing is to be found.
      for (const int64_t kv_heads : {1, 8}) {
        c.kv_heads = kv_heads;
        c.fault = KernelFault::gqa_map;
        EXPECT_EQ(check_attention(c, random_attention(c, 3)), "");
        c.fault = KernelFault::none;
      }
    }
  }
}

TEST(GpuFaultNoMaxSubtract, IsNanWhereScoresAreLarge) {
  for (const AttentionKernel kernel : kKernels) {
    for (const Route route : kRoutes) {
      AttentionCase c = {
          .heads = 8, .kv_heads = 2, .head_dim = 64, .pos0 = 150, .kernel = kernel, .route = route};
      const std::string why =
          found(c, random_attention(c, 4, {16, 8, 1}), KernelFault::no_max_subtract);
      EXPECT_NE(why.find("nan"), std::string::npos) << why;
      // Small scores need no subtraction.
      c.fault = KernelFault::no_max_subtract;
      EXPECT_EQ(check_attention(c, random_attention(c, 4)), "");
    }
  }
}

TEST(GpuFaultMisalignedLoad, IsNamed) {
  if (!gpu::testing::on_emulator())
    GTEST_SKIP() << "a GPU that traps is lost to the tests after it";
  for (const AttentionKernel kernel : kKernels) {
    for (const Route route : kRoutes) {
      const AttentionCase c = {
          .heads = 2, .head_dim = 32, .pos0 = 5, .kernel = kernel, .route = route};
      const std::string why = found(c, random_attention(c, 5), KernelFault::misaligned_load);
      EXPECT_NE(why.find("misaligned"), std::string::npos) << why;
    }
  }
}

// Every layer reads the slots of layer 0.
TEST(GpuFaultKvLayerBase, IsBeyondTheBoundInEveryOtherLayer) {
  for (const DType type : gpu::testing::kEveryKv) {
    for (const AttentionKernel kernel : kKernels) {
      const AttentionCase c = {
          .heads = 8, .kv_heads = 2, .head_dim = 32, .pos0 = 20, .type = type, .kernel = kernel};
      std::vector<AttentionInput> layers;
      for (const uint32_t seed : {6u, 7u, 8u}) layers.push_back(random_attention(c, seed));
      const KvMemory memory(c, layers);
      for (int64_t layer = 0; layer < 3; ++layer) {
        const AttentionInput& input = layers[static_cast<size_t>(layer)];
        EXPECT_EQ(judge(c, input, run_attention(c, input.q, memory.layer(layer))), "") << layer;
        const std::string why = judge(c, input, run_attention(c, input.q, memory.layer(0)));
        EXPECT_EQ(why.empty(), layer == 0) << layer << " " << why;
      }
    }
  }
}

// The newest token's K and V were not written: its slot holds what was there before.
TEST(GpuFaultStaleSlot, IsBeyondTheBound) {
  for (const DType type : gpu::testing::kEveryKv) {
    for (const int64_t length : {1, 17, 33, 129}) {
      const AttentionCase c = {
          .heads = 8, .kv_heads = 2, .head_dim = 32, .pos0 = length - 1, .type = type};
      const AttentionInput input = random_attention(c, 9);
      AttentionInput before = input;
      const AttentionInput older = random_attention(c, 10);
      std::vector<float> k, v;  // the newest rows (kv_heads, head_dim)
      for (int64_t h = 0; h < c.kv_heads; ++h) {
        const int64_t first = (h * c.capacity() + c.pos0) * c.head_dim;
        for (auto i = static_cast<size_t>(first); i < static_cast<size_t>(first + c.head_dim);
             ++i) {
          k.push_back(input.k[i]), v.push_back(input.v[i]);
          before.k[i] = older.k[i], before.v[i] = older.v[i];
        }
      }
      const KvMemory memory(c, {before});
      const std::string stale = judge(c, input, run_attention(c, input.q, memory.layer(0)));
      EXPECT_NE(stale, "") << c.name();
      const Buffer<float> ks(k), vs(v);
      const Buffer<int32_t> pos0(std::vector<int32_t>{static_cast<int32_t>(c.pos0)});
      ASSERT_EQ(
          device().run(gpu::KvUpdateOp{ks.read(), vs.read(), memory.layer(0), pos0.read()}).error,
          "");
      EXPECT_EQ(judge(c, input, run_attention(c, input.q, memory.layer(0))), "") << c.name();
    }
  }
}

// Faults are built for one kind of cache; another one says so instead of running without.
TEST(GpuFaultRefusals, SayWhereAFaultIsNotBuilt) {
  AttentionCase c = {.heads = 2, .head_dim = 32, .type = DType::f16};
  c.fault = KernelFault::gqa_map;
  EXPECT_EQ(run_attention(c, random_attention(c, 11)).error,
            "attention: faults are built for a cache of F32 and fp32 sums");
  c.type = DType::f32;
  c.fault = KernelFault::query_heads_in_grid;
  EXPECT_EQ(run_attention(c, random_attention(c, 11)).error, "attention: has no such fault");
}

// A cache and an op on it that runs, and one thing changed.
class GpuAttentionRefusals : public ::testing::Test {
 protected:
  const AttentionCase case_ = {.heads = 4, .kv_heads = 2, .head_dim = 16, .pos0 = 4};
  const AttentionInput input_ = random_attention(case_, 12);
  const KvMemory memory_{case_, {input_}};
  const Buffer<float> q_{input_.q}, out_{int64_t{64}}, shown_{int64_t{80}};
  const Buffer<int32_t> pos0_{std::vector<int32_t>{4, 4}};
  const Buffer<std::byte> scratch_{int64_t{4096}};

  AttentionOp op(AttentionKernel kernel) const {
    AttentionOp op = {.q = q_.read(),
                      .cache = memory_.layer(0),
                      .pos0 = pos0_.read().sub(0, 1),
                      .out = out_.span()};
    op.heads = 4, op.keys = 5, op.scale = 0.25f, op.kernel = kernel;
    op.scratch = scratch_.byte_span().sub(0, attention_scratch(op));
    return op;
  }
  template <class Change>
  void refuses(const std::string& why, const Change& change) const {
    for (const AttentionKernel kernel : kKernels) {
      AttentionOp changed = op(kernel);
      change(changed);
      EXPECT_EQ(device().run(changed).error, why);
    }
  }
};

TEST_F(GpuAttentionRefusals, NameTheOp) {
  refuses("", [](AttentionOp&) {});
  const auto shapes = [&](const auto& change) { refuses("attention: shapes", change); };
  shapes([](AttentionOp& op) { op.heads = 3; });
  shapes([](AttentionOp& op) { op.heads = 0; });
  shapes([](AttentionOp& op) { op.q = op.q.sub(0, 63); });
  shapes([](AttentionOp& op) { op.q = op.q.sub(0, 0); });
  shapes([](AttentionOp& op) { op.out = op.out.sub(0, 48); });
  shapes([](AttentionOp& op) { op.keys = 0; });
  shapes([](AttentionOp& op) { op.keys = op.cache.capacity + 1; });
  shapes([this](AttentionOp& op) { op.pos0 = pos0_.read(); });
  const auto cache = [&](const std::string& why, const auto& change) {
    refuses("attention: " + why, [&](AttentionOp& op) { change(op.cache); });
  };
  const auto head_dim = [&](int64_t dim) {
    cache("a cache of 2 KV heads, capacity 8, head_dim " + std::to_string(dim) +
              " (a multiple of 8 up to 128)",
          [&](gpu::KvLayer& c) { c.head_dim = dim; });
  };
  for (const int64_t dim : {12, 136, 0, 20}) head_dim(dim);
  cache("a cache of another size", [](gpu::KvLayer& c) { c.k.size -= 4; });
  cache("a cache of another size", [](gpu::KvLayer& c) { c.v.size += 4; });
  cache("the cache is not aligned to 16 bytes", [](gpu::KvLayer& c) { c.k.data += 4; });
  cache("the cache is not aligned to 16 bytes", [](gpu::KvLayer& c) { c.v.data += 8; });
  refuses("a KV cache of q8_0", [](AttentionOp& op) {
    op.cache.type = DType::q8_0;
    op.cache.k.size /= 2, op.cache.v.size /= 2;
  });
  refuses("attention: too little scratch", [](AttentionOp& op) { --op.scratch.size; });
  refuses("attention: q or scratch is not aligned to 16 bytes",
          [this](AttentionOp& op) { op.scratch = scratch_.byte_span().sub(4, op.scratch.size); });
  refuses("attention: room for scores and weights",
          [this](AttentionOp& op) { op.scores = shown_.span(); });
  refuses("attention: room for scores and weights",
          [this](AttentionOp& op) { op.scores = op.weights = shown_.span().sub(0, 19); });
}

}  // namespace
}  // namespace greta::reference
