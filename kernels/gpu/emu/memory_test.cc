// Every misuse of memory has a kernel that commits it and a twin that does not.

#include <gtest/gtest.h>

#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "gpu/wave.h"
#include "kernels/thread_pool.h"

namespace greta::kernels::gpu {
namespace {

struct Case {
  const char* name;
  int threads;
  const char* fault;  // what the fault says; the clean twin has none
  int thread;
  std::function<void(bool wrong)> kernel;
};

// Memory of the kernels here; each test begins with zeros.
alignas(16) float memory[256];
Global<float, 16> eight() { return {memory, 8}; }

const Case kCases[] = {
    {"read beyond the end", 64, "out of bounds: element 8 of 8", 0,
     [](bool wrong) { (void)eight().load(wrong ? 8 : 7); }},
    {"read before the beginning", 64, "out of bounds: element -1 of 8", 0,
     [](bool wrong) { (void)eight().load(wrong ? -1 : 0); }},
    {"write beyond the end", 64, "out of bounds: element 8 of 8", 8,
     [](bool wrong) {
       if (wrong || thread_index() < 8) eight().store(thread_index(), 1);
     }},
    {"pack over the end", 64, "out of bounds: elements [6, 10) of 8", 0,
     [](bool wrong) { (void)eight().load_pack<4>(wrong ? 6 : 4); }},
    {"part that is not there", 64, "out of bounds: elements [4, 9) of 8", 0,
     [](bool wrong) { (void)eight().sub(4, wrong ? 5 : 4); }},
    {"part of a part", 64, "out of bounds: element 4 of 4", 0,
     [](bool wrong) { (void)eight().sub(4, 4).load(wrong ? 4 : 3); }},
    {"part of negative length", 64, "out of bounds: elements [4, 3) of 8", 0,
     [](bool wrong) { (void)eight().sub(4, wrong ? -1 : 0); }},
    {"misaligned read", 64, "misaligned: an access of 16 bytes, 8 bytes after a multiple of them",
     0, [](bool wrong) { (void)eight().load_pack<4>(wrong ? 2 : 4); }},
    {"misaligned write", 64, "misaligned: an access of 8 bytes, 4 bytes after a multiple of them",
     3,
     [](bool wrong) {
       if (thread_index() == 3) eight().store_pack<2>(wrong ? 3 : 2, {{1, 2}});
     }},
    {"shared read beyond the end", 64, "out of bounds: element 64 of 64", 0,
     [](bool wrong) {
       GRETA_SHARED(float, tile, 64);
       tile.store(thread_index(), 1);
       wave_sync();
       (void)tile.load(wrong ? 64 : 63);
     }},
    {"misaligned shared pack", 64, "misaligned: an access of 8 bytes", 1,
     [](bool wrong) {
       GRETA_SHARED(float, tile, 256);
       tile.store_pack<2>(thread_index() * (wrong ? 3 : 2), {{1, 2}});
     }},
    {"uninitialised", 64, "uninitialised read of shared memory: element 63", 0,
     [](bool wrong) {
       GRETA_SHARED(float, tile, 64);
       if (!wrong || thread_index() < 63) tile.store(thread_index(), 1);
       wave_sync();
       (void)tile.load(63 - thread_index());
     }},
    {"uninitialised part of a pack", 64, "uninitialised read of shared memory: element 3", 0,
     [](bool wrong) {
       GRETA_SHARED(uint16_t, tile, 8);
       if (thread_index() < (wrong ? 3 : 8)) tile.store(thread_index(), 1);
       wave_sync();
       (void)tile.load_pack<8>(0);
     }},
    {"read after another wave's write", 128,
     "race between waves: element 0 of shared memory declared at memory_test.cc:", 64,
     [](bool wrong) {
       GRETA_SHARED(float, tile, 128);
       tile.store(thread_index(), 1);
       if (!wrong) block_sync();
       if (wrong) wave_sync();
       (void)tile.load((thread_index() + 64) % 128 < 64 ? 0 : thread_index());
     }},
    {"write after another wave's read", 128, "written by thread 64, read by thread 0", 64,
     [](bool wrong) {
       GRETA_SHARED(float, tile, 64);
       if (thread_index() < 64) tile.store(thread_index(), 1);
       block_sync();
       if (thread_index() < 64) (void)tile.load(thread_index());
       if (!wrong) block_sync();
       if (thread_index() >= 64) tile.store(thread_index() - 64, 2);
     }},
    {"write after another wave's write", 128, "written by thread 64, written by thread 0", 64,
     [](bool wrong) {
       GRETA_SHARED(float, tile, 128);
       tile.store(wrong ? thread_index() % 64 : thread_index(), 1);
     }},
    // The reader of another wave is remembered although the writer itself read last.
    {"write after reads by several waves", 192, "written by thread 133, read by thread 69", 133,
     [](bool wrong) {
       GRETA_SHARED(float, tile, 64);
       if (thread_index() < 64) tile.store(thread_index(), 1);
       block_sync();
       (void)tile.load(thread_index() % 64);
       if (!wrong) block_sync();
       if (thread_index() == 133) tile.store(5, 2);
     }},
    {"read after another lane's write", 64, "race in a wave: element 1 of shared memory", 2,
     [](bool wrong) {
       GRETA_SHARED(float, tile, 64);
       tile.store(thread_index(), 1);
       if (!wrong) wave_sync();
       (void)tile.load(thread_index() > 1 ? thread_index() - 1 : thread_index());
     }},
    {"write after another lane's read", 64, "written by thread 9, read by thread 4", 9,
     [](bool wrong) {
       GRETA_SHARED(float, tile, 1);
       if (thread_index() == 0) tile.store(0, 1);
       wave_sync();
       if (thread_index() == 4) (void)tile.load(0);
       if (!wrong) wave_sync();
       if (thread_index() == 9) tile.store(0, 2);
     }},
    {"write after reads by several lanes", 64, "written by thread 9, read by thread 4", 9,
     [](bool wrong) {
       GRETA_SHARED(float, tile, 1);
       if (thread_index() == 0) tile.store(0, 1);
       wave_sync();
       if (thread_index() == 4) (void)tile.load(0);
       if (!wrong) wave_sync();
       if (thread_index() == 9) {
         (void)tile.load(0);
         tile.store(0, 2);
       }
     }},
    {"a shuffle does not order memory", 64, "race in a wave: element 0 of shared memory", 1,
     [](bool wrong) {
       GRETA_SHARED(float, tile, 1);
       if (thread_index() == 0) tile.store(0, 1);
       if (wrong) (void)shuffle(1, 0);
       if (!wrong) wave_sync();
       if (thread_index() == 1) (void)tile.load(0);
     }},
    {"bytes are elements of their own", 64, "race in a wave: element 7 of shared memory", 8,
     [](bool wrong) {
       GRETA_SHARED(uint8_t, tile, 64);
       tile.store(wrong && thread_index() == 8 ? 7 : thread_index(), 1);
       wave_sync();
       (void)tile.load_pack<16>(thread_index() / 16 * 16);
     }},
    {"eight bytes", 64, "uninitialised read of shared memory: element 1", 1,
     [](bool wrong) {
       GRETA_SHARED(double, tile, 64);
       if (!wrong || thread_index() == 0) tile.store(thread_index(), 1);
       (void)tile.load(thread_index());
     }},
};

TEST(Memory, EveryFaultIsNamedAndItsCleanTwinPasses) {
  ThreadPool pool(1);
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    const emu::Launch launch{.kernel = "kernel", .grid = {}, .threads = c.threads};
    const auto clean = emu::run(launch, pool, [&] { c.kernel(false); });
    EXPECT_FALSE(clean) << clean->text();
    const auto fault = emu::run(launch, pool, [&] { c.kernel(true); });
    ASSERT_TRUE(fault);
    EXPECT_NE(fault->what.find(c.fault), std::string::npos) << fault->text();
    EXPECT_EQ(fault->thread, c.thread) << fault->text();
    EXPECT_NE(std::string(fault->site.file).find("memory_test.cc"), std::string::npos);
  }
}

TEST(Memory, AFaultNamesTheLineOfTheAccess) {
  ThreadPool pool(1);
  int line = 0;
  const auto fault = emu::run({.kernel = "line"}, pool, [&] {
    line = __LINE__ + 1;
    (void)eight().load(8);
  });
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->site.line, line);
  EXPECT_EQ(fault->kernel, "line");
  EXPECT_THROW((void)eight().load(8), std::logic_error) << "outside of a launch";
}

