// The kernels for the emulator, compiled by the host's compiler.
#include "gpu/device_ops.h"

namespace greta::kernels::gpu {

OpenDevice open_emu(ThreadPool& pool, MfmaArithmetic arithmetic) {
  return {std::make_unique<OpsDevice>(pool, arithmetic), ""};
}

}  // namespace greta::kernels::gpu
