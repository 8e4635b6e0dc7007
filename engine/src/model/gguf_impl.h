#pragma once
// Inside of GgufFile, shared by gguf_parse.cc (bytes to structure) and gguf.cc (opening, look-up).

#include <sys/mman.h>

#include <unordered_map>

#include "model/gguf.h"

namespace greta::engine {

struct GgufFile::Impl {
  std::string name;
  std::span<const std::byte> bytes;
  bool mapped = false;
  uint32_t version = 0;
  uint64_t alignment = 32;
  std::map<std::string, GgufValue, std::less<>> metadata;
  std::vector<Tensor> tensors;
  std::unordered_map<std::string_view, size_t> by_name;

  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    if (mapped) munmap(const_cast<std::byte*>(bytes.data()), bytes.size());
  }

  Result<> parse();
};

// "an array of strings": for messages about a metadata value of the wrong type.
std::string type_name_of(const GgufValue& value);
std::string backticked(std::string_view name);  // `name`, printable

}  // namespace greta::engine
