#pragma once
// Fibers of one host thread, made once and used again: a fiber that has nothing to run rests until
// somebody takes it. Any fiber may switch to any other; none ever leaves its host thread.

#include <boost/context/fiber.hpp>
#include <cstddef>
#include <memory>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#define GRETA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GRETA_ASAN 1
#endif
#endif
#if GRETA_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

namespace greta::kernels::gpu::emu {

struct Fiber {
  boost::context::fiber context;  // where it goes on; empty while it runs
  // What AddressSanitizer wants to know of a stack that is left and entered.
  void* fake_stack = nullptr;
  const void* bottom = nullptr;
  size_t bytes = 0;
};

class Fibers {
 public:
  // What a fiber runs whenever it is taken from its rest; returns the fiber to go on with.
  using Work = Fiber& (*)(void* owner, Fiber& self);
  Fibers(Work work, void* owner) : work_(work), owner_(owner) {}
  ~Fibers();  // every fiber rests
  Fibers(const Fibers&) = delete;
  Fibers& operator=(const Fibers&) = delete;

  Fiber& host() { return host_; }  // the host thread's own stack
  Fiber& take();                   // one that rests, or a new one; switch to it next
  // Leaves the running fiber; returns when somebody switches to it. Inline, as is whatever calls it
  // for each lane: a CPU predicts no return address on another stack, and each return costs more
  // than the switch.
  __attribute__((always_inline)) void switch_to(Fiber& to) {
    Fiber& self = *running_;
    left_ = &self;
    leave(self, to, false);
    auto from = std::move(to.context).resume();
    arrived(self, std::move(from));
  }
  size_t made() const { return made_.size(); }

 private:
  boost::context::fiber live(Fiber& self, boost::context::fiber&& from);
  static void leave([[maybe_unused]] Fiber& from, [[maybe_unused]] const Fiber& to,
                    [[maybe_unused]] bool for_good) {
#if GRETA_ASAN
    __sanitizer_start_switch_fiber(for_good ? nullptr : &from.fake_stack, to.bottom, to.bytes);
#endif
  }
  void arrived(Fiber& self, boost::context::fiber&& from) {
    running_ = &self;
#if GRETA_ASAN
    __sanitizer_finish_switch_fiber(self.fake_stack, &left_->bottom, &left_->bytes);
#endif
    left_->context = std::move(from);
  }

  Work work_;
  void* owner_;
  Fiber host_;
  Fiber* running_ = &host_;
  Fiber* left_ = nullptr;  // the one that ran before running_
  bool ending_ = false;
  std::vector<std::unique_ptr<Fiber>> made_;
  std::vector<Fiber*> resting_;
};

}  // namespace greta::kernels::gpu::emu
