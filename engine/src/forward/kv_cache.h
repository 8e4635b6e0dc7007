#pragma once
// The KV cache of one sequence: [layer][kv_head][position][head_dim], K and V apart.
//   head stride  = capacity · head_dim elements; layer stride = kv_heads · head stride
// Element type F32, F16 or BF16. Positions never written hold a NaN pattern: a kernel that reads
// past the sequence poisons its own result instead of being right by accident.

#include <cstddef>
#include <cstdint>
#include <span>

namespace greta::engine {

enum class KvType { f32, f16, bf16 };

struct KvCache {
  KvType type = KvType::f32;
  int64_t layers = 0, kv_heads = 0, capacity = 0, head_dim = 0;
  int64_t length = 0;           // positions written so far
  std::span<std::byte> k = {};  // 64-byte aligned, layers·kv_heads·capacity·head_dim elements each
  std::span<std::byte> v = {};
  int64_t element_bytes() const { return type == KvType::f32 ? 4 : 2; }
  int64_t head_stride() const { return capacity * head_dim; }        // elements
  int64_t layer_stride() const { return kv_heads * head_stride(); }  // elements
};

}  // namespace greta::engine
