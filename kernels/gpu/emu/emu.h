#pragma once
// The emulator: HIP kernels as ordinary functions of the host, run by blocks of fibers. Each thread
// of a block is one fiber; the 64 lanes of a wave advance together from one common operation
// (shuffle, sum, matrix product, fence) to the next, the waves of a block from one barrier to the
// next. It stops at what a GPU hides, and names the place.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace greta::kernels {
class ThreadPool;
}

namespace greta::kernels::gpu::emu {

constexpr int kLanes = 64;

// A line of a kernel's source.
struct Site {
  const char* file = "";
  int line = 0;
  static constexpr Site here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
};

struct Dim {
  int x = 1, y = 1, z = 1;
};

struct Thread {
  int thread = 0, threads = 0;  // index in the block, and how many it has
  Dim block, grid;
};
extern constinit thread_local Thread* running;    // null outside of a launch
inline const Thread& self() { return *running; }  // of the fiber that runs

// What stopped a launch. `what`: "out of bounds: element 12 of 8", "misaligned: …", "divergent …",
// "uninitialised read of shared memory …", "race …".
struct Fault {
  std::string kernel, what;
  Site site;
  Dim block;
  int thread = 0;
  std::string text() const;  // one line: kernel, place, thread, what
};

enum class MfmaArithmetic { cdna3, fma };

struct Launch {
  const char* kernel = "";
  Dim grid = {};
  int threads = kLanes;
  MfmaArithmetic mfma = MfmaArithmetic::cdna3;
};
// Runs `body` once a thread of every block; blocks are spread over the pool. The first fault, in
// the order of blocks, or none. Same bits for any size of the pool.
std::optional<Fault> run(const Launch& launch, ThreadPool& pool, const std::function<void()>& body);

// Memory. A fault ends the calling fiber's block; it does not return.
[[noreturn]] void out_of_bounds(int64_t size, int64_t first, int64_t count, Site site);
[[noreturn]] void misaligned(const void* address, int64_t bytes, Site site);
inline void check_range(const void*, int64_t size, int64_t first, int64_t count, int64_t,
                        Site site) {
  if (first < 0 || count < 0 || first > size || count > size - first) {
    out_of_bounds(size, first, count, site);
  }
}
inline void check_global(const void* data, int64_t size, int64_t first, int64_t count,
                         int64_t element_bytes, Site site) {
  check_range(data, size, first, count, element_bytes, site);
  const int64_t bytes = count * element_bytes;
  const auto address =
      reinterpret_cast<uintptr_t>(data) + static_cast<uintptr_t>(first * element_bytes);
  if (address % static_cast<uintptr_t>(bytes) != 0) {
    misaligned(reinterpret_cast<const void*>(address), bytes, site);
  }
}

struct SharedArray;  // an array of the running block, the same for all its threads
SharedArray* shared_array(Site declared, size_t bytes);
void* memory(SharedArray* array);
void check_shared_read(SharedArray* array, int64_t size, int64_t first, int64_t count,
                       int64_t element_bytes, Site site);
void check_shared_write(SharedArray* array, int64_t size, int64_t first, int64_t count,
                        int64_t element_bytes, Site site);

// Common operations of a wave: every lane gives 4 or 8 bytes. `exchange` returns what lane `source`
// gave; `butterfly` combines over distances 1, 2, 4, … 32 with f(own, other), as one operation.
uint64_t exchange_bits(uint64_t bits, int source, Site site);
float butterfly_by(float value, void (*combine_all)(float (&values)[kLanes]), Site site);
void wave_fence(Site site);
void block_barrier(Site site);

// F has no state, so that the whole butterfly is one function that the compiler sees through.
template <class F>
float butterfly(float value, F, Site site) {
  const auto combine_all = [](float(&values)[kLanes]) {
    float before[kLanes];
    for (int distance = 1; distance < kLanes; distance *= 2) {
      for (int l = 0; l < kLanes; ++l) before[l] = values[l];
      for (int l = 0; l < kLanes; ++l) values[l] = F{}(before[l], before[l ^ distance]);
    }
  };
  return butterfly_by(value, combine_all, site);
}
template <class T>
T exchange(T value, int source, Site site) {
  static_assert(sizeof(T) <= 8);
  uint64_t bits = 0;
  __builtin_memcpy(&bits, &value, sizeof value);
  bits = exchange_bits(bits, source, site);
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

// Matrix instructions of gfx942 by their documented lane maps: lane l gives A[l % 16][k] and
// B[k][l % 16] for k = l / 16 (f32), or k = 4·(l / 16) + 0 … 3 (16 bits); d[r] is
// D[4·(l / 16) + r][l % 16].
void mfma_f32_16x16x4_f32(float (&d)[4], float a, float b, Site site);
void mfma_f32_16x16x16_bf16(float (&d)[4], const uint16_t* a, const uint16_t* b, Site site);
void mfma_f32_16x16x16_f16(float (&d)[4], const uint16_t* a, const uint16_t* b, Site site);

float f16_to_float(uint16_t bits);
uint16_t float_to_f16(float value);  // nearest, ties to even

}  // namespace greta::kernels::gpu::emu
