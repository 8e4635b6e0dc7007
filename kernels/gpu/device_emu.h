#pragma once
// The emulator as a device: memory of the host, launches that are done when they return.

#include <cstdlib>
#include <cstring>

#include "gpu/launch_record.h"
#include "gpu/target.h"

namespace greta::kernels::gpu {
inline namespace GRETA_ON_TARGET {

class Runtime : public Device {
 public:
  Runtime(ThreadPool& pool, MfmaArithmetic arithmetic) : pool_(pool), arithmetic_(arithmetic) {}
  Target target() const override { return Target::emu; }
  std::string name() const override { return "emulated wave"; }
  std::string isa() const override {
    return arithmetic_ == MfmaArithmetic::cdna3 ? "emu64-cdna3" : "emu64-fma";
  }

  Ran allocate(int64_t bytes, std::byte** out) override {
    const auto whole = static_cast<size_t>((bytes + 255) / 256 * 256);
    *out = static_cast<std::byte*>(std::aligned_alloc(256, whole));
    if (*out == nullptr) return {"no memory for " + std::to_string(bytes) + " bytes"};
    return {};
  }
  void release(std::byte* memory) override { std::free(memory); }
  Ran upload(void* to, const void* from, int64_t bytes) override { return copy(to, from, bytes); }
  Ran download(void* to, const void* from, int64_t bytes) override { return copy(to, from, bytes); }
  Ran copy(void* to, const void* from, int64_t bytes) override {
    std::memmove(to, from, static_cast<size_t>(bytes));
    return {};
  }
  Ran fill(void* to, uint8_t byte, int64_t bytes) override {
    std::memset(to, byte, static_cast<size_t>(bytes));
    return {};
  }
  Ran synchronize() override { return {}; }
  bool has_graphs() const override { return false; }
  Ran begin_capture() override { return {"the emulator has no graphs"}; }
  Ran end_capture(std::unique_ptr<Graph>*) override { return {"the emulator has no graphs"}; }
  Ran replay(const Graph&) override { return {"the emulator has no graphs"}; }
  std::vector<KernelRun> launched() const override { return record_.launched(); }

 protected:
  template <class Args>
  Ran launch(const Name& name, void (*kernel)(Args), int x, int y, int z, int threads,
             const Args& args) {
    const int grid[3] = {x, y, z};
    const size_t entry = record_.entry(reinterpret_cast<const void*>(kernel), name, Target::emu);
    record_.count(entry, grid, threads);
    const emu::Launch what = {.kernel = name.op.c_str(),
                              .grid = {x, y, z},
                              .threads = threads,
                              .mfma = arithmetic_ == MfmaArithmetic::cdna3
                                          ? emu::MfmaArithmetic::cdna3
                                          : emu::MfmaArithmetic::fma};
    const auto fault = emu::run(what, pool_, [kernel, &args] { kernel(args); });
    if (fault) return {fault->text()};
    return {};
  }

 private:
  ThreadPool& pool_;
  MfmaArithmetic arithmetic_;
  LaunchRecord record_;
};

}  // namespace GRETA_ON_TARGET
}  // namespace greta::kernels::gpu
