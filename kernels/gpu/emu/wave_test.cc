// Lanes and waves that meet, and those that do not.

#include "gpu/wave.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gpu/emu/scheduler.h"
#include "kernels/thread_pool.h"

namespace greta::kernels::gpu {
namespace {

struct Case {
  const char* name;
  int threads;
  std::vector<const char*> fault;  // parts of what the fault says
  std::function<void(bool wrong)> kernel;
};

// In a line of its own, so that two calls of it are one place.
void meet() { (void)shuffle(1, 0); }

const Case kCases[] = {
    {"half a wave shuffles",
     64,
     {"divergent: lanes 0-31 at wave_test.cc:", " shuffle, lanes 32-63 ended"},
     [](bool wrong) {
       if (wrong && thread_index() >= 32) return;
       meet();
     }},
    {"two shuffles",
     64,
     {"divergent: lanes 0-31 at wave_test.cc:", ", lanes 32-63 at wave_test.cc:"},
     [](bool wrong) {
       if (wrong && thread_index() >= 32) {
         (void)shuffle(2, 0);
       } else {
         meet();
       }
     }},
    {"one lane sums",
     64,
     {"divergent: lanes 0-6 at ", "lane 7 at wave_test.cc:", "butterfly, lanes 8-63"},
     [](bool wrong) {
       if (wrong && thread_index() == 7) {
         (void)wave_sum(1);
       } else {
         meet();
       }
     }},
    {"a lane ends late",
     64,
     {"divergent: lane 0 at ", "wave fence, lanes 1-63 ended"},
     [](bool wrong) {
       meet();
       if (wrong && thread_index() == 0) wave_sync();
     }},
    {"a lane skips a barrier",
     128,
     {"divergent: lanes 0-62 at ", "block barrier, lane 63 ended"},
     [](bool wrong) {
       if (wrong && thread_index() == 63) return;
       block_sync();
     }},
    {"a wave skips a barrier",
     192,
     {"divergent barrier: wave 0 at ", "block barrier, wave 1 ended, wave 2 at "},
     [](bool wrong) {
       if (wrong && wave_index() == 1) return;
       block_sync();
     }},
    {"waves that ended in different places",
     256,
     {"divergent barrier: wave 0 at ", "block barrier, waves 1-2 ended, wave 3 at "},
     [](bool wrong) {
       if (wrong && wave_index() == 1) meet();
       if (wrong && (wave_index() == 1 || wave_index() == 2)) return;
       block_sync();
     }},
    {"two barriers",
     128,
     {"divergent barrier: wave 0 at ", "block barrier, wave 1 at "},
     [](bool wrong) {
       if (wrong && wave_index() == 1) {
         block_sync();
         return;
       }
       block_sync();
     }},
    {"a lane that is not there",
     100,
     {"shuffle from absent lane 63: the wave has 36"},
     [](bool wrong) { (void)shuffle(1, wrong ? 63 : 35); }},
    {"a lane that cannot be",
     64,
     {"shuffle from absent lane -1"},
     [](bool wrong) { (void)shuffle(1, wrong ? -1 : 0); }},
};

TEST(Wave, EveryDivergenceIsNamedAndItsCleanTwinPasses) {
  ThreadPool pool(1);
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    const emu::Launch launch{.kernel = "kernel", .grid = {}, .threads = c.threads};
    const auto clean = emu::run(launch, pool, [&] { c.kernel(false); });
    EXPECT_FALSE(clean) << clean->text();
    const auto fault = emu::run(launch, pool, [&] { c.kernel(true); });
    ASSERT_TRUE(fault);
    for (const char* part : c.fault) {
      EXPECT_NE(fault->what.find(part), std::string::npos) << part << "\n" << fault->text();
    }
    EXPECT_GT(fault->site.line, 0);
  }
}

TEST(Wave, ASumNeedsTheWholeWave) {
  ThreadPool pool(1);
  for (const int threads : {64, 63, 100, 128}) {
    const emu::Launch launch{.kernel = "sum", .grid = {}, .threads = threads};
    const auto fault = emu::run(launch, pool, [] { (void)wave_sum(1); });
    EXPECT_EQ(fault.has_value(), threads % emu::kLanes != 0) << threads;
    if (fault) {
      EXPECT_NE(fault->what.find("absent lanes"), std::string::npos) << fault->text();
    }
  }
}

TEST(Wave, ABadLaunchIsAFault) {
  ThreadPool pool(1);
  const emu::Launch bad[] = {{.kernel = "k", .grid = {}, .threads = 0},
                             {.kernel = "k", .grid = {}, .threads = 1025},
                             {.kernel = "k", .grid = {4, 0, 1}}};
  for (const auto& launch : bad) EXPECT_TRUE(emu::run(launch, pool, [] {}));
  EXPECT_FALSE(emu::run({.kernel = "k", .grid = {}, .threads = 1024}, pool, [] { block_sync(); }));
}

// Odd magnitudes, so that the order of a sum shows in its bits.
float uneven(int i) {
  return std::bit_cast<float>(0x3f000000u + 2654435761u * static_cast<uint32_t>(i) % 0x2000000u);
}

TEST(Wave, ASumIsOneTreeInEveryLane) {
  ThreadPool pool(1);
  float level[64];
  for (int l = 0; l < 64; ++l) level[l] = uneven(l);
  for (int width = 64; width > 1; width /= 2) {
    for (int i = 0; i < width / 2; ++i) level[i] = level[2 * i] + level[2 * i + 1];
  }
  float most = 0, in_order = 0;
  for (int l = 0; l < 64; ++l) {
    most = std::max(most, uneven(l));
    in_order += uneven(l);
  }
  EXPECT_NE(in_order, level[0]) << "the numbers do not tell one order from another";
  std::vector<float> sums(64), maxima(64);
  const auto fault = emu::run({.kernel = "sum"}, pool, [&] {
    Global<float>(sums.data(), 64).store(thread_index(), wave_sum(uneven(thread_index())));
    Global<float>(maxima.data(), 64).store(thread_index(), wave_max(uneven(thread_index())));
  });
  ASSERT_FALSE(fault) << fault->text();
  for (int l = 0; l < 64; ++l) {
    EXPECT_EQ(std::bit_cast<uint32_t>(sums[static_cast<size_t>(l)]),
              std::bit_cast<uint32_t>(level[0]));
    EXPECT_EQ(maxima[static_cast<size_t>(l)], most);
  }
}

TEST(Wave, ExchangesGiveWhatTheSourceGave) {
  ThreadPool pool(1);
  std::vector<double> out(128);
  std::vector<int> mirrored(128);
  const auto fault = emu::run({.kernel = "exchange", .grid = {}, .threads = 128}, pool, [&] {
    const int thread = thread_index();
    double value = thread;
    // Each overwrites what the one before gave.
    for (int i = 0; i < 5; ++i) value = shuffle(value + 0.25, (lane_index() + 1) % kWave);
    Global<double>(out.data(), 128).store(thread, value);
    Global<int>(mirrored.data(), 128).store(thread, shuffle_xor(thread, 63));
  });
  ASSERT_FALSE(fault) << fault->text();
  for (int t = 0; t < 128; ++t) {
    EXPECT_EQ(out[static_cast<size_t>(t)], t / 64 * 64 + (t + 5) % 64 + 1.25);
    EXPECT_EQ(mirrored[static_cast<size_t>(t)], t ^ 63);
  }
}

TEST(Wave, BarriersKeepWavesTogether) {
  ThreadPool pool(1);
  std::vector<float> out(256);
  const auto fault = emu::run({.kernel = "ring", .grid = {}, .threads = 250}, pool, [&] {
    GRETA_SHARED(float, ring, 250);
    ring.store(thread_index(), static_cast<float>(thread_index()));
    for (int step = 0; step < 10; ++step) {
      block_sync();
      const float next = ring.load((thread_index() + 100) % 250);
      block_sync();
      ring.store(thread_index(), next);
    }
    Global<float>(out.data(), 256).store(thread_index(), ring.load(thread_index()));
  });
  ASSERT_FALSE(fault) << fault->text();
  for (int t = 0; t < 250; ++t)
    EXPECT_EQ(out[static_cast<size_t>(t)], static_cast<float>((t + 1000) % 250));
}

TEST(Wave, EveryThreadOfAGridInThreeDimensionsRunsOnce) {
  for (const int workers : {1, 2, 3}) {
    ThreadPool pool(workers);
    const emu::Dim grid{5, 4, 3};
    std::vector<int> counts(5 * 4 * 3 * 70);
    const auto fault = emu::run({.kernel = "grid", .grid = grid, .threads = 70}, pool, [&] {
      const emu::Thread& self = emu::self();
      ASSERT_EQ(grid_x(), 5);
      ASSERT_EQ(grid_y(), 4);
      ASSERT_EQ(self.grid.z, 3);
      ASSERT_EQ(block_threads(), 70);
      ASSERT_EQ(block_waves(), 2);
      const int block = (block_z() * 4 + block_y()) * 5 + block_x();
      const Global<int> to(counts.data(), static_cast<int64_t>(counts.size()));
      const int i = block * 70 + thread_index();
      to.store(i, to.load(i) + 1);
    });
    EXPECT_FALSE(fault);
    EXPECT_TRUE(std::all_of(counts.begin(), counts.end(), [](int n) { return n == 1; }));
  }
}

TEST(Wave, TheFirstFaultIsReportedWhateverThePool) {
  using Clock = std::chrono::steady_clock;
  for (const int workers : {1, 2, 3}) {
    ThreadPool pool(workers);
    for (int repeat = 0; repeat < 20; ++repeat) {
      // Two faulty blocks: (6, 4, 1) and, next in order but with smaller x and y, (0, 0, 2). Where
      // there are workers for both they run at once, and each of them is the slower one in turn.
      std::atomic<int> begun{0};
      const auto fault = emu::run({.kernel = "many", .grid = {7, 5, 4}, .threads = 128}, pool, [&] {
        block_sync();
        const bool late = block_x() == 0 && block_y() == 0 && block_z() == 2;
        const bool faulty = late || (block_x() == 6 && block_y() == 4 && block_z() == 1);
        if (faulty && thread_index() == 0 && workers > 1) {
          ++begun;
          const auto until = Clock::now() + std::chrono::milliseconds(20);
          while (begun < 2 && Clock::now() < until) std::this_thread::yield();
          if (late == (repeat % 2 == 0)) std::this_thread::sleep_for(std::chrono::milliseconds(2));
        }
        if (faulty && thread_index() >= 77) emu::out_of_bounds(1, late, 1, emu::Site::here());
        block_sync();
      });
      ASSERT_TRUE(fault);
      EXPECT_EQ(fault->what, "out of bounds: element 0 of 1");
      EXPECT_EQ(fault->block.x, 6);
      EXPECT_EQ(fault->block.y, 4);
      EXPECT_EQ(fault->block.z, 1);
      EXPECT_EQ(fault->thread, 77);
    }
  }
}

TEST(Wave, AnAbandonedBlockDestroysItsLocals) {
  ThreadPool pool(1);
  const auto token = std::make_shared<int>(1);
  const auto fault = emu::run({.kernel = "locals", .grid = {}, .threads = 128}, pool, [&] {
    const auto held = token;
    const std::vector<int> more(100);
    block_sync();
    if (thread_index() == 70) emu::out_of_bounds(1, 1, 1, emu::Site::here());
    block_sync();
  });
  EXPECT_TRUE(fault);
  EXPECT_EQ(token.use_count(), 1);
  EXPECT_FALSE(
      emu::run({.kernel = "next", .grid = {}, .threads = 128}, pool, [] { block_sync(); }));
}

TEST(Wave, FibersAreUsedAgain) {
  emu::Scheduler scheduler;
  const emu::Launch launch{.kernel = "small", .grid = {1000, 1, 1}, .threads = 128};
  const std::function<void()> alone = [] {}, together = [] {
    (void)shuffle(1, 0);
    block_sync();
  };
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(scheduler.run_block(launch, {i, 0, 0}, alone));
  EXPECT_EQ(scheduler.fibers_made(), 1u) << "lanes that do not wait share a fiber";
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(scheduler.run_block(launch, {i, 0, 0}, together));
  EXPECT_EQ(scheduler.fibers_made(), 128u);
}

}  // namespace
}  // namespace greta::kernels::gpu
