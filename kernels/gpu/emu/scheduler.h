#pragma once
// Runs one block at a time on one host thread. Lanes run one after the other, each to its next
// common operation or its end; a lane that comes to its end leaves its fiber to the next one, so
// that only what has to wait costs a fiber. When the last lane of a wave has arrived, the operation
// is carried out for all and the first lane goes on; at a barrier the next wave does.

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "gpu/emu/emu.h"
#include "gpu/emu/fibers.h"
#include "gpu/emu/shared.h"
#include "gpu/emu/text.h"

namespace greta::kernels::gpu::emu {

constexpr int kMaxThreads = 1024;

enum class Operation : uint8_t {
  none,
  exchange,
  butterfly,
  wave_fence,
  block_barrier,
  mfma_f32,
  mfma_bf16,
  mfma_f16,
  ended
};

class Scheduler;

struct Lane : Thread {
  Scheduler* scheduler = nullptr;
  Fiber* fiber = nullptr;  // from its beginning on
  Operation at = Operation::none;
  Site site;
  // What it gives to the operation, and takes from it.
  uint64_t bits = 0;
  int source = 0;
  float value = 0;
  void (*combine_all)(float (&values)[kLanes]) = nullptr;
  const void* a = nullptr;
  const void* b = nullptr;
  float* d = nullptr;
};

struct Wave {
  int first = 0, lanes = 0;
  int next = 0;     // the lane to run next
  int arrived = 0;  // at an operation
  int ended = 0;
  bool same = true;  // all that arrived are at the same operation
  Operation at = Operation::none;
  Site site;
  uint32_t since = 0;  // its last fence or barrier
};

class Scheduler {
 public:
  Scheduler();
  // The block's fault, if it has one.
  std::optional<Fault> run_block(const Launch& launch, Dim block,
                                 const std::function<void()>& body);

  // Called by the lane that runs.
  __attribute__((always_inline)) void arrive(Lane& lane, Operation operation, Site site) {
    Wave& wave = *wave_;
    lane.at = operation;
    lane.site = site;
    if (wave.arrived++ == 0) {
      wave.at = operation;
      wave.site = site;
    } else if (wave.at != operation || !same_site(wave.site, site)) {
      wave.same = false;
    }
    Lane* const next = next_lane();
    if (next == nullptr) throw Abandoned{};
    if (next != &lane) {
      fibers_.switch_to(fiber_of(*next));
      if (fault_) throw Abandoned{};
    }
    running = &lane;
  }
  [[noreturn]] void fail(const Lane& lane, Site site, std::string what);
  SharedMemory& shared() { return shared_; }
  Since since(const Lane& lane) const {
    return {block_began_, block_since_, waves_[static_cast<size_t>(lane.thread / kLanes)].since};
  }
  size_t fibers_made() const { return fibers_.made(); }

 private:
  struct Abandoned {};  // thrown through a kernel whose block has a fault

  Fiber& work(Fiber& self);
  void run_lane(Lane& lane, Fiber& fiber);
  Lane* next_lane();
  bool next_wave();
  Fiber& fiber_of(Lane& lane);
  bool carry_out(Wave& wave);
  bool exchange(Wave& wave);
  void multiply(Wave& wave);
  template <class T, int PerLane>
  void multiply_tiles(Wave& wave);
  void note(const Lane& lane, Site site, std::string what);
  bool divergent_wave(const Wave& wave);
  bool divergent_barrier();

  Fibers fibers_;
  SharedMemory shared_;
  std::vector<Lane> lanes_;
  std::array<Wave, kMaxThreads / kLanes> waves_;
  const Launch* launch_ = nullptr;
  const std::function<void()>* body_ = nullptr;
  int wave_count_ = 0;
  Wave* wave_ = nullptr;
  Lane* begins_ = nullptr;  // the lane that a fiber taken from its rest begins with
  uint32_t block_began_ = 0, block_since_ = 0;
  std::optional<Fault> fault_;
};

}  // namespace greta::kernels::gpu::emu