TEST(Memory, SharedMemoryHas64KiB) {
  ThreadPool pool(1);
  const auto most = emu::run({.kernel = "fits"}, pool, [] {
    GRETA_SHARED(float, half, 8192);
    GRETA_SHARED(float, other, 8192);
    half.store(8191 - thread_index(), 1);
    other.store(thread_index(), 2);
  });
  EXPECT_FALSE(most) << most->text();
  const auto more = emu::run({.kernel = "does not"}, pool, [] {
    GRETA_SHARED(float, half, 8192);
    GRETA_SHARED(float, other, 8193);
    half.store(thread_index(), 1);
    other.store(thread_index(), 2);
  });
  ASSERT_TRUE(more);
  EXPECT_EQ(more->what, "shared memory: 65540 of 65536 bytes");
}

TEST(Memory, ABlockDoesNotSeeWhatTheOneBeforeWrote) {
  ThreadPool pool(1);
  const auto fault = emu::run({.kernel = "stale", .grid = {3, 1, 1}}, pool, [] {
    GRETA_SHARED(float, tile, 64);
    if (block_x() < 2) tile.store(thread_index(), 1);
    (void)tile.load(thread_index());
  });
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->block.x, 2);
}

TEST(Memory, UnwrittenSharedMemoryIsNan) {
  ThreadPool pool(1);
  bool nan = true;
  const auto fault = emu::run({.kernel = "poison", .grid = {2, 1, 1}}, pool, [&] {
    emu::SharedArray* const array = emu::shared_array(emu::Site::here(), 64 * sizeof(float));
    float* const raw = static_cast<float*>(emu::memory(array));
    nan = nan && std::isnan(raw[thread_index()]);
    raw[thread_index()] = 0;
  });
  EXPECT_FALSE(fault);
  EXPECT_TRUE(nan);
}

