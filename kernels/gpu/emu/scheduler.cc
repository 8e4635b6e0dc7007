#include "gpu/emu/scheduler.h"

#include <utility>

#include "gpu/emu/text.h"

namespace greta::kernels::gpu::emu {

constinit thread_local Thread* running = nullptr;

namespace {

const char* name(Operation operation) {
  switch (operation) {
    case Operation::none:
      return "none";
    case Operation::exchange:
      return "shuffle";
    case Operation::butterfly:
      return "butterfly";
    case Operation::wave_fence:
      return "wave fence";
    case Operation::block_barrier:
      return "block barrier";
    case Operation::mfma_f32:
    case Operation::mfma_bf16:
    case Operation::mfma_f16:
      return "matrix product";
    case Operation::ended:
      return "ended";
  }
  return "";
}

std::string whereabouts(Operation at, Site site) {
  if (at == Operation::ended) return "ended";
  return "at " + place(site) + " " + name(at);
}

std::string range(const char* what, int first, int last) {
  if (first == last) return std::string(what) + " " + std::to_string(first);
  return std::string(what) + "s " + std::to_string(first) + "-" + std::to_string(last);
}

// "lanes 0-31 at a.h:3 shuffle, lanes 32-63 ended": runs of those who are at one place.
template <class Item>
std::string gatherings(const char* what, const Item* items, int count) {
  constexpr int kMost = 8;
  std::string text;
  int runs = 0;
  for (int first = 0; first < count;) {
    int last = first;
    while (last + 1 < count && items[last + 1].at == items[first].at &&
           (items[first].at == Operation::ended ||
            same_site(items[last + 1].site, items[first].site))) {
      ++last;
    }
    if (runs++ == kMost) return text + ", …";
    if (!text.empty()) text += ", ";
    text += range(what, first, last) + " " + whereabouts(items[first].at, items[first].site);
    first = last + 1;
  }
  return text;
}

}  // namespace

Scheduler::Scheduler()
    : fibers_([](void* self,
                 Fiber& fiber) -> Fiber& { return static_cast<Scheduler*>(self)->work(fiber); },
              this),
      lanes_(kMaxThreads) {}

std::optional<Fault> Scheduler::run_block(const Launch& launch, Dim block,
                                          const std::function<void()>& body) {
  launch_ = &launch;
  body_ = &body;
  fault_.reset();
  shared_.begin_block();
  block_began_ = block_since_ = shared_.synchronise();
  wave_count_ = (launch.threads + kLanes - 1) / kLanes;
  for (int w = 0; w < wave_count_; ++w) {
    const int first = w * kLanes;
    Wave& wave = waves_[static_cast<size_t>(w)];
    wave = Wave{};
    wave.first = first;
    wave.lanes = std::min(kLanes, launch.threads - first);
    wave.since = block_began_;
  }
  for (int t = 0; t < launch.threads; ++t) {
    Lane& lane = lanes_[static_cast<size_t>(t)];
    lane.thread = t;
    lane.threads = launch.threads;
    lane.block = block;
    lane.grid = launch.grid;
    lane.scheduler = this;
    lane.fiber = nullptr;
    lane.at = Operation::none;
    lane.site = {};
  }
  wave_ = waves_.data();
  begins_ = next_lane();
  fibers_.switch_to(fibers_.take());
  if (fault_) {
    // What waits in a kernel leaves it, so that its fiber can rest and its locals are destroyed.
    for (int t = 0; t < launch.threads; ++t) {
      const Lane& lane = lanes_[static_cast<size_t>(t)];
      if (lane.fiber != nullptr && lane.at != Operation::ended) fibers_.switch_to(*lane.fiber);
    }
  }
  running = nullptr;
  return std::move(fault_);
}

// A fiber without a lane: runs those that have not begun, until one that waits elsewhere is next.
Fiber& Scheduler::work(Fiber& self) {
  for (Lane* lane = begins_;;) {
    run_lane(*lane, self);
    lane = fault_ ? nullptr : next_lane();
    if (lane == nullptr) return fibers_.host();
    if (lane->fiber != nullptr) return *lane->fiber;
  }
}

void Scheduler::run_lane(Lane& lane, Fiber& fiber) {
  lane.fiber = &fiber;
  running = &lane;
  try {
    (*body_)();
  } catch (const Abandoned&) {
  }
  lane.at = Operation::ended;
  ++waves_[static_cast<size_t>(lane.thread / kLanes)].ended;
}

Fiber& Scheduler::fiber_of(Lane& lane) {
  if (lane.fiber != nullptr) return *lane.fiber;
  begins_ = &lane;
  return fibers_.take();
}

// Who runs next; null when the block has ended or has a fault.
Lane* Scheduler::next_lane() {
  for (;;) {
    Wave& wave = *wave_;
    if (wave.next < wave.lanes) return &lanes_[static_cast<size_t>(wave.first + wave.next++)];
    if (wave.ended == wave.lanes) {
      wave.at = Operation::ended;
      if (!next_wave()) return nullptr;
    } else if (wave.arrived != wave.lanes || !wave.same) {
      divergent_wave(wave);
      return nullptr;
    } else if (wave.at == Operation::block_barrier) {
      if (!next_wave()) return nullptr;
    } else {
      if (!carry_out(wave)) return nullptr;
      wave.next = wave.arrived = 0;
    }
  }
}

// The current wave has ended or waits at a barrier. After the last one the barrier is complete.
bool Scheduler::next_wave() {
  if (wave_ + 1 < waves_.data() + wave_count_) {
    ++wave_;
    return true;
  }
  const Wave& first = waves_[0];
  for (int w = 1; w < wave_count_; ++w) {
    const Wave& wave = waves_[static_cast<size_t>(w)];
    if (wave.at != first.at || (wave.at != Operation::ended && !same_site(wave.site, first.site))) {
      return divergent_barrier();
    }
  }
  if (first.at == Operation::ended) return false;
  block_since_ = shared_.synchronise();
  for (int w = 0; w < wave_count_; ++w) {
    Wave& wave = waves_[static_cast<size_t>(w)];
    wave.next = wave.arrived = 0;
    wave.since = block_since_;
  }
  wave_ = waves_.data();
  return true;
}

bool Scheduler::divergent_wave(const Wave& wave) {
  const Lane* const lanes = &lanes_[static_cast<size_t>(wave.first)];
  const Lane* waits = lanes;
  while (waits->at == Operation::ended) ++waits;
  note(*waits, waits->site, "divergent: " + gatherings("lane", lanes, wave.lanes));
  return false;
}

bool Scheduler::divergent_barrier() {
  const Wave* waits = waves_.data();
  while (waits->at == Operation::ended) ++waits;
  note(lanes_[static_cast<size_t>(waits->first)], waits->site,
       "divergent barrier: " + gatherings("wave", waves_.data(), wave_count_));
  return false;
}

void Scheduler::note(const Lane& lane, Site site, std::string what) {
  // The first fault of a block is the cause; what others do on their way out is not.
  if (!fault_) fault_ = Fault{launch_->kernel, std::move(what), site, lane.block, lane.thread};
}

void Scheduler::fail(const Lane& lane, Site site, std::string what) {
  note(lane, site, std::move(what));
  throw Abandoned{};
}

}  // namespace greta::kernels::gpu::emu
