#pragma once
// Writes GGUF v3 files as a stream: metadata, the table of tensors, then their data piece by piece,
// so that a model larger than the memory can be written. Source: ggml's docs/gguf.md.

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "contract/result.h"
#include "model/gguf.h"

namespace greta::engine {

class GgufWriter {
 public:
  GgufWriter() = default;
  GgufWriter(const GgufWriter&) = delete;
  GgufWriter& operator=(const GgufWriter&) = delete;
  ~GgufWriter();  // what was begun and not finished leaves nothing behind

  static constexpr int64_t kAlignment = 32;

  void integer(std::string_view key, uint32_t value);
  void real(std::string_view key, float value);
  void boolean(std::string_view key, bool value);
  void text(std::string_view key, std::string_view value);
  void strings(std::string_view key, const std::vector<std::string>& values);
  void integers(std::string_view key, const std::vector<int32_t>& values);
  // dims in ggml's order: columns first. `bytes` of data follow by write() in the order of these
  // calls.
  void tensor(std::string_view name, const std::vector<int64_t>& dims, TensorType type,
              int64_t bytes);

  // Opens `path`.part and writes all but the data. Errors (EngineExit::input): the folder, the
  // disk.
  Result<> begin(const std::filesystem::path& path);
  Result<> write(std::span<const std::byte> data);
  // To be called after the last byte of each tensor.
  Result<> pad();
  // Makes `path` the file: until then there is none, or the one that was there.
  Result<> finish();

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  void key(std::string_view name, uint32_t type);
  std::filesystem::path part() const { return path_.string() + ".part"; }
  Result<> fail_to_write() const;

  std::string metadata_, table_;
  uint64_t keys_ = 0, tensors_ = 0, offset_ = 0;
  std::filesystem::path path_;
  std::unique_ptr<std::FILE, Close> file_;
  uint64_t written_ = 0;
};

}  // namespace greta::engine
