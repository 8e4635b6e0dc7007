// Stored blocks of weights as fp32 lanes, on every instruction set. A block of kColumns weights is
// taken in kSteps steps, so that the blocks of several rows can take turns: step(s, f) calls
// f(i, weights [16·i, 16·i + 16) of the step) for each i in turn. Each weight has the value that
// the format defines (quant_blocks.h): scale · q − minimum, one rounding an operation.
//
// Where a register holds sixteen floats, the 16 (or 2 · 16) values that a sub-block's scale allows
// are computed once and looked up by the stored bits: the same values for a third of the work.
// Included once per target (Highway's foreach_target), hence the toggled guard.

#if defined(GRETA_KERNELS_BLOCKS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef GRETA_KERNELS_BLOCKS_INL
#undef GRETA_KERNELS_BLOCKS_INL
#else
#define GRETA_KERNELS_BLOCKS_INL
#endif

#include "quant_blocks.h"
#include "simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace greta::kernels::HWY_NAMESPACE {

// A broadcast from memory costs a load; the compiler would make it a permutation, of which there
// are too many already.
template <class T>
HWY_INLINE void keep_in_memory(T& values) {
  asm("" : "+m"(values));
}

using IntTag = hn::RebindToSigned<Tag>;
struct Ints {
  hn::Vec<IntTag> part[kParts];
};

HWY_INLINE Ints widen(const uint8_t* from) {
  const hn::Rebind<uint8_t, Tag> d8;
  Ints out;
  for (int p = 0; p < kParts; ++p) {
    out.part[p] = hn::PromoteTo(IntTag(), hn::LoadU(d8, from + p * kWidth));
  }
  return out;
}
HWY_INLINE Ints widen_signed(const uint8_t* from) {
  const hn::Rebind<int8_t, Tag> d8;
  Ints out;
  for (int p = 0; p < kParts; ++p) {
    const auto* at = reinterpret_cast<const int8_t*>(from) + p * kWidth;
    out.part[p] = hn::PromoteTo(IntTag(), hn::LoadU(d8, at));
  }
  return out;
}
HWY_INLINE Ints low_nibbles(const Ints& x) {
  Ints out;
  for (int p = 0; p < kParts; ++p) out.part[p] = hn::And(x.part[p], hn::Set(IntTag(), 15));
  return out;
}
HWY_INLINE Ints high_nibbles(const Ints& x) {
  Ints out;
  for (int p = 0; p < kParts; ++p) out.part[p] = hn::ShiftRight<4>(x.part[p]);
  return out;
}
HWY_INLINE Lanes to_float(const Ints& x) {
  Lanes out;
  for (int p = 0; p < kParts; ++p) out.part[p] = hn::ConvertTo(Tag(), x.part[p]);
  return out;
}
HWY_INLINE Ints iota() {
  Ints out;
  for (int p = 0; p < kParts; ++p) out.part[p] = hn::Iota(IntTag(), p * kWidth);
  return out;
}

HWY_INLINE Lanes broadcast_f16(const std::byte* from) {
  const auto bits = load_unaligned<uint16_t>(from);
#if HWY_TARGET <= HWY_AVX2  // one instruction (F16C)
  const hn::Rebind<uint16_t, Tag> d16;
  const hn::Rebind<hwy::float16_t, Tag> f16;
  const Vec value = hn::PromoteTo(Tag(), hn::BitCast(f16, hn::Set(d16, bits)));
  Lanes out;
  for (int p = 0; p < kParts; ++p) out.part[p] = value;
  return out;
#else
  return broadcast(f16_to_f32(bits));
#endif
}

// The weights that four stored bits can mean: (q + kOffset) · scale − minimum for q in 0 … 15.
template <int kOffset, bool kHasMinimum>
class Nibbles {
 public:
  HWY_INLINE Nibbles(const Lanes& scale, const Lanes& minimum) : scale_(scale), minimum_(minimum) {
    if constexpr (kParts == 1) table_ = value(iota());
  }
  HWY_INLINE Lanes of(const Ints& q) const {
    if constexpr (kParts == 1) {
      Lanes out;
      out.part[0] = hn::TableLookupLanes(table_.part[0], hn::IndicesFromVec(Tag(), q.part[0]));
      return out;
    } else {
      return value(q);
    }
  }

 private:
  HWY_INLINE Lanes value(Ints q) const {
    if constexpr (kOffset != 0) {
      for (int p = 0; p < kParts; ++p) {
        q.part[p] = hn::Add(q.part[p], hn::Set(IntTag(), kOffset));
      }
    }
    const Lanes product = mul(scale_, to_float(q));
    return kHasMinimum ? sub(product, minimum_) : product;
  }
  Lanes scale_, minimum_, table_;
};

