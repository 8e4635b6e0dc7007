// The kernels for NVIDIA GPUs, compiled by nvcc (ci/build_cuda).
#include "gpu/device_ops.h"

namespace greta::kernels::gpu {

OpenDevice open_cuda() {
  auto device = std::make_unique<OpsDevice>();
  if (const Ran ran = device->open(); !ran.ok()) return {nullptr, "CUDA: " + ran.error};
  if (device->isa() != "sm_90") {
    return {nullptr, device->name() + " is " + device->isa() + "; the kernels are built for sm_90"};
  }
  return {std::move(device), ""};
}

}  // namespace greta::kernels::gpu
