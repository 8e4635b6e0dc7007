// Any bytes as an archive of greta bundle export. The first byte says how they are taken: `t` a tar
// (packed here, since fuzzing does not get through zstd), `i` an index.json whose own hash is made
// good, `r` the JSON of a run; anything else the file as it is.
#include <archive.h>
#include <archive_entry.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "store/store.h"
#include "transfer/archive_file.h"

namespace {

using namespace greta;
using namespace greta::runner;

constexpr int64_t kMostBytes = 1 << 20;

void require(bool holds) {
  if (!holds) std::abort();
}

// What every reader of an archive relies on.
class Checker : public ArchiveVisitor {
 public:
  Result<> index(const ArchiveIndex& index) override {
    require(index.bytes() <= kMostBytes);
    indexed_ = true;
    return {};
  }
  Result<> begin(const ArchiveMember& member) override {
    require(indexed_ && !name_problem(member.name));
    left_ = member.bytes;
    bytes_.clear();
    hash_ = member.sha256;
    return {};
  }
  Result<> piece(std::string_view bytes) override {
    left_ -= static_cast<int64_t>(bytes.size());
    require(left_ >= 0);
    bytes_ += bytes;
    return {};
  }
  Result<> end() override {
    require(left_ == 0 && store::sha256_hex(bytes_) == hash_);
    return {};
  }

 private:
  bool indexed_ = false;
  int64_t left_ = 0;
  std::string bytes_, hash_;
};

void read(std::string_view bytes) {
  static const int fd = memfd_create("archive", MFD_CLOEXEC);
  static const std::string path = "/proc/self/fd/" + std::to_string(fd);
  require(ftruncate(fd, 0) == 0 && pwrite(fd, bytes.data(), bytes.size(), 0) >= 0);
  Checker checker;
  static const Cancel never;
  const auto done = read_archive(path, kMostBytes, checker, never);
  require(done || !done.error().message.empty());
}

std::string packed(std::string_view tar) {
  std::string out(tar.size() + (1 << 16), '\0');
  size_t used = 0;
  archive* const a = archive_write_new();
  archive_entry* const entry = archive_entry_new();
  archive_entry_set_pathname(entry, "x");
  archive_entry_set_filetype(entry, AE_IFREG);
  require(archive_write_set_format_raw(a) == ARCHIVE_OK &&
          archive_write_add_filter_zstd(a) == ARCHIVE_OK &&
          archive_write_open_memory(a, out.data(), out.size(), &used) == ARCHIVE_OK &&
          archive_write_header(a, entry) == ARCHIVE_OK &&
          archive_write_data(a, tar.data(), tar.size()) == static_cast<la_ssize_t>(tar.size()) &&
          archive_write_close(a) == ARCHIVE_OK);
  archive_entry_free(entry);
  archive_write_free(a);
  out.resize(used);
  return out;
}

void read_index(std::string_view text) {
  nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  std::string good(text);
  // Deeper ones are refused as they are; writing them again would be the fuzzer's own recursion.
  if (json.is_object() && text.size() < 4096) {
    json.erase("sha256");
    json["sha256"] = store::sha256_hex(json.dump());
    good = json.dump(1) + "\n";
  }
  const auto index = parse_index(good);
  require(index ? to_json(*index) == good : !index.error().message.empty());
}

void read_run(std::string_view text) {
  static store::Store store = *store::Store::in_memory();
  const auto checked = store.check_run(text);
  require(checked || !checked.error().message.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  read(bytes);
  if (size == 0) return 0;
  if (bytes[0] == 't') read(packed(bytes.substr(1)));
  if (bytes[0] == 'i') read_index(bytes.substr(1));
  if (bytes[0] == 'r') read_run(bytes.substr(1));
  return 0;
}
