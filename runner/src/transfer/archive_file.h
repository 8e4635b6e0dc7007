#pragma once
// An archive as a file: a tar (pax) in one zstd frame. Written the same for the same members:
// sorted, without times, owners or the machine's own modes. Read as if somebody hostile had written
// it. libarchive is seen here alone.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string_view>
#include <vector>

#include "contract/result.h"
#include "system/process.h"
#include "transfer/archive_index.h"

namespace greta::runner {

using PieceSink = std::function<Result<>(std::string_view)>;

// A member and where its bytes come from: exactly as many as it says, with its hash.
struct ArchiveSource {
  ArchiveMember member;
  std::function<Result<>(const PieceSink&)> read;
};

// Writes beside the file, flushes, renames: it is there whole or not at all.
Result<> write_archive(const std::filesystem::path& file, std::vector<ArchiveSource> sources,
                       const Cancel& cancel);

class ArchiveVisitor {
 public:
  virtual ~ArchiveVisitor() = default;
  // Once, before any member.
  virtual Result<> index(const ArchiveIndex& index) = 0;
  virtual Result<> begin(const ArchiveMember& member) = 0;
  virtual Result<> piece(std::string_view bytes) = 0;
  virtual Result<> end() = 0;  // its size and hash were right
};

// Errors (usage): no archive, cut short, what index.json refuses, more than `most_bytes` in all,
// anything but regular files, a member that is twice, missing, not in the index, or not of the
// stated size and hash. No byte beyond a stated size is ever unpacked.
Result<> read_archive(const std::filesystem::path& file, int64_t most_bytes,
                      ArchiveVisitor& visitor, const Cancel& cancel);

}  // namespace greta::runner
