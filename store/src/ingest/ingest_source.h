#pragma once
// Where the files of a bundle come from: a sealed folder, or memory (recorded milestones).

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "contract/result.h"

namespace greta::store {

class ByteReader {
 public:
  virtual ~ByteReader() = default;
  // Up to `size` bytes; 0 at the end.
  virtual Result<size_t> read(char* to, size_t size) = 0;
};

class BundleSource {
 public:
  virtual ~BundleSource() = default;
  virtual Result<std::unique_ptr<ByteReader>> open(const std::string& name) = 0;
  // For messages.
  virtual std::string place(const std::string& name) const = 0;
};

// The files below a folder. Refuses every name that could lead out of it: absolute, `..`, symbolic
// links in any part; and what is no regular file.
class FolderSource : public BundleSource {
 public:
  explicit FolderSource(std::filesystem::path folder) : folder_(std::move(folder)) {}
  Result<std::unique_ptr<ByteReader>> open(const std::string& name) override;
  std::string place(const std::string& name) const override { return (folder_ / name).string(); }

 private:
  std::filesystem::path folder_;
};

class MemorySource : public BundleSource {
 public:
  explicit MemorySource(std::map<std::string, std::string> files) : files_(std::move(files)) {}
  Result<std::unique_ptr<ByteReader>> open(const std::string& name) override;
  std::string place(const std::string& name) const override { return name; }

 private:
  std::map<std::string, std::string> files_;
};

// All of a file, at most `most` bytes.
Result<std::string> read_all(BundleSource& source, const std::string& name, size_t most);

}  // namespace greta::store
