// The kernels for AMD GPUs, compiled by hipcc for gfx942.
#include "gpu/device_ops.h"

namespace greta::kernels::gpu {

OpenDevice open_hip() {
  auto device = std::make_unique<OpsDevice>();
  if (const Ran ran = device->open(); !ran.ok()) return {nullptr, "HIP: " + ran.error};
  if (device->isa().rfind("gfx942", 0) != 0) {
    return {nullptr,
            device->name() + " is " + device->isa() + "; the kernels are built for gfx942"};
  }
  return {std::move(device), ""};
}

}  // namespace greta::kernels::gpu
