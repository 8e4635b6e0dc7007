// Matmul of quantised weights with activations rounded to eight bits, for CPUs whose vpdpbusd adds
// four products of bytes in one go (AVX-512 VNNI).
//
// A decode (few tokens) reads the stored blocks. A prefill repacks sixteen rows at a time, so that
// a register has four columns of sixteen rows, and multiplies them with four columns of a token.
#include "matmul_int8.h"

#if defined(__x86_64__)

#include <algorithm>
#include <cfloat>

#include "hwy/base.h"

HWY_PUSH_ATTRIBUTES("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,f16c,fma")

#include "int8_blocks_avx512.h"

namespace greta::kernels::int8 {
namespace {

constexpr int64_t kColumns = 32;  // that share a scale of x, and the columns of a panel block
constexpr int64_t kPanelRows = 16;

// Four columns of eight tokens side by side; `d` scales them. offsets: what the weights' offset
// adds to each half's products, negated. sums: d · Σ x, for the weights' minima.
struct TileBlock {
  int32_t x[8][kTileTokens];
  float d[kTileTokens], sums[kTileTokens];
  int32_t offsets[2][kTileTokens];
};
static_assert(sizeof(TileBlock) == kTileBlockBytes);

// Four columns of sixteen rows side by side, and their scales. second: the minima, or the scales of
// the upper sixteen columns.
struct PanelBlock {
  uint8_t w[8][64];
  float scale[kPanelRows], second[kPanelRows];
};
static_assert(sizeof(PanelBlock) == kPanelBlockBytes);

// x[0 … 32) ≈ scale · q. A NaN or an infinity in x makes the scale NaN, and with it every product.
inline float quantise(const float* x, int8_t* q) {
  const __m512 a = _mm512_loadu_ps(x), b = _mm512_loadu_ps(x + 16);
  const float largest = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(a), _mm512_abs_ps(b)));
  const __m512 none = _mm512_setzero_ps();
  const float poison = _mm512_reduce_add_ps(_mm512_fmadd_ps(a, none, _mm512_mul_ps(b, none)));
  const float inverse = 127.0f / largest;
  const __m512 factor = _mm512_set1_ps(inverse <= FLT_MAX ? inverse : 0.0f);
  const auto store = [q](int at, __m128i bytes) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(q + at), bytes);
  };
  store(0, _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(a, factor))));
  store(16, _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(b, factor))));
  return largest / 127.0f + poison;
}

// --- decode: four rows times 256 columns at a time ---

// The columns of a row are summed in four chains: step s of each 256 columns, which is columns
// [64 s, 64 s + 64), belongs to chain s.
constexpr int kSteps = 4;
constexpr int64_t kUnitRows = 4, kUnitColumns = 64 * kSteps;

// One token: bytes; per four columns, what the offset adds, negated; scale and d · Σ x of the even
// and of the odd 32 columns. Beyond the last column all are zero.
struct Token {
  int8_t* q;
  int32_t* offsets;
  float* d[2];
  float* sums[2];
};
Token token_in(std::byte* memory, int64_t columns) {
  const int64_t padded = (columns + kUnitColumns - 1) / kUnitColumns * kUnitColumns;
  auto* const floats = reinterpret_cast<float*>(memory + 2 * padded);
  const int64_t n = padded / 64;
  return {reinterpret_cast<int8_t*>(memory),
          reinterpret_cast<int32_t*>(memory + padded),
          {floats, floats + n},
          {floats + 2 * n, floats + 3 * n}};
}

template <class Type>
void quantise_token(const float* x, int64_t columns, std::byte* memory) {
  const Token out = token_in(memory, columns);
  std::memset(memory, 0, static_cast<size_t>(token_bytes(columns)));
  for (int64_t c = 0; c < columns; c += kColumns) {
    const float d = quantise(x + c, out.q + c);
    int32_t sum = 0;
    for (int64_t i = c; i < c + kColumns; i += 4) {
      const int32_t four = out.q[i] + out.q[i + 1] + out.q[i + 2] + out.q[i + 3];
      out.offsets[i / 4] = -Type::kOffset * four;
      sum += four;
    }
    const int64_t block = c / kColumns;
    out.d[block % 2][block / 2] = d;
    out.sums[block % 2][block / 2] = d * static_cast<float>(sum);
  }
}