TEST(Memory, DifferentArraysAreDifferentMemory) {
  ThreadPool pool(1);
  std::vector<float> out(128);
  const Global<float> to(out.data(), 128);
  const auto fault = emu::run({.kernel = "two"}, pool, [&] {
    GRETA_SHARED(float, a, 64);
    GRETA_SHARED(uint8_t, between, 3);
    GRETA_SHARED(float, b, 64);
    if (thread_index() < 3) between.store(thread_index(), 9);
    a.store(thread_index(), static_cast<float>(thread_index()));
    b.store(thread_index(), static_cast<float>(100 + thread_index()));
    wave_sync();
    to.store(thread_index(), a.load(63 - thread_index()));
    to.store(64 + thread_index(), b.load(63 - thread_index()));
  });
  ASSERT_FALSE(fault) << fault->text();
  for (int i = 0; i < 64; ++i) {
    EXPECT_EQ(out[static_cast<size_t>(i)], static_cast<float>(63 - i));
    EXPECT_EQ(out[static_cast<size_t>(64 + i)], static_cast<float>(163 - i));
  }
}

TEST(Memory, AFaultSaysEverythingInOneLine) {
  const emu::Fault fault{"add", "out of bounds: element 8 of 8", {"/a/b/add.h", 12}, {1, 2, 3}, 5};
  EXPECT_EQ(fault.text(),
            "add: add.h:12: block (1, 2, 3), thread 5: out of bounds: element 8 of 8");
}

}  // namespace
}  // namespace greta::kernels::gpu
