#pragma once
// Shared memory of the block that a host thread runs, and what is known of each of its elements:
// who wrote it, who has read it, and when. Time is a count of synchronisations, so that nothing has
// to be cleared between blocks: what is older than the block never happened in it.

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "gpu/emu/emu.h"

namespace greta::kernels::gpu::emu {

struct Element {
  // The last writer, the last reader, the last reader of the same wave but of another lane, the
  // last reader of another wave. A later access that conflicts with any access conflicts with one
  // of these.
  uint32_t wrote = 0, read = 0, read_in_wave = 0, read_elsewhere = 0;
  uint16_t writer = 0, reader = 0, reader_in_wave = 0, reader_elsewhere = 0;
};

struct SharedArray {
  Site declared;
  int64_t bytes = 0;
  std::byte* data = nullptr;
  Element* elements = nullptr;
  int64_t element_bytes = 0;  // of all accesses; 0 until the first
};

// Since when the accesses of others are not ordered before the caller's own.
struct Since {
  uint32_t block_began;  // what is older was never written
  uint32_t block_sync;   // for lanes of other waves
  uint32_t wave_sync;    // for other lanes of the same wave
};

class SharedMemory {
 public:
  static constexpr int64_t kBytes = 64 << 10;

  SharedMemory();
  void begin_block();
  uint32_t now() const { return now_; }
  uint32_t synchronise() { return ++now_; }
  // The array of that declaration; null if it does not fit.
  SharedArray* array(Site declared, int64_t bytes);
  int64_t used() const { return used_; }

  // Notes an access of `count` elements; the first element that must not be accessed so, or kFine.
  static constexpr int64_t kFine = -1;
  int64_t read(SharedArray& array, int64_t first, int64_t count, int64_t element_bytes, int thread,
               const Since& since) {
    if (array.element_bytes != element_bytes && !type(array, element_bytes)) return first;
    for (int64_t i = first; i < first + count; ++i) {
      Element& e = array.elements[i];
      if (e.wrote < since.block_began || conflicts(e.wrote, e.writer, thread, since)) return i;
      note_read(e, thread);
    }
    return kFine;
  }
  int64_t write(SharedArray& array, int64_t first, int64_t count, int64_t element_bytes, int thread,
                const Since& since) {
    if (array.element_bytes != element_bytes && !type(array, element_bytes)) return first;
    for (int64_t i = first; i < first + count; ++i) {
      Element& e = array.elements[i];
      if (conflicts(e.wrote, e.writer, thread, since) || read_by_other(e, thread, since)) return i;
      e.wrote = now_;
      e.writer = static_cast<uint16_t>(thread);
    }
    return kFine;
  }
  // What is wrong with element i, which read() or write() returned.
  static std::string bad_read(const SharedArray& array, int64_t i, int64_t element_bytes,
                              int thread, const Since& since);
  static std::string bad_write(const SharedArray& array, int64_t i, int64_t element_bytes,
                               int thread, const Since& since);

 private:
  static bool same_wave(int a, int b) { return a / kLanes == b / kLanes; }
  static bool conflicts(uint32_t time, int other, int thread, const Since& since) {
    return time >= since.block_sync && other != thread &&
           (!same_wave(other, thread) || time >= since.wave_sync);
  }
  static bool read_by_other(const Element& e, int thread, const Since& since) {
    return conflicts(e.read, e.reader, thread, since) ||
           conflicts(e.read_in_wave, e.reader_in_wave, thread, since) ||
           conflicts(e.read_elsewhere, e.reader_elsewhere, thread, since);
  }
  void note_read(Element& e, int thread) const {
    if (e.reader != thread) {
      // A reader of another wave takes the place of both: what it hides of its own wave's lanes
      // matters only to a write that already conflicts with the reader elsewhere.
      if (same_wave(e.reader, thread)) {
        e.read_in_wave = e.read;
        e.reader_in_wave = e.reader;
      } else {
        e.read_elsewhere = e.read;
        e.reader_elsewhere = e.reader;
        e.read_in_wave = 0;
      }
      e.reader = static_cast<uint16_t>(thread);
    }
    e.read = now_;
  }
  static bool type(SharedArray& array, int64_t element_bytes) {
    if (array.element_bytes == 0) array.element_bytes = element_bytes;
    return array.element_bytes == element_bytes;
  }

  std::vector<std::byte> memory_;
  std::byte* base_;  // 16-byte aligned, in memory_
  std::vector<Element> elements_;
  std::deque<SharedArray> arrays_;  // addresses stay; the block has `declared_` of them
  size_t declared_ = 0;
  int64_t used_ = 0;
  uint32_t now_ = 1;
};

}  // namespace greta::kernels::gpu::emu
