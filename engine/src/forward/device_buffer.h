#pragma once
// Memory of a device, owned.

#include <cstddef>
#include <cstdint>
#include <utility>

#include "contract/result.h"
#include "kernels/gpu.h"

namespace greta::engine {

// EngineExit::device with what the device said.
inline Result<> ran(const kernels::gpu::Ran& result) {
  if (result.ok()) return {};
  return fail(EngineExit::device, result.error);
}

class DeviceBuffer {
 public:
  explicit DeviceBuffer(kernels::gpu::Device& device) : device_(&device) {}
  ~DeviceBuffer() { release(); }
  DeviceBuffer(DeviceBuffer&& other) noexcept
      : device_(other.device_),
        memory_(std::exchange(other.memory_, nullptr)),
        bytes_(std::exchange(other.bytes_, 0)) {}
  DeviceBuffer& operator=(DeviceBuffer&&) = delete;

  // At least so many bytes; what was in it is lost when it grows.
  Result<> reserve(int64_t bytes) {
    if (bytes <= bytes_) return {};
    release();
    TRY(ran(device_->allocate(bytes, &memory_)));
    bytes_ = bytes;
    return {};
  }
  // Reserves, and fills with a host's numbers.
  template <class T>
  Result<> assign(const T* values, int64_t count) {
    const int64_t bytes = count * static_cast<int64_t>(sizeof(T));
    TRY(reserve(bytes));
    return ran(device_->upload(memory_, values, bytes));
  }
  std::byte* data() const { return memory_; }
  int64_t bytes() const { return bytes_; }
  // The first `count` elements.
  template <class T>
  kernels::gpu::Span<T> span(int64_t count) const {
    return {reinterpret_cast<T*>(memory_), count};
  }

 private:
  void release() {
    if (memory_ != nullptr) device_->release(memory_);
    memory_ = nullptr;
    bytes_ = 0;
  }
  kernels::gpu::Device* device_;
  std::byte* memory_ = nullptr;
  int64_t bytes_ = 0;
};

}  // namespace greta::engine
