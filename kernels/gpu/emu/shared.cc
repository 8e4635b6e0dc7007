#include "gpu/emu/shared.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "gpu/emu/text.h"

namespace greta::kernels::gpu::emu {
namespace {

constexpr int64_t kAlignment = 16;
constexpr int kPoison = 0xff;  // a NaN in every float format

std::string of(const SharedArray& array, int64_t i) {
  return "element " + std::to_string(i) + " of shared memory declared at " + place(array.declared);
}
std::string retyped(const SharedArray& array, int64_t i, int64_t element_bytes) {
  return "shared memory: " + of(array, i) + " is accessed by " + std::to_string(element_bytes) +
         " bytes, before by " + std::to_string(array.element_bytes);
}
std::string race(const SharedArray& array, int64_t i, const char* access, int thread,
                 const char* other_access, int other) {
  const bool wave = thread / kLanes == other / kLanes;
  return std::string(wave ? "race in a wave: " : "race between waves: ") + of(array, i) + ": " +
         access + " by thread " + std::to_string(thread) + ", " + other_access + " by thread " +
         std::to_string(other) +
         (wave ? " since the last wave_sync" : " since the last block_sync");
}

}  // namespace

SharedMemory::SharedMemory() : memory_(kBytes + kAlignment), elements_(kBytes) {
  const auto misplaced = reinterpret_cast<uintptr_t>(memory_.data()) % kAlignment;
  base_ = memory_.data() + (kAlignment - misplaced) % kAlignment;
}

void SharedMemory::begin_block() {
  declared_ = 0;
  used_ = 0;
  if (now_ > std::numeric_limits<uint32_t>::max() / 2) {
    std::fill(elements_.begin(), elements_.end(), Element{});
    now_ = 1;
  }
}

SharedArray* SharedMemory::array(Site declared, int64_t bytes) {
  for (size_t i = 0; i < declared_; ++i) {
    if (same_site(arrays_[i].declared, declared) && arrays_[i].bytes == bytes) return &arrays_[i];
  }
  const int64_t at = (used_ + kAlignment - 1) / kAlignment * kAlignment;
  used_ = at + bytes;
  if (used_ > kBytes) return nullptr;
  if (declared_ == arrays_.size()) arrays_.emplace_back();
  SharedArray& array = arrays_[declared_++];
  // Elements are at least a byte, so that arrays never share one.
  array = {declared, bytes, base_ + at, elements_.data() + at, 0};
  std::memset(array.data, kPoison, static_cast<size_t>(bytes));
  return &array;
}

std::string SharedMemory::bad_read(const SharedArray& array, int64_t i, int64_t element_bytes,
                                   int thread, const Since& since) {
  if (array.element_bytes != element_bytes) return retyped(array, i, element_bytes);
  const Element& e = array.elements[i];
  if (e.wrote < since.block_began) return "uninitialised read of shared memory: " + of(array, i);
  return race(array, i, "read", thread, "written", e.writer);
}

std::string SharedMemory::bad_write(const SharedArray& array, int64_t i, int64_t element_bytes,
                                    int thread, const Since& since) {
  if (array.element_bytes != element_bytes) return retyped(array, i, element_bytes);
  const Element& e = array.elements[i];
  if (conflicts(e.wrote, e.writer, thread, since)) {
    return race(array, i, "written", thread, "written", e.writer);
  }
  const int other = conflicts(e.read, e.reader, thread, since) ? e.reader
                    : conflicts(e.read_in_wave, e.reader_in_wave, thread, since)
                        ? e.reader_in_wave
                        : e.reader_elsewhere;
  return race(array, i, "written", thread, "read", other);
}

}  // namespace greta::kernels::gpu::emu
