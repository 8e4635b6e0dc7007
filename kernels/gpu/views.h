#pragma once
// The only ways to memory that a kernel has. On a GPU a view is a raw pointer; the emulator checks
// every access: extent, alignment of packs, shared memory that nobody has written, races.

#include "gpu/target.h"

namespace greta::kernels::gpu {
inline namespace GRETA_ON_TARGET {

// N elements that are read or written at once, N·sizeof(T) ≤ 16 bytes.
template <class T, int N>
struct alignas(N * sizeof(T)) Pack {
  T at[N];
};

#if GRETA_TARGET_EMU
#define GRETA_SITE , emu::Site site = emu::Site::here()
#define GRETA_ONLY_SITE emu::Site site = emu::Site::here()
#else
#define GRETA_SITE
#define GRETA_ONLY_SITE
#endif

// Elements [0, size) of global memory, which begins at a multiple of kAlign bytes. T is const where
// a kernel only reads. A pack may be no wider than kAlign: a kernel that asks for more than its
// view promises does not compile, and who makes the view checks the address (device_ops.h).
template <class T, int kAlign = static_cast<int>(alignof(T))>
class Global {
 public:
  using Value = std::remove_const_t<T>;
  Global() = default;
  GRETA_HOST_DEVICE Global(T* data, int64_t size) : data_(data), size_(size) {}
  // A view that promises more is one that promises less.
  template <int kMore>
  requires(kMore > kAlign) GRETA_HOST_DEVICE
      Global(const Global<T, kMore>& other)  // NOLINT: no information is lost that is needed
      : data_(other.data()), size_(other.size()) {}

  GRETA_DEVICE Value load(int64_t i GRETA_SITE) const {
#if GRETA_TARGET_EMU
    emu::check_global(data_, size_, i, 1, sizeof(T), site);
#endif
    return data_[i];
  }
  GRETA_DEVICE void store(int64_t i, Value value GRETA_SITE) const {
#if GRETA_TARGET_EMU
    emu::check_global(data_, size_, i, 1, sizeof(T), site);
#endif
    data_[i] = value;
  }
  // Elements [i, i + N); the address is a multiple of N·sizeof(T).
  template <int N>
  GRETA_DEVICE Pack<Value, N> load_pack(int64_t i GRETA_SITE) const {
    static_assert(N * sizeof(T) <= kAlign, "the pack is wider than the view's alignment");
#if GRETA_TARGET_EMU
    emu::check_global(data_, size_, i, N, sizeof(T), site);
#endif
    return *reinterpret_cast<const Pack<Value, N>*>(data_ + i);
  }
  template <int N>
  GRETA_DEVICE void store_pack(int64_t i, const Pack<Value, N>& value GRETA_SITE) const {
    static_assert(N * sizeof(T) <= kAlign, "the pack is wider than the view's alignment");
#if GRETA_TARGET_EMU
    emu::check_global(data_, size_, i, N, sizeof(T), site);
#endif
    *reinterpret_cast<Pack<Value, N>*>(data_ + i) = value;
  }
  // Elements [first, first + count); no more aligned than an element.
  GRETA_DEVICE Global<T> sub(int64_t first, int64_t count GRETA_SITE) const {
#if GRETA_TARGET_EMU
    emu::check_range(data_, size_, first, count, sizeof(T), site);
#endif
    return Global<T>(data_ + first, count);
  }
  GRETA_HOST_DEVICE T* data() const { return data_; }
  GRETA_HOST_DEVICE int64_t size() const { return size_; }

 private:
  T* data_ = nullptr;
  int64_t size_ = 0;
};

// Shared memory of a block: GRETA_SHARED(float, tile, 256) names 256 elements of it.
template <class T>
class Shared {
 public:
#if GRETA_TARGET_EMU
  Shared(emu::SharedArray* array, int size) : array_(array), size_(size) {}
  T load(int i GRETA_SITE) const {
    emu::check_shared_read(array_, size_, i, 1, sizeof(T), site);
    return data()[i];
  }
  void store(int i, T value GRETA_SITE) const {
    emu::check_shared_write(array_, size_, i, 1, sizeof(T), site);
    data()[i] = value;
  }
  template <int N>
  Pack<T, N> load_pack(int i GRETA_SITE) const {
    emu::check_shared_read(array_, size_, i, N, sizeof(T), site);
    return *reinterpret_cast<const Pack<T, N>*>(data() + i);
  }
  template <int N>
  void store_pack(int i, const Pack<T, N>& value GRETA_SITE) const {
    emu::check_shared_write(array_, size_, i, N, sizeof(T), site);
    *reinterpret_cast<Pack<T, N>*>(data() + i) = value;
  }

 private:
  T* data() const { return static_cast<T*>(emu::memory(array_)); }
  emu::SharedArray* array_;
  int size_;
#else
  GRETA_DEVICE explicit Shared(T* data) : data_(data) {}
  GRETA_DEVICE T load(int i) const { return data_[i]; }
  GRETA_DEVICE void store(int i, T value) const { data_[i] = value; }
  template <int N>
  GRETA_DEVICE Pack<T, N> load_pack(int i) const {
    return *reinterpret_cast<const Pack<T, N>*>(data_ + i);
  }
  template <int N>
  GRETA_DEVICE void store_pack(int i, const Pack<T, N>& value) const {
    *reinterpret_cast<Pack<T, N>*>(data_ + i) = value;
  }

 private:
  T* data_;
#endif
};

#if GRETA_TARGET_EMU
#define GRETA_SHARED(T, name, count) \
  const Shared<T> name(emu::shared_array(emu::Site::here(), (count) * sizeof(T)), count)
#else
#define GRETA_SHARED(T, name, count)                                \
  __shared__ __attribute__((aligned(16))) T name##_memory[(count)]; \
  const Shared<T> name(name##_memory)
#endif

}  // namespace GRETA_ON_TARGET
}  // namespace greta::kernels::gpu
