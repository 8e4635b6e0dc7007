#pragma once
// The forward pass on a device: the emulator, or a GPU.

#include <memory>

#include "contract/result.h"
#include "forward/backend.h"
#include "kernels/gpu.h"

namespace greta::engine {

// EngineExit::device where this program or this machine has no such device, with the reason.
Result<std::unique_ptr<Backend>> make_gpu_backend(kernels::gpu::Target target, const GgufFile& file,
                                                  const ModelConfig& config,
                                                  const BackendOptions& options, const Flags& flags,
                                                  const Faults& faults);

}  // namespace greta::engine
