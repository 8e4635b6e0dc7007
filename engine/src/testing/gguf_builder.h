#pragma once
// Test helper: writes GGUF files, well-formed or not, byte by byte.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace greta::engine::testing {

inline std::string u32(uint32_t v) { return {reinterpret_cast<const char*>(&v), sizeof v}; }
inline std::string u64(uint64_t v) { return {reinterpret_cast<const char*>(&v), sizeof v}; }
inline std::string f32(float v) { return {reinterpret_cast<const char*>(&v), sizeof v}; }
inline std::string str(std::string_view s) { return u64(s.size()) + std::string(s); }

inline std::span<const std::byte> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

class GgufBuilder {
 public:
  // A metadata entry: ggml's type number and the value as it lies in the file.
  GgufBuilder& raw(std::string_view key, uint32_t type, const std::string& value) {
    metadata_ += str(key) + u32(type) + value;
    ++keys_;
    return *this;
  }
  GgufBuilder& integer(std::string_view key, uint32_t v) { return raw(key, 4, u32(v)); }
  GgufBuilder& real(std::string_view key, float v) { return raw(key, 6, f32(v)); }
  GgufBuilder& boolean(std::string_view key, bool v) {
    return raw(key, 7, std::string(1, v ? '\1' : '\0'));
  }
  GgufBuilder& text(std::string_view key, std::string_view v) { return raw(key, 8, str(v)); }
  GgufBuilder& strings(std::string_view key, const std::vector<std::string>& list) {
    std::string value = u32(8) + u64(list.size());
    for (const auto& item : list) value += str(item);
    return raw(key, 9, value);
  }
  GgufBuilder& integers(std::string_view key, const std::vector<int32_t>& list) {
    std::string value = u32(5) + u64(list.size());
    for (const int32_t item : list) value += u32(static_cast<uint32_t>(item));
    return raw(key, 9, value);
  }
  GgufBuilder& reals(std::string_view key, const std::vector<float>& list) {
    std::string value = u32(6) + u64(list.size());
    for (const float item : list) value += f32(item);
    return raw(key, 9, value);
  }
  // A tensor entry as it is written; the data is the caller's.
  GgufBuilder& tensor(std::string_view name, const std::vector<uint64_t>& dims, uint32_t type,
                      uint64_t offset) {
    tensors_ += str(name) + u32(static_cast<uint32_t>(dims.size()));
    for (const uint64_t dim : dims) tensors_ += u64(dim);
    tensors_ += u32(type) + u64(offset);
    ++tensor_count_;
    return *this;
  }
  // An F32 tensor of zeros, placed after the one before.
  GgufBuilder& zeros(std::string_view name, const std::vector<uint64_t>& dims) {
    uint64_t count = 1;
    for (const uint64_t dim : dims) count *= dim;
    tensor(name, dims, 0, data_bytes_);
    data_bytes_ += (count * 4 + 31) / 32 * 32;
    return *this;
  }
  std::string build(uint32_t version = 3) const {
    std::string out =
        "GGUF" + u32(version) + u64(tensor_count_) + u64(keys_) + metadata_ + tensors_;
    if (tensor_count_ > 0) out.resize((out.size() + 31) / 32 * 32);
    return out + std::string(data_bytes_, '\0');
  }
  GgufBuilder& data(uint64_t bytes) {
    data_bytes_ = bytes;
    return *this;
  }

 private:
  std::string metadata_, tensors_;
  uint64_t keys_ = 0, tensor_count_ = 0, data_bytes_ = 0;
};

}  // namespace greta::engine::testing
