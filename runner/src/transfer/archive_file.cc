#include "transfer/archive_file.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <set>

#include "contract/text.h"
#include "store/sha256.h"
#include "system/files.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

constexpr size_t kPiece = 1 << 16;
constexpr int kPlainMode = 0644, kProgramMode = 0755;

struct Free {
  void operator()(archive* a) const { archive_free(a); }
  void operator()(archive_entry* entry) const { archive_entry_free(entry); }
};
using Archive = std::unique_ptr<archive, Free>;
using Entry = std::unique_ptr<archive_entry, Free>;

std::string why(archive* a) {
  const char* const text = archive_error_string(a);
  return text == nullptr ? "no reason given" : text;
}

tl::unexpected<Error> cannot_write(archive* a) {
  return fail(Exit::infrastructure, "cannot be written: " + why(a));
}

// ── writing
// ───────────────────────────────────────────────────────────────────────────────────────

class Writer {
 public:
  // Names that are more than ASCII are written as the bytes that they are: converting them would
  // depend on the locale, and fails in that of C.
  Result<> open(const fs::path& file, bool plain_names) {
    archive_.reset(archive_write_new());
    entry_.reset(archive_entry_new());
    if (!archive_ || !entry_) return fail(Exit::infrastructure, "out of memory");
    archive* const a = archive_.get();
    if (archive_write_set_format_pax_restricted(a) != ARCHIVE_OK ||
        archive_write_add_filter_zstd(a) != ARCHIVE_OK ||
        archive_write_set_filter_option(a, "zstd", "compression-level", "6") != ARCHIVE_OK ||
        (!plain_names &&
         archive_write_set_format_option(a, "pax", "hdrcharset", "BINARY") != ARCHIVE_OK) ||
        archive_write_open_filename(a, file.c_str()) != ARCHIVE_OK) {
      return cannot_write(a);
    }
    return {};
  }

  Result<> add(const ArchiveSource& source, const Cancel& cancel) {
    archive_entry* const entry = archive_entry_clear(entry_.get());
    archive_entry_set_pathname(entry, source.member.name.c_str());
    archive_entry_set_size(entry, source.member.bytes);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, source.member.executable ? kProgramMode : kPlainMode);
    archive_entry_set_mtime(entry, 0, 0);
    if (archive_write_header(archive_.get(), entry) < ARCHIVE_WARN)
      return cannot_write(archive_.get());
    int64_t left = source.member.bytes;
    TRY(source.read([&](std::string_view piece) -> Result<> {
      if (cancel.requested()) return fail(Exit::interrupted, "interrupted");
      left -= static_cast<int64_t>(piece.size());
      if (left < 0) return Result<>();  // said below
      const la_ssize_t written = archive_write_data(archive_.get(), piece.data(), piece.size());
      if (written != static_cast<la_ssize_t>(piece.size())) return cannot_write(archive_.get());
      return {};
    }));
    if (left == 0) return {};
    return fail(Exit::infrastructure,
                "`" + source.member.name + "` changed its size while it was read");
  }

  Result<> close() {
    if (archive_write_close(archive_.get()) != ARCHIVE_OK) return cannot_write(archive_.get());
    return {};
  }

 private:
  Archive archive_;
  Entry entry_;
};

Result<> write_members(const fs::path& file, const std::vector<ArchiveSource>& sources,
                       const Cancel& cancel) {
  const bool plain_names = std::all_of(sources.begin(), sources.end(), [](const auto& source) {
    const std::string& name = source.member.name;
    return std::all_of(name.begin(), name.end(), [](unsigned char c) { return c < 128; });
  });
  Writer writer;
  TRY(writer.open(file, plain_names));
  ArchiveIndex index;
  for (const ArchiveSource& source : sources) index.members.push_back(source.member);
  const std::string text = to_json(std::move(index));
  TRY(writer.add(
      {.member = {.name = kIndexName, .bytes = static_cast<int64_t>(text.size()), .sha256 = {}},
       .read = [&text](const PieceSink& sink) { return sink(text); }},
      cancel));
  for (const ArchiveSource& source : sources) TRY(writer.add(source, cancel));
  TRY(writer.close());
  return sync_path(file);
}

// ── reading
// ───────────────────────────────────────────────────────────────────────────────────────

tl::unexpected<Error> refused(const std::string& message) { return fail(Exit::usage, message); }

class Reader {
 public:
  Reader(ArchiveVisitor& visitor, int64_t most_bytes, const Cancel& cancel)
      : visitor_(visitor), most_bytes_(most_bytes), cancel_(cancel) {}

  Result<> read(const fs::path& file) {
    archive_.reset(archive_read_new());
    archive* const a = archive_.get();
    if (a == nullptr) return fail(Exit::infrastructure, "out of memory");
    // Nothing but what export writes: fewer readers of bytes that somebody sent.
    if (archive_read_support_filter_zstd(a) != ARCHIVE_OK ||
        archive_read_support_format_tar(a) != ARCHIVE_OK) {
      return fail(Exit::infrastructure, "libarchive: " + why(a));
    }
    if (archive_read_open_filename(a, file.c_str(), kPiece) != ARCHIVE_OK)
      return refused("no archive of greta: " + why(a));
    TRY(read_index());
    while (true) {
      TRY_ASSIGN(const bool more, next());
      if (!more) break;
      TRY(read_member());
    }
    for (const auto& [name, member] : expected_) {
      if (!seen_.contains(name))
        return refused("cut short: `" + printable(name) + "` of its index is missing");
    }
    return {};
  }

