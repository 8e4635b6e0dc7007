#pragma once
// For the tests of the GPU ops: the device that GRETA_TEST_DEVICE names (emu, cuda or hip; emu if
// it is not set), and memory of it that shows what a kernel did not write, and what it wrote
// outside.

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "kernels/gpu.h"

namespace greta::kernels::gpu::testing {

// Opened at the first call, and closed when the program ends; a program whose device cannot be
// opened ends at once: tests that ran nowhere must not pass.
Device& device();
// An emulator of its own.
std::unique_ptr<Device> emulator(MfmaArithmetic arithmetic);
inline bool on_emulator() { return device().target() == Target::emu; }
// GRETA_TEST_FULL=1: every combination instead of a covering choice of them.
bool full();

// Bytes of which floats, halves and bf16 are NaN, and an id is none that a kernel gives.
constexpr uint8_t kNan = 0xff, kNoId = 0x5a;

// `size` elements of device memory between two guards that nobody may write.
template <class T>
class Buffer {
 public:
  explicit Buffer(int64_t size, uint8_t poison = kNan, Device& on = device())
      : device_(on), size_(size), poison_(poison) {
    EXPECT_EQ(device_.allocate(2 * kGuard + bytes(), &memory_).error, "");
    EXPECT_EQ(device_.fill(memory_, kGuardByte, 2 * kGuard + bytes()).error, "");
    EXPECT_EQ(device_.fill(memory_ + kGuard, poison_, bytes()).error, "");
  }
  explicit Buffer(std::span<const T> values, Device& on = device())
      : Buffer(static_cast<int64_t>(values.size()), kNan, on) {
    EXPECT_EQ(device_.upload(memory_ + kGuard, values.data(), bytes()).error, "");
  }
  explicit Buffer(const std::vector<T>& values, Device& on = device())
      : Buffer(std::span<const T>(values), on) {}
  ~Buffer() {
    check_guards();
    device_.release(memory_);
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  T* data() const { return reinterpret_cast<T*>(memory_ + kGuard); }
  int64_t size() const { return size_; }
  Span<T> span() const { return {data(), size_}; }
  Span<const T> read() const { return {data(), size_}; }
  Span<std::byte> byte_span() const { return {memory_ + kGuard, bytes()}; }

  void poison() { EXPECT_EQ(device_.fill(memory_ + kGuard, poison_, bytes()).error, ""); }
  std::vector<T> download() const {
    std::vector<T> out(static_cast<size_t>(size_));
    EXPECT_EQ(device_.download(out.data(), memory_ + kGuard, bytes()).error, "");
    return out;
  }

 private:
  static constexpr int64_t kGuard = 256;
  static constexpr uint8_t kGuardByte = 0xa5;
  int64_t bytes() const { return size_ * static_cast<int64_t>(sizeof(T)); }
  void check_guards() const {
    std::vector<uint8_t> all(static_cast<size_t>(2 * kGuard + bytes()));
    EXPECT_EQ(device_.download(all.data(), memory_, 2 * kGuard + bytes()).error, "");
    for (int64_t i = 0; i < kGuard; ++i) {
      ASSERT_EQ(all[static_cast<size_t>(i)], kGuardByte) << kGuard - i << " bytes before";
      ASSERT_EQ(all[static_cast<size_t>(kGuard + bytes() + i)], kGuardByte) << i << " bytes after";
    }
  }
  Device& device_;
  std::byte* memory_ = nullptr;
  int64_t size_;
  uint8_t poison_;
};

// A weight matrix on the device, `offset` bytes after a multiple of 256.
class Weights {
 public:
  Weights(DType type, int64_t rows, int64_t columns, std::span<const std::byte> bytes,
          int64_t offset = 0)
      : memory_(shifted(bytes, offset)),
        matrix_{type, Span<const std::byte>(memory_.read()).sub(offset, memory_.size() - offset),
                rows, columns} {}
  const Matrix& matrix() const { return matrix_; }

 private:
  static std::vector<std::byte> shifted(std::span<const std::byte> bytes, int64_t offset) {
    std::vector<std::byte> out(static_cast<size_t>(offset), std::byte{0xff});
    out.insert(out.end(), bytes.begin(), bytes.end());
    return out;
  }
  Buffer<std::byte> memory_;
  Matrix matrix_;
};

// The run of an op with this variant, by the device's record; launches 0: there was none.
inline KernelRun run_of(const Device& on, const std::string& op, const std::string& variant) {
  for (const KernelRun& run : on.launched()) {
    if (run.op == op && run.variant == variant) return run;
  }
  return {};
}

constexpr DType kEveryWeight[] = {DType::f32,  DType::f16,  DType::bf16, DType::q8_0, DType::q4_0,
                                  DType::q5_0, DType::q4_k, DType::q5_k, DType::q6_k};
constexpr DType kEveryKv[] = {DType::f32, DType::f16, DType::bf16};

}  // namespace greta::kernels::gpu::testing