// The same with a fifth bit: it is set where `bits` has `bit`.
template <int kOffset, bool kHasMinimum>
class FiveBits {
 public:
  HWY_INLINE FiveBits(const Lanes& scale, const Lanes& minimum)
      : low_(scale, minimum), high_(scale, minimum) {}
  HWY_INLINE Lanes of(Ints q, const Ints& bits, int32_t bit) const {
    Lanes out;
    const auto tested = hn::Set(IntTag(), bit);
    if constexpr (kParts == 1) {
      const auto set = hn::RebindMask(Tag(), hn::TestBit(bits.part[0], tested));
      out.part[0] = hn::IfThenElse(set, high_.of(q).part[0], low_.of(q).part[0]);
    } else {
      for (int p = 0; p < kParts; ++p) {
        const auto sixteen = hn::VecFromMask(IntTag(), hn::TestBit(bits.part[p], tested));
        q.part[p] = hn::Or(q.part[p], hn::And(sixteen, hn::Set(IntTag(), 16)));
      }
      out = low_.of(q);
    }
    return out;
  }

 private:
  Nibbles<kOffset, kHasMinimum> low_;
  Nibbles<kOffset + 16, kHasMinimum> high_;
};

class BlocksOfQ8 {
 public:
  static constexpr DType kType = DType::q8_0;
  static constexpr int64_t kColumns = 32;
  static constexpr int kSteps = 1;
  explicit HWY_INLINE BlocksOfQ8(const std::byte* block)
      : q_(bytes_at(block, 2)), scale_(broadcast_f16(block)) {}
  template <class F>
  HWY_INLINE void step(int, const F& f) const {
    f(0, mul(scale_, to_float(widen_signed(q_))));
    f(1, mul(scale_, to_float(widen_signed(q_ + 16))));
  }

 private:
  const uint8_t* q_;
  Lanes scale_;
};

class BlocksOfQ4 {
 public:
  static constexpr DType kType = DType::q4_0;
  static constexpr int64_t kColumns = 32;
  static constexpr int kSteps = 1;
  explicit HWY_INLINE BlocksOfQ4(const std::byte* block)
      : q_(bytes_at(block, 2)), weights_(broadcast_f16(block), zero()) {}
  template <class F>
  HWY_INLINE void step(int, const F& f) const {
    const Ints q = widen(q_);
    f(0, weights_.of(low_nibbles(q)));
    f(1, weights_.of(high_nibbles(q)));
  }

 private:
  const uint8_t* q_;
  Nibbles<-8, false> weights_;
};

class BlocksOfQ5 {
 public:
  static constexpr DType kType = DType::q5_0;
  static constexpr int64_t kColumns = 32;
  static constexpr int kSteps = 1;
  explicit HWY_INLINE BlocksOfQ5(const std::byte* block)
      : block_(block), weights_(broadcast_f16(block), zero()) {}
  template <class F>
  HWY_INLINE void step(int, const F& f) const {
    const Ints q = widen(bytes_at(block_, 6));
    const auto fifth = load_unaligned<uint32_t>(block_ + 2);
    f(0, weights_.of(low_nibbles(q), spread(fifth), 1));
    f(1, weights_.of(high_nibbles(q), spread(fifth >> 16), 1));
  }

 private:
  // Bit i at the bottom of lane i.
  static HWY_INLINE Ints spread(uint32_t bits) {
    Ints out = iota();
    const auto all = hn::Set(IntTag(), static_cast<int32_t>(bits & 0xffff));
    for (int p = 0; p < kParts; ++p) out.part[p] = hn::Shr(all, out.part[p]);
    return out;
  }
  const std::byte* block_;
  FiveBits<-16, false> weights_;
};

// Scales and minima of the eight sub-blocks of a q4_k or q5_k block.
struct SubBlocks {
  explicit HWY_INLINE SubBlocks(const std::byte* block) {
    const auto [scales, minima] = scales_minima(block);
    alignas(16) uint8_t packed[16];
#if HWY_TARGET == HWY_SCALAR
    std::memcpy(packed, &scales, 8);
    std::memcpy(packed + 8, &minima, 8);
#else  // one store, so that the load after it need not wait for two
    const hn::FixedTag<uint64_t, 2> d64;
    const auto both = hn::InterleaveLower(d64, hn::Set(d64, scales), hn::Set(d64, minima));
    hn::Store(both, d64, reinterpret_cast<uint64_t*>(packed));
#endif
    const Lanes six_bits = to_float(widen(packed));
    store(mul(broadcast_f16(block), six_bits), scale_);
    store(mul(broadcast_f16(block + 2), six_bits), minimum_);
    keep_in_memory(scale_);
    keep_in_memory(minimum_);
  }
  HWY_INLINE Lanes scale(int j) const { return broadcast(scale_[j]); }
  HWY_INLINE Lanes minimum(int j) const { return broadcast(minimum_[8 + j]); }

 private:
  alignas(64) float scale_[16];
  alignas(64) float minimum_[16];
};