 private:
  Result<bool> next() {
    const int code = archive_read_next_header(archive_.get(), &entry_);
    if (code == ARCHIVE_EOF) return false;
    if (code != ARCHIVE_OK)
      return refused("no archive of greta, or damaged: " + why(archive_.get()));
    const char* const name = archive_entry_pathname(entry_);
    if (name == nullptr) return refused("a member's name is not written as greta writes it");
    name_ = name;
    if (archive_entry_hardlink(entry_) != nullptr || archive_entry_symlink(entry_) != nullptr)
      return refused("`" + printable(name_) + "` is a link");
    if (archive_entry_filetype(entry_) != AE_IFREG)
      return refused("`" + printable(name_) + "` is no regular file");
    return true;
  }

  // Every byte of the member at hand, `bytes` of them and no more.
  Result<std::string> each_piece(int64_t bytes, const PieceSink& sink) {
    store::Sha256 hash;
    int64_t left = bytes;
    while (true) {
      if (cancel_.requested()) return fail(Exit::interrupted, "interrupted");
      const la_ssize_t got = archive_read_data(archive_.get(), buffer_.data(), buffer_.size());
      if (got < 0)
        return refused("`" + printable(name_) +
                       "` is cut short or damaged: " + why(archive_.get()));
      if (got == 0) break;
      left -= got;
      if (left < 0) return refused("`" + printable(name_) + "` is larger than the index says");
      const std::string_view piece(buffer_.data(), static_cast<size_t>(got));
      hash.update(piece);
      TRY(sink(piece));
    }
    if (left > 0) return refused("`" + printable(name_) + "` is smaller than the index says");
    return hash.hex();
  }

  Result<> read_index() {
    TRY_ASSIGN(const bool any, next());
    if (!any || name_ != kIndexName)
      return refused("no archive of greta: its first member is not " + std::string(kIndexName));
    const int64_t size = archive_entry_size(entry_);
    if (size > kMostIndexBytes) return refused("its index.json is too large");
    std::string text;
    TRY(each_piece(size, [&text](std::string_view piece) {
      text += piece;
      return Result<>();
    }));
    TRY_ASSIGN(index_, parse_index(text));
    if (index_.bytes() > most_bytes_) {
      return refused("would unpack to " + human_bytes(static_cast<double>(index_.bytes())) +
                     ", more than " + human_bytes(static_cast<double>(most_bytes_)) +
                     " (--most-bytes)");
    }
    for (const ArchiveMember& member : index_.members) expected_.emplace(member.name, &member);
    return visitor_.index(index_);
  }

  Result<> read_member() {
    const auto found = expected_.find(name_);
    if (found == expected_.end()) return refused("`" + printable(name_) + "` is not in the index");
    const ArchiveMember& member = *found->second;
    if (!seen_.insert(member.name).second)
      return refused("`" + printable(name_) + "` stands twice");
    if (archive_entry_size(entry_) != member.bytes) {
      return refused("`" + printable(name_) + "` has " +
                     std::to_string(archive_entry_size(entry_)) + " bytes, the index says " +
                     std::to_string(member.bytes));
    }
    TRY(visitor_.begin(member));
    TRY_ASSIGN(const std::string hash, each_piece(member.bytes, [this](std::string_view piece) {
                 return visitor_.piece(piece);
               }));
    if (hash != member.sha256)
      return refused("`" + printable(name_) + "` is damaged: it does not have the index's hash");
    return visitor_.end();
  }

  ArchiveVisitor& visitor_;
  int64_t most_bytes_;
  const Cancel& cancel_;
  Archive archive_;
  archive_entry* entry_ = nullptr;  // libarchive's own
  std::string name_;
  ArchiveIndex index_;
  std::map<std::string_view, const ArchiveMember*> expected_;
  std::set<std::string_view> seen_;
  std::array<char, kPiece> buffer_{};
};

Error at_file(Error error, const fs::path& file) {
  if (error.file.empty()) error.file = file.string();
  return error;
}

}  // namespace

Result<> write_archive(const fs::path& file, std::vector<ArchiveSource> sources,
                       const Cancel& cancel) {
  std::sort(sources.begin(), sources.end(), [](const ArchiveSource& a, const ArchiveSource& b) {
    return a.member.name < b.member.name;
  });
  const fs::path part = file.string() + ".part" + std::to_string(getpid());
  auto written = write_members(part, sources, cancel);
  std::error_code error;
  if (written) fs::rename(part, file, error);
  if (error) written = fail(Exit::infrastructure, "cannot be written: " + error.message());
  if (written) return {};
  fs::remove(part, error);
  return tl::unexpected(at_file(std::move(written.error()), file));
}

Result<> read_archive(const fs::path& file, int64_t most_bytes, ArchiveVisitor& visitor,
                      const Cancel& cancel) {
  std::error_code error;
  if (!fs::is_regular_file(file, error)) {
    return tl::unexpected(
        Error{.message = fs::exists(file, error) ? "is no file" : "there is no such file",
              .file = file.string()});
  }
  auto done = Reader(visitor, most_bytes, cancel).read(file);
  if (!done) return tl::unexpected(at_file(std::move(done.error()), file));
  return {};
}

}  // namespace greta::runner
