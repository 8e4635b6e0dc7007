// Times single ops on a device: where its kernels stand against the bytes that they must move.
//   gpu_bench [cuda|hip]      one JSON object a line; medians of repeated graphs
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "kernels/gpu.h"

namespace greta::kernels::gpu {
namespace {

using Clock = std::chrono::steady_clock;

void must(const Ran& ran) {
  if (ran.ok()) return;
  std::fprintf(stderr, "gpu_bench: %s\n", ran.error.c_str());
  std::exit(4);
}

// Memory that is given back when the program ends. Filled with numbers that are no zeros: some GPUs
// are faster on those.
std::byte* memory(Device& device, int64_t bytes) {
  std::byte* out = nullptr;
  must(device.allocate(bytes, &out));
  std::vector<uint32_t> numbers(1 << 20);
  uint32_t state = 1;
  for (uint32_t& number : numbers) {
    state = state * 1664525u + 1013904223u;
    number = 0x3c003c00u | (state & 0x83ff83ffu);  // finite as F32, F16 and BF16
  }
  const auto chunk = static_cast<int64_t>(numbers.size() * sizeof numbers[0]);
  for (int64_t at = 0; at < bytes; at += chunk) {
    must(device.upload(out + at, numbers.data(), std::min(chunk, bytes - at)));
  }
  return out;
}

// Median seconds of one call of `launch`, of `calls` captured in one graph.
double timed(Device& device, int calls, const std::function<void(int)>& launch) {
  std::unique_ptr<Graph> graph;
  launch(0);  // loads the kernel
  must(device.synchronize());
  must(device.begin_capture());
  for (int i = 0; i < calls; ++i) launch(i);
  must(device.end_capture(&graph));
  std::vector<double> samples;
  for (int sample = 0; sample < 15; ++sample) {
    const auto start = Clock::now();
    must(device.replay(*graph));
    must(device.synchronize());
    const std::chrono::duration<double> took = Clock::now() - start;
    if (sample >= 3) samples.push_back(took.count() / calls);
  }
  std::ranges::sort(samples);
  return samples[samples.size() / 2];
}

void say(const std::string& what, double seconds, double bytes, double copy) {
  std::printf("{\"what\":\"%s\",\"us\":%.2f,\"gb_s\":%.1f,\"of_copy\":%.3f}\n", what.c_str(),
              seconds * 1e6, bytes / seconds / 1e9, copy > 0 ? bytes / seconds / copy : 0);
  std::fflush(stdout);
}

// One row of a matrix product for the matrices of an 8B model, enough of them that no cache helps.
void bench_matmul(Device& device, DType type, int64_t outputs, int64_t columns, double copy) {
  const int64_t bytes = outputs * row_bytes(type, columns);
  const int sets = static_cast<int>(std::clamp<int64_t>((int64_t{1} << 30) / bytes, 2, 64));
  std::byte* const weights = memory(device, bytes * sets);
  auto* const x = reinterpret_cast<float*>(memory(device, columns * 4));
  auto* const out = reinterpret_cast<float*>(memory(device, outputs * 4));
  const double seconds = timed(device, sets, [&](int i) {
    must(device.run(MatmulOp{.weight = {type, {weights + i * bytes, bytes}, outputs, columns},
                             .x = {x, columns},
                             .out = {out, outputs}}));
  });
  say(std::string("matmul_rows ") + to_string(type) + " " + std::to_string(outputs) + "x" +
          std::to_string(columns),
      seconds, static_cast<double>(bytes), copy);
  for (std::byte* used :
       {weights, reinterpret_cast<std::byte*>(x), reinterpret_cast<std::byte*>(out)}) {
    device.release(used);
  }
}

// Decode attention of the 8B shape: 32 query heads, 8 KV heads of 128, a BF16 cache.
void bench_attention(Device& device, AttentionKernel kernel, Route route, int64_t keys,
                     double copy) {
  constexpr int64_t kHeads = 32, kKvHeads = 8, kHeadDim = 128;
  const int64_t half = kKvHeads * keys * kHeadDim * 2;
  const int sets = static_cast<int>(std::clamp<int64_t>((int64_t{1} << 29) / (2 * half), 2, 64));
  std::byte* const cache = memory(device, 2 * half * sets);
  auto* const q = reinterpret_cast<float*>(memory(device, kHeads * kHeadDim * 4));
  auto* const out = reinterpret_cast<float*>(memory(device, kHeads * kHeadDim * 4));
  auto* const position = reinterpret_cast<int32_t*>(memory(device, 4));
  const auto last = static_cast<int32_t>(keys - 1);
  must(device.upload(position, &last, 4));
  AttentionOp op = {.q = {q, kHeads * kHeadDim},
                    .pos0 = {position, 1},
                    .out = {out, kHeads * kHeadDim},
                    .heads = kHeads,
                    .keys = keys,
                    .scale = 0.088f,
                    .kernel = kernel,
                    .route = route,
                    .accumulate = Accumulate::f32};
  op.cache = {DType::bf16, {}, {}, kKvHeads, keys, kHeadDim};
  const int64_t scratch = attention_scratch(op);
  std::byte* const room = memory(device, scratch);
  op.scratch = {room, scratch};
  const double seconds = timed(device, sets, [&](int i) {
    op.cache.k = {cache + i * 2 * half, half};
    op.cache.v = {cache + i * 2 * half + half, half};
    must(device.run(op));
  });
  say(std::string(kernel == AttentionKernel::fused ? "attention fused " : "attention manual ") +
          (route == Route::mfma ? "mfma " : "valu ") + std::to_string(keys),
      seconds, 2.0 * static_cast<double>(half), copy);
  for (void* used : {static_cast<void*>(cache), static_cast<void*>(q), static_cast<void*>(out),
                     static_cast<void*>(position), static_cast<void*>(room)}) {
    device.release(static_cast<std::byte*>(used));
  }
}

int run(const std::string& target) {
  OpenDevice opened = target == "hip" ? open_hip() : open_cuda();
  if (opened.device == nullptr) {
    std::fprintf(stderr, "gpu_bench: %s\n", opened.why_not.c_str());
    return 4;
  }
  Device& device = *opened.device;
  constexpr int64_t kCopied = int64_t{1} << 32;
  std::byte* const from = memory(device, kCopied);
  std::byte* const to = memory(device, kCopied);
  const double seconds = timed(device, 1, [&](int) { must(device.copy(to, from, kCopied)); });
  device.release(from);
  device.release(to);
  const double copy = 2.0 * static_cast<double>(kCopied) / seconds;  // bytes read and written
  say("copy " + device.name(), seconds, 2.0 * static_cast<double>(kCopied), copy);
  constexpr int64_t kDim = 4096, kFfn = 14336;
  for (const DType type : {DType::bf16, DType::q8_0, DType::q4_k}) {
    bench_matmul(device, type, kDim, kDim, copy);
    bench_matmul(device, type, kFfn, kDim, copy);
    bench_matmul(device, type, kDim, kFfn, copy);
  }
  for (const int64_t keys : {206, 4096, 32768, 131072}) {
    for (const Route route : {Route::valu, Route::mfma}) {
      bench_attention(device, AttentionKernel::fused, route, keys, copy);
      bench_attention(device, AttentionKernel::manual, route, keys, copy);
    }
  }
  return 0;
}

}  // namespace
}  // namespace greta::kernels::gpu

int main(int argc, char** argv) {
  const std::string target = argc > 1 ? argv[1] : "cuda";
  if (target != "cuda" && target != "hip") {
    std::fprintf(stderr, "usage: gpu_bench [cuda|hip]\n");
    return 2;
  }
  return greta::kernels::gpu::run(target);
}
