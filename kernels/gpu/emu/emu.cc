#include "gpu/emu/emu.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <mutex>
#include <stdexcept>

#include "convert.h"
#include "gpu/emu/scheduler.h"
#include "gpu/emu/text.h"
#include "kernels/thread_pool.h"

namespace greta::kernels::gpu::emu {
namespace {

Lane& this_lane() { return static_cast<Lane&>(*running); }

[[noreturn]] void fail(Site site, std::string what) {
  if (running == nullptr)
    throw std::logic_error("outside of a kernel: " + place(site) + ": " + what);
  const Lane& lane = this_lane();
  lane.scheduler->fail(lane, site, std::move(what));
}

std::string elements(int64_t first, int64_t count) {
  if (count == 1) return "element " + std::to_string(first);
  return "elements [" + std::to_string(first) + ", " + std::to_string(first + count) + ")";
}

// A host thread keeps its fibers from launch to launch.
Scheduler& scheduler_of_this_thread() {
  thread_local Scheduler scheduler;
  return scheduler;
}

std::string bad_launch(const Launch& launch) {
  if (launch.threads < 1 || launch.threads > kMaxThreads) {
    return "launch: " + std::to_string(launch.threads) + " threads a block, at most " +
           std::to_string(kMaxThreads);
  }
  if (launch.grid.x < 1 || launch.grid.y < 1 || launch.grid.z < 1) return "launch: an empty grid";
  return {};
}

}  // namespace

std::string Fault::text() const {
  const auto number = [](int i) { return std::to_string(i); };
  return kernel + ": " + place(site) + ": block (" + number(block.x) + ", " + number(block.y) +
         ", " + number(block.z) + "), thread " + number(thread) + ": " + what;
}

std::optional<Fault> run(const Launch& launch, ThreadPool& pool,
                         const std::function<void()>& body) {
  if (std::string what = bad_launch(launch); !what.empty()) {
    return Fault{launch.kernel, std::move(what), {}, {0, 0, 0}, 0};
  }
  const int64_t in_plane = static_cast<int64_t>(launch.grid.x) * launch.grid.y;
  const int64_t blocks = in_plane * launch.grid.z;
  // A piece is a few blocks, so that handing it out costs little and no worker waits long at the
  // end.
  const int64_t pieces = std::min<int64_t>(blocks, 16 * static_cast<int64_t>(pool.size()));
  std::mutex mutex;
  std::optional<Fault> first;
  std::atomic<int64_t> first_block{std::numeric_limits<int64_t>::max()};
  pool.run(static_cast<int32_t>(pieces), [&](int32_t piece, int) {
    Scheduler& scheduler = scheduler_of_this_thread();
    const int64_t end = blocks * (piece + 1) / pieces;
    for (int64_t i = blocks * piece / pieces; i < end; ++i) {
      // Blocks before a faulty one may have an earlier fault; those after it cannot matter.
      if (i > first_block.load(std::memory_order_relaxed)) return;
      const Dim block{static_cast<int>(i % launch.grid.x),
                      static_cast<int>(i % in_plane / launch.grid.x),
                      static_cast<int>(i / in_plane)};
      if (auto fault = scheduler.run_block(launch, block, body)) {
        const std::lock_guard lock(mutex);
        if (i < first_block) {
          first_block = i;
          first = std::move(fault);
        }
      }
    }
  });
  return first;
}

void out_of_bounds(int64_t size, int64_t first, int64_t count, Site site) {
  fail(site, "out of bounds: " + elements(first, count) + " of " + std::to_string(size));
}

void misaligned(const void* address, int64_t bytes, Site site) {
  const auto over = reinterpret_cast<uintptr_t>(address) % static_cast<uintptr_t>(bytes);
  fail(site, "misaligned: an access of " + std::to_string(bytes) + " bytes, " +
                 std::to_string(over) + " bytes after a multiple of them");
}

SharedArray* shared_array(Site declared, size_t bytes) {
  SharedMemory& shared = this_lane().scheduler->shared();
  SharedArray* const array = shared.array(declared, static_cast<int64_t>(bytes));
  if (array == nullptr) {
    fail(declared, "shared memory: " + std::to_string(shared.used()) + " of " +
                       std::to_string(SharedMemory::kBytes) + " bytes");
  }
  return array;
}

void* memory(SharedArray* array) { return array->data; }

namespace {

// One access to shared memory: `use` notes it, `explain` says what was wrong with it.
template <class Use, class Explain>
void check_shared(SharedArray* array, int64_t size, int64_t first, int64_t count,
                  int64_t element_bytes, Site site, const Use& use, const Explain& explain) {
  check_global(array->data, size, first, count, element_bytes, site);
  const Lane& lane = this_lane();
  const Since since = lane.scheduler->since(lane);
  const int64_t bad =
      (lane.scheduler->shared().*use)(*array, first, count, element_bytes, lane.thread, since);
  if (bad == SharedMemory::kFine) return;
  fail(site, explain(*array, bad, element_bytes, lane.thread, since));
}

}  // namespace

void check_shared_read(SharedArray* array, int64_t size, int64_t first, int64_t count,
                       int64_t element_bytes, Site site) {
  check_shared(array, size, first, count, element_bytes, site, &SharedMemory::read,
               &SharedMemory::bad_read);
}

void check_shared_write(SharedArray* array, int64_t size, int64_t first, int64_t count,
                        int64_t element_bytes, Site site) {
  check_shared(array, size, first, count, element_bytes, site, &SharedMemory::write,
               &SharedMemory::bad_write);
}

float f16_to_float(uint16_t bits) { return f16_to_f32(bits); }
uint16_t float_to_f16(float value) { return f32_to_f16(value); }

}  // namespace greta::kernels::gpu::emu
