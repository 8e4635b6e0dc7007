#pragma once
// What every kernel speaks in: element types, status, and views that know their extents. A view is
// the only way to memory; in debug builds every row and slot that is asked for is checked.

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

namespace greta::kernels {

enum class [[nodiscard]] Status{ok, bad_shape, bad_dtype};
const char* to_string(Status status);

// How elements lie in memory. Arithmetic is always fp32.
enum class DType : uint8_t { f32, f16, bf16, q8_0, q4_0, q5_0, q4_k, q5_k, q6_k };
const char* to_string(DType type);

// Elements are stored in blocks; quantised ones share scales within a block (quant_blocks.h has the
// layouts). A row holds whole blocks.
struct Block {
  int64_t elements, bytes;
};
constexpr Block block_of(DType type) {
  switch (type) {
    case DType::f32:
      return {1, 4};
    case DType::f16:
    case DType::bf16:
      return {1, 2};
    case DType::q8_0:
      return {32, 34};
    case DType::q4_0:
      return {32, 18};
    case DType::q5_0:
      return {32, 22};
    case DType::q4_k:
      return {256, 144};
    case DType::q5_k:
      return {256, 176};
    case DType::q6_k:
      return {256, 210};
  }
  return {1, 0};
}
constexpr bool is_quantised(DType type) { return block_of(type).elements > 1; }
constexpr bool whole_blocks(DType type, int64_t columns) {
  return columns % block_of(type).elements == 0;
}
constexpr int64_t row_bytes(DType type, int64_t columns) {
  return columns / block_of(type).elements * block_of(type).bytes;
}

// (rows, columns) of T, row-major; rows lie `stride` elements apart.
template <class T>
class Rows {
 public:
  Rows() = default;
  Rows(T* data, int64_t rows, int64_t columns) : Rows(data, rows, columns, columns) {}
  Rows(T* data, int64_t rows, int64_t columns, int64_t stride)
      : data_(data), rows_(rows), columns_(columns), stride_(stride) {
    assert(rows >= 0 && columns >= 0 && stride >= columns);
  }
  template <class U>
  requires std::is_same_v<const U, T> Rows(
      const Rows<U>& other)  // NOLINT: a writable view is a readable one
      : Rows(other.data(), other.rows(), other.columns(), other.stride()) {}

  T* data() const { return data_; }
  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  int64_t stride() const { return stride_; }
  T* row(int64_t r) const {
    assert(r >= 0 && r < rows_);
    return data_ + r * stride_;
  }
  std::span<T> row_span(int64_t r) const { return {row(r), static_cast<size_t>(columns_)}; }
  // Rows [first, first + count).
  Rows sub_rows(int64_t first, int64_t count) const {
    assert(first >= 0 && count >= 0 && first + count <= rows_);
    return {data_ + first * stride_, count, columns_, stride_};
  }
  // Columns [first, first + count) of every row.
  Rows sub_columns(int64_t first, int64_t count) const {
    assert(first >= 0 && count >= 0 && first + count <= columns_);
    return {data_ + first, rows_, count, stride_};
  }

 private:
  T* data_ = nullptr;
  int64_t rows_ = 0, columns_ = 0, stride_ = 0;
};

// A weight matrix (rows = outputs, columns = inputs), contiguous, as it lies in the model file.
class WeightView {
 public:
  WeightView() = default;
  WeightView(const std::byte* data, DType type, int64_t rows, int64_t columns)
      : data_(data), type_(type), rows_(rows), columns_(columns) {}
  DType type() const { return type_; }
  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  const std::byte* row(int64_t r) const {
    assert(r >= 0 && r < rows_);
    return data_ + r * row_bytes(type_, columns_);
  }

 private:
  const std::byte* data_ = nullptr;
  DType type_ = DType::f32;
  int64_t rows_ = 0, columns_ = 0;
};

// K or V of one layer: (kv_heads, positions, head_dim); heads lie `head_stride` elements apart.
template <class Byte>
class KvSlab {
 public:
  KvSlab() = default;
  KvSlab(Byte* data, DType type, int64_t heads, int64_t positions, int64_t head_dim,
         int64_t head_stride)
      : data_(data),
        type_(type),
        heads_(heads),
        positions_(positions),
        head_dim_(head_dim),
        head_stride_(head_stride) {
    assert(!is_quantised(type) && head_stride >= positions * head_dim);
  }
  template <class U>
  requires std::is_same_v<const U, Byte> KvSlab(
      const KvSlab<U>& other)  // NOLINT: a writable slab is a readable one
      : KvSlab(other.data(), other.type(), other.heads(), other.positions(), other.head_dim(),
               other.head_stride()) {}

  Byte* data() const { return data_; }
  DType type() const { return type_; }
  int64_t heads() const { return heads_; }
  int64_t positions() const { return positions_; }
  int64_t head_dim() const { return head_dim_; }
  int64_t head_stride() const { return head_stride_; }
  int64_t element_bytes() const { return type_ == DType::f32 ? 4 : 2; }
  Byte* slot(int64_t head, int64_t position) const {
    assert(head >= 0 && head < heads_ && position >= 0 && position < positions_);
    return data_ + (head * head_stride_ + position * head_dim_) * element_bytes();
  }
  KvSlab sub_heads(int64_t first, int64_t count) const {
    assert(first >= 0 && count >= 0 && first + count <= heads_);
    return {data_ + first * head_stride_ * element_bytes(),
            type_,
            count,
            positions_,
            head_dim_,
            head_stride_};
  }
  KvSlab sub_positions(int64_t first, int64_t count) const {
    assert(first >= 0 && count >= 0 && first + count <= positions_);
    return {
        data_ + first * head_dim_ * element_bytes(), type_, heads_, count, head_dim_, head_stride_};
  }

 private:
  Byte* data_ = nullptr;
  DType type_ = DType::f32;
  int64_t heads_ = 0, positions_ = 0, head_dim_ = 0, head_stride_ = 0;
};
using KvRead = KvSlab<const std::byte>;
using KvWrite = KvSlab<std::byte>;

}  // namespace greta::kernels
