// Compiled while the image is built: a tool chain that cannot make gfx942 code with MFMA must fail
// there and not in somebody's experiment.
#include <hip/hip_runtime.h>

typedef float float4_acc __attribute__((ext_vector_type(4)));

__global__ void mfma_probe(const float* a, float4_acc* d) {
  const float4_acc zero = {0, 0, 0, 0};
  d[threadIdx.x] = __builtin_amdgcn_mfma_f32_16x16x4f32(a[threadIdx.x], a[threadIdx.x], zero, 0, 0, 0);
}

int main() {
  mfma_probe<<<1, 64>>>(nullptr, nullptr);
  return 0;
}
