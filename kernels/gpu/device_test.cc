#include <cstdio>
#include <cstdlib>
#include <string>

#include "gpu/testing/device.h"
#include "kernels/thread_pool.h"

namespace greta::kernels::gpu {
namespace testing {
namespace {

struct Opened {
  ThreadPool pool{2};
  std::unique_ptr<Device> device;
};
Opened* opened = nullptr;

// The device goes before the libraries that it stands on do.
class Closing : public ::testing::Environment {
  void TearDown() override {
    delete opened;
    opened = nullptr;
  }
};
[[maybe_unused]] const auto* const kClosing =
    ::testing::AddGlobalTestEnvironment(new Closing);  // GoogleTest owns it

}  // namespace

Device& device() {
  if (opened != nullptr) return *opened->device;
  opened = new Opened;
  const char* const wanted = std::getenv("GRETA_TEST_DEVICE");
  const std::string name = wanted == nullptr || *wanted == '\0' ? "emu" : wanted;
  OpenDevice found;
  if (name == "emu") {
    found = open_emu(opened->pool);
  } else if (name == "cuda") {
    found = open_cuda();
  } else if (name == "hip") {
    found = open_hip();
  } else {
    found.why_not = "GRETA_TEST_DEVICE is emu, cuda or hip";
  }
  if (found.device == nullptr) {
    std::fprintf(stderr, "%s: %s\n", name.c_str(), found.why_not.c_str());
    std::exit(1);
  }
  opened->device = std::move(found.device);
  return *opened->device;
}

std::unique_ptr<Device> emulator(MfmaArithmetic arithmetic) {
  static ThreadPool pool(2);
  return open_emu(pool, arithmetic).device;
}

bool full() {
  const char* const wanted = std::getenv("GRETA_TEST_FULL");
  return wanted != nullptr && std::string(wanted) == "1";
}

}  // namespace testing

namespace {

using testing::Buffer;
using testing::device;

TEST(GpuDevice, SaysWhatItIs) {
  EXPECT_FALSE(device().name().empty());
  EXPECT_FALSE(device().isa().empty());
  if (device().target() == Target::emu) {
    EXPECT_EQ(device().isa(), "emu64-cdna3");
    EXPECT_EQ(testing::emulator(MfmaArithmetic::fma)->isa(), "emu64-fma");
  }
}

TEST(GpuDevice, MovesBytes) {
  const std::vector<int32_t> values = {1, -2, 3, 1 << 30};
  const Buffer<int32_t> a(values), b(int64_t{4});
  ASSERT_EQ(device().copy(b.data() + 1, a.data(), 12).error, "");
  ASSERT_EQ(device().fill(b.data(), 7, 4).error, "");
  EXPECT_EQ(b.download(), (std::vector<int32_t>{0x07070707, 1, -2, 3}));
  ASSERT_EQ(device().synchronize().error, "");
}

// A captured graph reads what lies in device memory when it is replayed, and its launches count.
TEST(GpuDevice, ReplaysAGraph) {
  if (!device().has_graphs()) {
    EXPECT_EQ(device().begin_capture().error, "the emulator has no graphs");
    return;
  }
  const Buffer<float> a(std::vector<float>{1, 2}), b(std::vector<float>{10, 20});
  Buffer<float> out(int64_t{2});
  ASSERT_EQ(device().add({a.read(), b.read(), out.span()}).error, "");
  const int64_t before = testing::run_of(device(), "add", "f32").launches;
  std::unique_ptr<Graph> graph;
  ASSERT_EQ(device().begin_capture().error, "");
  ASSERT_EQ(device().add({a.read(), b.read(), out.span()}).error, "");
  ASSERT_EQ(device().end_capture(&graph).error, "");
  EXPECT_EQ(testing::run_of(device(), "add", "f32").launches, before);
  out.poison();
  const std::vector<float> other = {3, 4};
  ASSERT_EQ(device().upload(a.data(), other.data(), 8).error, "");
  ASSERT_EQ(device().replay(*graph).error, "");
  EXPECT_EQ(out.download(), (std::vector<float>{13, 24}));
  EXPECT_EQ(testing::run_of(device(), "add", "f32").launches, before + 1);
}

TEST(GpuDevice, CountsLaunchesAndHashesTheirCode) {
  const Buffer<float> a(std::vector<float>{1, 2}), out(int64_t{2});
  ASSERT_EQ(device().add({a.read(), a.read(), out.span()}).error, "");
  ASSERT_EQ(device().swiglu({a.read(), a.read(), out.span()}).error, "");
  const KernelRun add = testing::run_of(device(), "add", "f32");
  const KernelRun swiglu = testing::run_of(device(), "swiglu", "f32");
  EXPECT_NE(add.code_hash, 0u);
  EXPECT_NE(swiglu.code_hash, 0u);
  EXPECT_NE(add.code_hash, swiglu.code_hash);
  EXPECT_EQ(add.id, std::string("add.") + to_string(device().target()));
  EXPECT_LT(add.last, swiglu.last);
  EXPECT_EQ(add.grid[0], 1);
  ASSERT_EQ(device().add({a.read(), a.read(), out.span()}).error, "");
  EXPECT_EQ(testing::run_of(device(), "add", "f32").launches, add.launches + 1);
}

TEST(GpuDevice, RefusesInputsOfTwoSizes) {
  const Buffer<float> a(int64_t{4}), out(int64_t{4});
  const Span<const float> half = Span<const float>(a.read()).sub(0, 2);
  EXPECT_EQ(device().add({a.read(), half, out.span()}).error, "add: shapes");
  EXPECT_EQ(device().swiglu({half, a.read(), out.span()}).error, "swiglu: shapes");
  const Span<float> nothing = {out.data(), 0};
  EXPECT_EQ(device().add({nothing, nothing, nothing}).error, "add: shapes");
}

}  // namespace
}  // namespace greta::kernels::gpu
