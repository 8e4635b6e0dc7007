#pragma once
// The first member of an archive, index.json: every other member with its size and hash, and a hash
// of its own. Nothing of an archive is believed that it does not state. ARCHIVE.md is the page.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "contract/result.h"

namespace greta::runner {

inline constexpr char kIndexName[] = "index.json";
inline constexpr int64_t kMostIndexBytes = int64_t{64} << 20;

struct ArchiveMember {
  std::string name;  // "bundles/<hash>/out/readout.jsonl"
  int64_t bytes = 0;
  std::string sha256;
  bool executable = false;
};

struct ArchiveIndex {
  std::vector<ArchiveMember> members;  // sorted by name
  int64_t bytes() const;               // of all of them
};

// The same bytes for the same members, whatever their order.
std::string to_json(ArchiveIndex index);
// Errors (usage): no index or one of an unknown version, a hash that is not its own, sizes or
// hashes that cannot be, names that are refused, a member twice, a member that is a folder of
// another.
Result<ArchiveIndex> parse_index(std::string_view text);

// Why a name may not be in an archive: absolute, `..`, NUL, a place that greta has no use for; or
// nothing.
std::optional<std::string> name_problem(std::string_view name);
bool is_sha256(std::string_view text);

}  // namespace greta::runner