// m[i]: sixteen partial sums of one step of a row, kPerScale / 4 of each group of columns →
// groups[g], lane i: the sum of group g of step i.
template <int64_t kPerScale>
inline void add_up(const __m512i (&m)[16], __m512i (&groups)[64 / kPerScale]) {
  __m512i f[4];  // quarter k: the sums of elements 4k … 4k + 3 of four steps
  for (int g = 0; g < 4; ++g) {
    __m512i pair[2];
    for (int i = 0; i < 2; ++i) {
      const __m512i a = m[4 * g + 2 * i], b = m[4 * g + 2 * i + 1];
      pair[i] = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    }
    f[g] = _mm512_add_epi32(_mm512_unpacklo_epi64(pair[0], pair[1]),
                            _mm512_unpackhi_epi64(pair[0], pair[1]));
  }
  const __m512i even01 = _mm512_shuffle_i32x4(f[0], f[1], 0x88);
  const __m512i even23 = _mm512_shuffle_i32x4(f[2], f[3], 0x88);
  const __m512i odd01 = _mm512_shuffle_i32x4(f[0], f[1], 0xdd);
  const __m512i odd23 = _mm512_shuffle_i32x4(f[2], f[3], 0xdd);
  if constexpr (kPerScale == 16) {
    groups[0] = _mm512_shuffle_i32x4(even01, even23, 0x88);
    groups[1] = _mm512_shuffle_i32x4(odd01, odd23, 0x88);
    groups[2] = _mm512_shuffle_i32x4(even01, even23, 0xdd);
    groups[3] = _mm512_shuffle_i32x4(odd01, odd23, 0xdd);
  } else {
    const __m512i a = _mm512_add_epi32(even01, odd01), b = _mm512_add_epi32(even23, odd23);
    groups[0] = _mm512_shuffle_i32x4(a, b, 0x88);
    groups[1] = _mm512_shuffle_i32x4(a, b, 0xdd);
  }
}

// Scales (and minima) of group g of four rows' steps: lane 4 r + s belongs to step s of row r.
template <class Type>
struct UnitScales {
  static constexpr int kGroups = static_cast<int>(64 / Type::kPerScale);
  __m512 scale[kGroups], minimum[kGroups];

  UnitScales(const std::byte* const (&rows)[kUnitRows], int steps) {
    if constexpr (Type::kBlock == 64) {
      from_headers(rows, steps);
    } else {
      __m512 all[kUnitRows];
      for (int r = 0; r < kUnitRows; ++r) all[r] = Type{rows[r]}.scales();
      for (int g = 0; g < kGroups; ++g) {
        scale[g] = pick(all, g);
        if constexpr (Type::kHasMinimum) minimum[g] = pick(all, 8 + g);
      }
    }
  }

