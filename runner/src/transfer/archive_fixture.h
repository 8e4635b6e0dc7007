#pragma once
// Archives written entry by entry, so that a test can write what greta never would.

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "store/store.h"
#include "transfer/archive_index.h"

namespace greta::runner {

struct TestEntry {
  std::string name, bytes;
  mode_t type = AE_IFREG;
  std::string link = {};  // target of a symbolic link, or of a hard one where the type is AE_IFREG
};

inline ArchiveMember member_of(const TestEntry& entry) {
  return {.name = entry.name,
          .bytes = static_cast<int64_t>(entry.bytes.size()),
          .sha256 = store::sha256_hex(entry.bytes)};
}

inline TestEntry index_of(const std::vector<TestEntry>& entries) {
  ArchiveIndex index;
  for (const TestEntry& entry : entries) index.members.push_back(member_of(entry));
  return {.name = kIndexName, .bytes = to_json(std::move(index))};
}

enum class Packed { yes, no };
inline void write_entries(const std::filesystem::path& file, const std::vector<TestEntry>& entries,
                          Packed packed = Packed::yes) {
  archive* const a = archive_write_new();
  ASSERT_EQ(archive_write_set_format_pax_restricted(a), ARCHIVE_OK);
  ASSERT_EQ(archive_write_set_format_option(a, "pax", "hdrcharset", "BINARY"), ARCHIVE_OK);
  if (packed == Packed::yes) {
    ASSERT_EQ(archive_write_add_filter_zstd(a), ARCHIVE_OK);
  }
  ASSERT_EQ(archive_write_open_filename(a, file.c_str()), ARCHIVE_OK);
  for (const TestEntry& one : entries) {
    archive_entry* const entry = archive_entry_new();
    archive_entry_set_pathname(entry, one.name.c_str());
    archive_entry_set_filetype(entry, one.type);
    archive_entry_set_perm(entry, 0644);
    const bool has_bytes = one.type == AE_IFREG && one.link.empty();
    archive_entry_set_size(entry, has_bytes ? static_cast<int64_t>(one.bytes.size()) : 0);
    if (one.type == AE_IFLNK) archive_entry_set_symlink(entry, one.link.c_str());
    if (one.type == AE_IFREG && !one.link.empty())
      archive_entry_set_hardlink(entry, one.link.c_str());
    ASSERT_GE(archive_write_header(a, entry), ARCHIVE_WARN) << archive_error_string(a);
    if (has_bytes) archive_write_data(a, one.bytes.data(), one.bytes.size());
    archive_entry_free(entry);
  }
  ASSERT_EQ(archive_write_close(a), ARCHIVE_OK);
  archive_write_free(a);
}

}  // namespace greta::runner
