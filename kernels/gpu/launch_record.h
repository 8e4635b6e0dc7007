#pragma once
// What was launched: one entry a kernel, found by its address.

#include <algorithm>
#include <string>
#include <vector>

#include "kernels/gpu.h"
#include "src/code_hash.h"

namespace greta::kernels::gpu {

struct Name {
  std::string op, variant;
};

class LaunchRecord {
 public:
  // The index of a kernel's entry, made when it is launched for the first time.
  size_t entry(const void* kernel, const Name& name, Target target) {
    const auto known = std::ranges::find(kernels_, kernel);
    if (known != kernels_.end()) return static_cast<size_t>(known - kernels_.begin());
    kernels_.push_back(kernel);
    KernelRun run;
    run.id = name.op + "." + to_string(target);
    run.op = name.op;
    run.variant = name.variant;
    run.code_hash = target == Target::emu ? code_hash(kernel) : device_code_hash(kernel);
    if (run.code_hash == 0) run.variant += "-unhashed";
    runs_.push_back(run);
    return runs_.size() - 1;
  }
  void count(size_t entry, const int (&grid)[3], int threads, int64_t launches = 1) {
    KernelRun& run = runs_[entry];
    std::copy(grid, grid + 3, run.grid);
    run.threads = threads;
    run.launches += launches;
    run.last = ++count_;
  }
  // Entries that only a graph holds so far have no launch.
  std::vector<KernelRun> launched() const {
    std::vector<KernelRun> out;
    std::ranges::copy_if(runs_, std::back_inserter(out),
                         [](const KernelRun& run) { return run.launches > 0; });
    return out;
  }

 private:
  int64_t count_ = 0;
  std::vector<const void*> kernels_;
  std::vector<KernelRun> runs_;
};

}  // namespace greta::kernels::gpu