 private:
  // Elements first + kGroups · s of each row's.
  static __m512 pick(const __m512 (&all)[kUnitRows], int first) {
    const __m512i step = _mm512_setr_epi32(0, 1, 2, 3, 0, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m512i row = _mm512_setr_epi32(0, 0, 0, 0, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m512i at = _mm512_add_epi32(
        _mm512_add_epi32(_mm512_mullo_epi32(step, _mm512_set1_epi32(kGroups)), row),
        _mm512_set1_epi32(first));
    const __m512 low = _mm512_permutex2var_ps(all[0], at, all[1]);
    const __m512 high = _mm512_permutex2var_ps(all[2], at, all[3]);
    return _mm512_insertf32x8(low, _mm512_castps512_ps256(high), 1);
  }
  // Blocks of 32 have a header each.
  void from_headers(const std::byte* const (&rows)[kUnitRows], int steps) {
    constexpr int64_t kBytes = row_bytes(Type::kType, kColumns);
    alignas(32) uint16_t halves[2][16] = {};
    for (int r = 0; r < kUnitRows; ++r) {
      for (int s = 0; s < steps; ++s) {
        for (int g = 0; g < 2; ++g) {
          halves[g][4 * r + s] = load_unaligned<uint16_t>(rows[r] + (2 * s + g) * kBytes);
        }
      }
    }
    for (int g = 0; g < 2; ++g) scale[g] = _mm512_cvtph_ps(load32(halves[g]));
  }
};

// Adds `steps` steps of four rows to their chains: lane 4 r + s of `sum`. Meanwhile as many bytes
// are fetched from `next` on, in the order of memory: the rows in use lie interleaved, which the
// hardware's own prefetch makes little of.
template <class Type>
inline __m512 add_unit(const std::byte* const (&rows)[kUnitRows], const Token& x, int64_t column,
                       int steps, const std::byte* next, __m512 sum) {
  constexpr int64_t kFetched = kUnitRows * row_bytes(Type::kType, kUnitColumns) / kSteps;
  constexpr int64_t kStepBytes = row_bytes(Type::kType, Type::kBlock);
  const UnitScales<Type> scales(rows, steps);
  __m512i dots[16], groups[UnitScales<Type>::kGroups];
  for (int s = 0; s < kSteps; ++s, next += kFetched) {
    for (int64_t b = 0; b < kFetched; b += 64) __builtin_prefetch(next + b);
    const __m512i q = _mm512_loadu_si512(x.q + column + 64 * s);
    const __m512i offsets = _mm512_loadu_si512(x.offsets + column / 4 + 16 * s);
    for (int r = 0; r < kUnitRows; ++r) {
      if (s >= steps) {
        dots[4 * r + s] = _mm512_setzero_si512();
      } else if constexpr (Type::kBlock == 64) {
        const Type block = {rows[r] + s * kStepBytes};
        dots[4 * r + s] = _mm512_dpbusd_epi32(offsets, block.bytes(0), q);
      } else {
        dots[4 * r + s] = _mm512_dpbusd_epi32(offsets, Type{rows[r]}.bytes(s), q);
      }
    }
  }
  add_up<Type::kPerScale>(dots, groups);
  const int64_t at = column / 64;
  for (int g = 0; g < UnitScales<Type>::kGroups; ++g) {
    const int64_t odd = g * Type::kPerScale / kColumns;
    const __m512 d = _mm512_broadcast_f32x4(_mm_loadu_ps(x.d[odd] + at));
    sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(groups[g]), _mm512_mul_ps(scales.scale[g], d), sum);
    if constexpr (Type::kHasMinimum) {
      const __m512 sums = _mm512_broadcast_f32x4(_mm_loadu_ps(x.sums[odd] + at));
      sum = _mm512_fnmadd_ps(scales.minimum[g], sums, sum);
    }
  }
  return sum;
}

// Rows [first, first + 4) times one token (those beyond `last` repeat it).
template <class Type>
inline void dot_rows(const MatmulArgs& args, int64_t first, int64_t last, const Token& x,
                     float* out) {
  constexpr int64_t kBytes = row_bytes(Type::kType, kUnitColumns);
  const int64_t columns = args.weight.columns();
  const std::byte* rows[kUnitRows];
  for (int64_t r = 0; r < kUnitRows; ++r) rows[r] = args.weight.row(std::min(first + r, last));
  const std::byte* next = rows[0] + kUnitRows * row_bytes(Type::kType, columns);
  __m512 sum = _mm512_setzero_ps();
  int64_t c = 0;
  for (; c + kUnitColumns <= columns; c += kUnitColumns) {
    sum = add_unit<Type>(rows, x, c, kSteps, next, sum);
    next += kUnitRows * kBytes;
    for (int64_t r = 0; r < kUnitRows; ++r) rows[r] += kBytes;
  }
  if (c < columns)
    sum = add_unit<Type>(rows, x, c, static_cast<int>((columns - c) / 64), next, sum);
  alignas(64) float chains[16];
  _mm512_store_ps(chains, sum);
  for (int64_t r = 0; r < kUnitRows && first + r <= last; ++r) {
    const float* chain = chains + kSteps * r;
    out[r] = ((chain[0] + chain[1]) + chain[2]) + chain[3];
  }
}

template <class Type>
void dot_range(const MatmulArgs& args, int64_t begin, int64_t end, const std::byte* tokens,
               std::byte*) {
  const int64_t columns = args.weight.columns();
  for (int64_t t = 0; t < args.x.rows(); ++t) {
    const Token x = token_in(const_cast<std::byte*>(tokens) + t * token_bytes(columns), columns);
    float* out = args.out.row(t);
    for (int64_t row = begin; row < end; row += kUnitRows) {
      dot_rows<Type>(args, row, end - 1, x, out + row);
    }
  }
}

template <class Type>
void quantise_tokens(const MatmulArgs& args, int64_t begin, int64_t end, std::byte* to) {
  const int64_t columns = args.weight.columns();
  for (int64_t t = begin; t < end; ++t) {
    quantise_token<Type>(args.x.row(t), columns, to + t * token_bytes(columns));
  }
}

// --- prefill ---

// Tiles [begin, end) of eight tokens; tokens beyond the last are zeros.
template <class Type>
void quantise_tiles(const MatmulArgs& args, int64_t begin, int64_t end, std::byte* to) {
  const int64_t columns = args.weight.columns(), blocks = columns / kColumns;
  for (int64_t tile = begin; tile < end; ++tile) {
    auto* const out = reinterpret_cast<TileBlock*>(to) + tile * blocks;
    for (int64_t t = 0; t < kTileTokens; ++t) {
      const int64_t token = tile * kTileTokens + t;
      for (int64_t b = 0; b < blocks; ++b) {
        alignas(32) int8_t q[kColumns] = {};
        const bool real = token < args.x.rows();
        const float d = real ? quantise(args.x.row(token) + b * kColumns, q) : 0.0f;
        int32_t sums[2] = {};
        for (int i = 0; i < kColumns; ++i) sums[i / 16] += q[i];
        for (int j = 0; j < 8; ++j) std::memcpy(&out[b].x[j][t], q + 4 * j, 4);
        const bool halves_apart = Type::kPerScale == 16;
        out[b].d[t] = d;
        out[b].sums[t] = d * static_cast<float>(sums[0] + sums[1]);
        out[b].offsets[0][t] = -Type::kOffset * (halves_apart ? sums[0] : sums[0] + sums[1]);
        out[b].offsets[1][t] = -Type::kOffset * sums[1];
      }
    }
  }
}

// Sixteen registers of sixteen 32-bit elements, rows to columns.
inline void transpose(__m512i (&m)[16]) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(m[i], m[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(m[i], m[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    m[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    m[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    m[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    m[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  // m[4g + k]: columns k, 4 + k, 8 + k, 12 + k of rows 4g … 4g + 3, a column in each quarter.
  for (int k = 0; k < 4; ++k) {
    const __m512i a = _mm512_shuffle_i32x4(m[k], m[4 + k], 0x88);
    const __m512i b = _mm512_shuffle_i32x4(m[8 + k], m[12 + k], 0x88);
    const __m512i c = _mm512_shuffle_i32x4(m[k], m[4 + k], 0xdd);
    const __m512i d = _mm512_shuffle_i32x4(m[8 + k], m[12 + k], 0xdd);
    t[k] = _mm512_shuffle_i32x4(a, b, 0x88);
    t[8 + k] = _mm512_shuffle_i32x4(a, b, 0xdd);
    t[4 + k] = _mm512_shuffle_i32x4(c, d, 0x88);
    t[12 + k] = _mm512_shuffle_i32x4(c, d, 0xdd);
  }
  for (int i = 0; i < 16; ++i) m[i] = t[i];
}

// Scales of one row's block to their places in the panel.
template <class Type>
inline void pack_scales(const Type& block, int row, PanelBlock* to) {
  alignas(64) float scales[16];
  _mm512_store_ps(scales, block.scales());
  for (int b = 0; b < Type::kBlock / kColumns; ++b) {
    if constexpr (Type::kPerScale == 16) {
      to[b].scale[row] = scales[2 * b];
      to[b].second[row] = scales[2 * b + 1];
    } else {
      to[b].scale[row] = scales[b];
      if constexpr (Type::kHasMinimum) to[b].second[row] = scales[8 + b];
    }
  }
}

// Rows [first, first + rows); rows beyond are copies of the last, whose products nobody stores.
template <class Type>
void pack(const MatmulArgs& args, int64_t first, int64_t rows, PanelBlock* panel) {
  constexpr int64_t kBytes = row_bytes(Type::kType, Type::kBlock);
  constexpr int kBlockSteps = static_cast<int>(Type::kBlock / 64);
  const int64_t blocks = args.weight.columns() / Type::kBlock;
  const std::byte* from[kPanelRows];
  for (int64_t r = 0; r < kPanelRows; ++r) {
    from[r] = args.weight.row(first + std::min(r, rows - 1));
  }
  for (int64_t b = 0; b < blocks; ++b, panel += Type::kBlock / kColumns) {
    for (int s = 0; s < kBlockSteps; ++s) {
      __m512i m[16];
      for (int r = 0; r < 16; ++r) m[r] = Type{from[r] + b * kBytes}.bytes(s);
      transpose(m);
      for (int k = 0; k < 16; ++k) _mm512_store_si512(panel[2 * s + k / 8].w[k % 8], m[k]);
    }
    for (int r = 0; r < 16; ++r) pack_scales(Type{from[r] + b * kBytes}, r, panel);
  }
}

// Adds 32 columns of sixteen rows and eight tokens to their sums.
template <class Type>
inline void multiply_block(const PanelBlock& w, const TileBlock& x, __m512 (&sum)[kTileTokens]) {
  constexpr int kParts = static_cast<int>(kColumns / Type::kPerScale);
  for (int part = 0; part < kParts; ++part) {
    __m512i dots[kTileTokens];
    for (int t = 0; t < kTileTokens; ++t) dots[t] = _mm512_set1_epi32(x.offsets[part][t]);
    for (int j = part * 8 / kParts; j < (part + 1) * 8 / kParts; ++j) {
      const __m512i four = _mm512_load_si512(w.w[j]);
      for (int t = 0; t < kTileTokens; ++t) {
        dots[t] = _mm512_dpbusd_epi32(dots[t], four, _mm512_set1_epi32(x.x[j][t]));
      }
    }
    const __m512 scale = _mm512_load_ps(part == 0 ? w.scale : w.second);
    for (int t = 0; t < kTileTokens; ++t) {
      const __m512 both = _mm512_mul_ps(scale, _mm512_set1_ps(x.d[t]));
      sum[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[t]), both, sum[t]);
    }
  }
  if constexpr (Type::kHasMinimum) {
    const __m512 minimum = _mm512_load_ps(w.second);
    for (int t = 0; t < kTileTokens; ++t) {
      sum[t] = _mm512_fnmadd_ps(minimum, _mm512_set1_ps(x.sums[t]), sum[t]);
    }
  }
}

// Sixteen rows of eight tokens: the four chains of a decode, one after the other.
template <class Type>
inline void multiply_tile(const PanelBlock* w, const TileBlock* x, int64_t blocks,
                          __m512 (&sum)[kTileTokens]) {
  for (int s = 0; s < kSteps; ++s) {
    __m512 chain[kTileTokens];
    for (int t = 0; t < kTileTokens; ++t) chain[t] = _mm512_setzero_ps();
    for (int64_t b = 2 * s; b < blocks; b += 2 * kSteps) {
      multiply_block<Type>(w[b], x[b], chain);
      multiply_block<Type>(w[b + 1], x[b + 1], chain);
    }
    for (int t = 0; t < kTileTokens; ++t) {
      sum[t] = s == 0 ? chain[t] : _mm512_add_ps(sum[t], chain[t]);
    }
  }
}

template <class Type>
void multiply_range(const MatmulArgs& args, int64_t begin, int64_t end, const std::byte* tiles,
                    std::byte* panel_memory) {
  const int64_t tokens = args.x.rows(), blocks = args.weight.columns() / kColumns;
  auto* const panel = reinterpret_cast<PanelBlock*>(panel_memory);
  const auto* const x = reinterpret_cast<const TileBlock*>(tiles);
  for (int64_t first = begin; first < end; first += kPanelRows) {
    const int64_t rows = std::min(kPanelRows, end - first);
    const auto stored = static_cast<__mmask16>((1u << rows) - 1);
    pack<Type>(args, first, rows, panel);
    for (int64_t t = 0; t < tokens; t += kTileTokens) {
      __m512 sum[kTileTokens];
      multiply_tile<Type>(panel, x + t / kTileTokens * blocks, blocks, sum);
      for (int i = 0; i < kTileTokens && t + i < tokens; ++i) {
        _mm512_mask_storeu_ps(args.out.row(t + i) + first, stored, sum[i]);
      }
    }
  }
}

template <class Type>
constexpr Int8Code::OfType of_type() {
  return {.block = Type::kBlock,
          .quantise_tokens = &quantise_tokens<Type>,
          .dot = &dot_range<Type>,
          .quantise_tiles = &quantise_tiles<Type>,
          .multiply = &multiply_range<Type>};
}

constexpr Int8Code kCode = {.q8_0 = of_type<Q8>(),
                            .q4_0 = of_type<Q4>(),
                            .q5_0 = of_type<Q5>(),
                            .q4_k = of_type<Q4K>(),
                            .q5_k = of_type<Q5K>(),
                            .q6_k = of_type<Q6K>()};

}  // namespace
}  // namespace greta::kernels::int8

HWY_POP_ATTRIBUTES

namespace greta::kernels::int8 {

const Int8Code* code() {
  static const bool usable = __builtin_cpu_supports("avx512vnni") &&
                             __builtin_cpu_supports("avx512bw") &&
                             __builtin_cpu_supports("avx512dq") &&
                             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
  return usable ? &kCode : nullptr;
}

}  // namespace greta::kernels::int8

#else

namespace greta::kernels::int8 {
const Int8Code* code() { return nullptr; }
}  // namespace greta::kernels::int8

#endif