class BlocksOfQ4K {
 public:
  static constexpr DType kType = DType::q4_k;
  static constexpr int64_t kColumns = 256;
  static constexpr int kSteps = 4;
  explicit HWY_INLINE BlocksOfQ4K(const std::byte* block)
      : q_(bytes_at(block, 16)), sub_blocks_(block) {}
  template <class F>
  HWY_INLINE void step(int s, const F& f) const {
    const Nibbles<0, true> even(sub_blocks_.scale(2 * s), sub_blocks_.minimum(2 * s));
    const Nibbles<0, true> odd(sub_blocks_.scale(2 * s + 1), sub_blocks_.minimum(2 * s + 1));
    const Ints q0 = widen(q_ + 32 * s), q1 = widen(q_ + 32 * s + 16);
    f(0, even.of(low_nibbles(q0)));
    f(1, even.of(low_nibbles(q1)));
    f(2, odd.of(high_nibbles(q0)));
    f(3, odd.of(high_nibbles(q1)));
  }

 private:
  const uint8_t* q_;
  SubBlocks sub_blocks_;
};

class BlocksOfQ5K {
 public:
  static constexpr DType kType = DType::q5_k;
  static constexpr int64_t kColumns = 256;
  static constexpr int kSteps = 4;
  explicit HWY_INLINE BlocksOfQ5K(const std::byte* block)
      : fifth_(bytes_at(block, 16)), q_(bytes_at(block, 48)), sub_blocks_(block) {}
  template <class F>
  HWY_INLINE void step(int s, const F& f) const {
    const FiveBits<0, true> even(sub_blocks_.scale(2 * s), sub_blocks_.minimum(2 * s));
    const FiveBits<0, true> odd(sub_blocks_.scale(2 * s + 1), sub_blocks_.minimum(2 * s + 1));
    const Ints q0 = widen(q_ + 32 * s), q1 = widen(q_ + 32 * s + 16);
    const Ints fifth0 = widen(fifth_), fifth1 = widen(fifth_ + 16);
    f(0, even.of(low_nibbles(q0), fifth0, 1 << 2 * s));
    f(1, even.of(low_nibbles(q1), fifth1, 1 << 2 * s));
    f(2, odd.of(high_nibbles(q0), fifth0, 2 << 2 * s));
    f(3, odd.of(high_nibbles(q1), fifth1, 2 << 2 * s));
  }

 private:
  const uint8_t* fifth_;
  const uint8_t* q_;
  SubBlocks sub_blocks_;
};

// A step is half a block, 128 weights in quarters: quarter k has the nibbles k / 2 of the low bytes
// 32 · (k % 2) … and the bits 2k, 2k + 1 of the high bytes.
class BlocksOfQ6K {
 public:
  static constexpr DType kType = DType::q6_k;
  static constexpr int64_t kColumns = 256;
  static constexpr int kSteps = 2;
  explicit HWY_INLINE BlocksOfQ6K(const std::byte* block) : block_(block) {
    const Lanes d = broadcast_f16(block + 208);
    store(mul(d, to_float(widen_signed(bytes_at(block, 192)))), scale_);
    keep_in_memory(scale_);
  }
  template <class F>
  HWY_INLINE void step(int s, const F& f) const {
    const uint8_t* low = bytes_at(block_, 64 * s);
    const uint8_t* high = bytes_at(block_, 128 + 32 * s);
    const float* scale = scale_ + 8 * s;
    quarter<0>(low, high, scale, f);
    quarter<1>(low, high, scale, f);
    quarter<2>(low, high, scale, f);
    quarter<3>(low, high, scale, f);
  }

 private:
  template <int k, class F>
  static HWY_INLINE void quarter(const uint8_t* low, const uint8_t* high, const float* scale,
                                 const F& f) {
    for (int i = 0; i < 2; ++i) {
      Ints q = widen(low + 32 * (k % 2) + 16 * i);
      q = k < 2 ? low_nibbles(q) : high_nibbles(q);
      const Ints top = widen(high + 16 * i);
      for (int p = 0; p < kParts; ++p) {
        const auto two = hn::And(top.part[p], hn::Set(IntTag(), 3 << 2 * k));
        const auto placed = k < 2                    ? hn::ShiftLeft < k < 2 ? 4 - 2 * k : 0 > (two)
                                               : hn::ShiftRight < k < 2 ? 0
                                                     : 2 * k - 4 > (two);
        q.part[p] = hn::Sub(hn::Or(q.part[p], placed), hn::Set(IntTag(), 32));
      }
      f(2 * k + i, mul(broadcast(scale[2 * k + i]), to_float(q)));
    }
  }
  const std::byte* block_;
  alignas(64) float scale_[16];
};

// Stored floats: a block is kChunks · 16 of them.
template <class Float, int kChunks>
class BlocksOfFloats {
 public:
  using From = Float;
  static constexpr DType kType = From::kType;
  static constexpr int64_t kColumns = 16 * kChunks;
  static constexpr int kSteps = 1;
  explicit HWY_INLINE BlocksOfFloats(const std::byte* block) : block_(block) {}
  template <class F>
  HWY_INLINE void step(int, const F& f) const {
    for (int i = 0; i < kChunks; ++i) f(i, From::load(block_, 16 * i));
  }

 private:
  const std::byte* block_;
};

}  // namespace greta::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
