#pragma once
// GGUF v3 files (and v2, which has the same layout), memory-mapped and read-only.
// Source of the format: ggml's docs/gguf.md.
//
//   magic "GGUF" | u32 version | u64 tensor_count | u64 kv_count
//   kv_count      × { string key, u32 type, value }          string = u64 length + bytes
//   tensor_count  × { string name, u32 n_dims, u64 dims[n_dims], u32 type, u64 offset }
//   padding to general.alignment (default 32) | tensor data, each offset a multiple of the
//   alignment
//
// Every length is checked against what is left of the file before anything is allocated. A file
// that another process cuts short while it is mapped ends the process with SIGBUS, as with any
// mapping.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "contract/result.h"

namespace greta::engine {

// ggml's numbers. The named ones can be computed with; a tensor of another ggml type has its
// number here, so that `inspect` can show the file and GgufFile::tensor can refuse it by name.
enum class TensorType : uint32_t {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q5_0 = 6,
  q8_0 = 8,
  q4_k = 12,
  q5_k = 13,
  q6_k = 14,
  bf16 = 30
};
std::string_view to_string(TensorType type);  // "F32", "Q4_K", … as ggml writes them
bool usable(TensorType type);
std::string usable_names();  // "F32, F16, …"

struct Tensor {
  std::string name;
  TensorType type = TensorType::f32;
  std::vector<int64_t> dims;        // ggml order: dims[0] is contiguous (columns), dims[1] rows
  std::span<const std::byte> data;  // into the mapping
  int64_t columns() const { return dims.empty() ? 1 : dims[0]; }
  int64_t rows() const { return dims.size() < 2 ? 1 : dims[1]; }
  int64_t elements() const;
  std::string shape() const;  // "[256, 8192]"
};

// Strings are views into the mapping; arrays of numbers are widened.
struct GgufValue {
  using Strings = std::vector<std::string_view>;
  std::variant<uint64_t, int64_t, double, bool, std::string_view, Strings, std::vector<int64_t>,
               std::vector<double>>
      value;
};

class GgufFile {
 public:
  // Errors (EngineExit::input) name the file, the field and its byte offset.
  static Result<GgufFile> open(const std::filesystem::path& path);
  // The same over bytes in memory (tests, fuzzing). `bytes` must outlive the result.
  static Result<GgufFile> parse(std::span<const std::byte> bytes, std::string name);
  GgufFile(GgufFile&&) noexcept;
  GgufFile& operator=(GgufFile&&) noexcept;
  ~GgufFile();

  const std::string& path() const;
  uint32_t version() const;
  uint64_t alignment() const;
  uint64_t bytes() const;  // of the whole file
  // Reads the whole file into the page cache, in its order, which is faster than the page faults of
  // the first pass would be. An error (EngineExit::input) is a place that cannot be read; where the
  // system does not know the request, nothing happens.
  Result<> read_ahead(const std::function<void(uint64_t done)>& on_progress) const;
  const std::map<std::string, GgufValue, std::less<>>& metadata() const;
  const std::vector<Tensor>& tensors() const;  // in the order of the file
  // Errors name the key or tensor and the nearest one present.
  Result<int64_t> integer(std::string_view key) const;
  Result<double> real(std::string_view key) const;
  Result<bool> boolean(std::string_view key) const;
  Result<std::string_view> text(std::string_view key) const;
  Result<std::span<const std::string_view>> strings(std::string_view key) const;
  Result<std::span<const int64_t>> integers(std::string_view key) const;
  Result<std::span<const double>> reals(std::string_view key) const;
  bool has(std::string_view key) const;
  // Only tensors of a usable type; the others are an error that names the type.
  Result<const Tensor*> tensor(std::string_view name) const;
  bool has_tensor(std::string_view name) const;

 private:
  struct Impl;
  explicit GgufFile(std::unique_ptr<Impl> impl);
  template <class T>
  Result<const T*> typed(std::string_view key, std::string_view type_name) const;
  std::unique_ptr<Impl> impl_;
};

}  // namespace greta::engine
