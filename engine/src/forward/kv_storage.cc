#include "forward/kv_storage.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <span>

namespace greta::engine {
namespace {

constexpr std::align_val_t kAlignment{64};

// A quiet NaN of the element type, as the bits of one element.
uint32_t poison_bits(KvType type) {
  switch (type) {
    case KvType::f32:
      return 0x7fc0dead;
    case KvType::f16:
      return 0x7ead;
    case KvType::bf16:
      return 0x7fde;
  }
  return 0;
}

// +0.5 or −0.5: an ordinary key or value.
uint32_t stale_bits(KvType type, uint64_t index) {
  const uint64_t mixed = (index + 1) * 0x9e3779b97f4a7c15;
  const bool negative = (mixed >> 63) != 0;
  switch (type) {
    case KvType::f32:
      return negative ? 0xbf000000 : 0x3f000000;
    case KvType::f16:
      return negative ? 0xb800 : 0x3800;
    case KvType::bf16:
      return negative ? 0xbf00 : 0x3f00;
  }
  return 0;
}

}  // namespace

void KvStorage::Free::operator()(std::byte* memory) const {
  ::operator delete[](memory, kAlignment);
}

KvStorage::KvStorage(KvType type, int64_t layers, int64_t kv_heads, int64_t capacity,
                     int64_t head_dim, SlotFill fill_kind)
    : fill_(fill_kind) {
  cache_ = {.type = type,
            .layers = layers,
            .kv_heads = kv_heads,
            .capacity = capacity,
            .head_dim = head_dim};
  const auto bytes = static_cast<size_t>(layers * cache_.layer_stride() * cache_.element_bytes());
  k_.reset(new (kAlignment) std::byte[bytes]);
  v_.reset(new (kAlignment) std::byte[bytes]);
  cache_.k = {k_.get(), bytes};
  cache_.v = {v_.get(), bytes};
  fill(capacity);
}

void KvStorage::reset() {
  // A fault may have written anywhere; without one nothing lies beyond the length.
  fill(fill_ == SlotFill::stale ? cache_.capacity : cache_.length);
  cache_.length = 0;
}

void KvStorage::fill(int64_t positions) {
  const auto element = static_cast<size_t>(cache_.element_bytes());
  for (int64_t head = 0; head < cache_.layers * cache_.kv_heads; ++head) {
    const int64_t first = head * cache_.head_stride();
    for (int64_t i = first; i < first + positions * cache_.head_dim; ++i) {
      const uint32_t bits = fill_ == SlotFill::stale
                                ? stale_bits(cache_.type, static_cast<uint64_t>(i))
                                : poison_bits(cache_.type);
      std::memcpy(&cache_.k[static_cast<size_t>(i) * element], &bits, element);
      std::memcpy(&cache_.v[static_cast<size_t>(i) * element], &bits, element);
    }
  }
}

}  // namespace greta::engine
