#pragma once
// The logits of every scored position of a text, to compare another run with (LOGITS.md). A file is
// written beside its name and renamed when whole; every byte of it is under a checksum.
//
//   header (64 bytes, little-endian) | tokens: i32 × token_count | rows × { f32 × vocab, u64 hash }

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "contract/result.h"
#include "session/windows.h"

namespace greta::engine {

struct LogitsHeader {
  int64_t vocab = 0;
  int64_t rows = 0;         // scored positions
  uint64_t model_hash = 0;  // hash_of_file() of the model
  WindowLayout layout = {};
  std::vector<int32_t> tokens = {};  // of the text, as they were tokenised
};

// XXH3-64 of a file's bytes.
Result<uint64_t> hash_of_file(const std::filesystem::path& path);

// Why a file cannot be compared with a run that `wanted` describes; the model may differ, that is
// the point. Errors (EngineExit::input) name what differs, and where.
Result<> check_comparable(const LogitsHeader& file, const LogitsHeader& wanted,
                          const std::string& path);

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

class LogitsWriter {
 public:
  // Opens `path`.part and writes the header. Errors (EngineExit::usage): the folder, the disk.
  static Result<LogitsWriter> create(const std::filesystem::path& path, LogitsHeader header);
  LogitsWriter(LogitsWriter&&) = default;
  LogitsWriter& operator=(LogitsWriter&&) = delete;
  ~LogitsWriter();  // without finish(): nothing stays
  Result<> row(std::span<const float> logits);
  // Flushed to the disk, then renamed. All rows must have been written.
  Result<> finish();

 private:
  LogitsWriter(std::filesystem::path path, LogitsHeader header);
  Result<> put(const void* data, size_t bytes);
  tl::unexpected<Error> cannot(const std::string& what) const;

  std::filesystem::path path_;
  std::string part_;
  LogitsHeader header_;
  std::unique_ptr<std::FILE, CloseFile> file_;
  int64_t written_ = 0;
};

class LogitsReader {
 public:
  // Errors (EngineExit::input): no such file, another format or version, a field that contradicts
  // another, a size that is not what the header says, a checksum.
  static Result<LogitsReader> open(const std::filesystem::path& path);
  const LogitsHeader& header() const { return header_; }
  const std::string& path() const { return path_; }
  // The next row; an error names it when its checksum does not fit.
  Result<> row(std::span<float> logits);

 private:
  explicit LogitsReader(const std::filesystem::path& path) : path_(path.string()) {}
  Result<> read_header();
  Result<> get(void* data, size_t bytes);
  tl::unexpected<Error> bad(const std::string& what) const;

  std::string path_;
  LogitsHeader header_;
  std::unique_ptr<std::FILE, CloseFile> file_;
  int64_t read_ = 0;
};

}  // namespace greta::engine
