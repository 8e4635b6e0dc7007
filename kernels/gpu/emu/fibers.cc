#include "gpu/emu/fibers.h"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <boost/context/stack_context.hpp>
#include <new>

namespace greta::kernels::gpu::emu {
namespace {

#if GRETA_ASAN
constexpr size_t kStackBytes = 256 << 10;  // its frames are larger
#else
constexpr size_t kStackBytes = 64 << 10;
#endif
// Frames of lanes that stop at one call would lie in the same sets of the first-level cache; each
// stack begins a little lower than the one before.
constexpr size_t kColours = 16, kColourBytes = 256;
// A guarded stack is two mappings, and Linux gives a process 65,530 of them.
constexpr int kGuarded = 8192;

std::atomic<int> stacks{0};

struct Stacks {
  size_t colour;
  Fiber* fiber;

  boost::context::stack_context allocate() const {
    const size_t guard = page(), bytes = guard + kStackBytes + kColours * kColourBytes;
    void* const base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (base == MAP_FAILED) throw std::bad_alloc();
    // Without a guard a stack works as well; it is only an overflow that would not be seen.
    if (stacks.fetch_add(1) < kGuarded) (void)mprotect(base, guard, PROT_NONE);
    boost::context::stack_context stack;
    stack.size = kStackBytes;
    stack.sp = static_cast<std::byte*>(base) + bytes - colour * kColourBytes;
    fiber->bottom = static_cast<std::byte*>(stack.sp) - stack.size;
    fiber->bytes = stack.size;
    return stack;
  }
  void deallocate(const boost::context::stack_context& stack) const {
    const size_t bytes = page() + kStackBytes + kColours * kColourBytes;
    munmap(static_cast<std::byte*>(stack.sp) + colour * kColourBytes - bytes, bytes);
    stacks.fetch_sub(1);
  }
  static size_t page() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }
};

}  // namespace

boost::context::fiber Fibers::live(Fiber& self, boost::context::fiber&& from) {
  arrived(self, std::move(from));
  while (!ending_) {
    Fiber& next = work_(owner_, self);
    resting_.push_back(&self);
    switch_to(next);
  }
  left_ = &self;
  leave(self, host_, true);
  return std::move(host_.context);
}

Fiber& Fibers::take() {
  if (!resting_.empty()) {
    Fiber& fiber = *resting_.back();
    resting_.pop_back();
    return fiber;
  }
  // Whatever rests has its place before, so that live() allocates nothing.
  made_.push_back(std::make_unique<Fiber>());
  resting_.reserve(made_.capacity());
  Fiber& fiber = *made_.back();
  fiber.context = boost::context::fiber(
      std::allocator_arg, Stacks{made_.size() % kColours, &fiber},
      [this, &fiber](boost::context::fiber&& from) { return live(fiber, std::move(from)); });
  return fiber;
}

Fibers::~Fibers() {
  ending_ = true;
  for (const auto& fiber : made_) switch_to(*fiber);
}

}  // namespace greta::kernels::gpu::emu
