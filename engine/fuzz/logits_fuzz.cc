// Any bytes as a file of logits, and once more with its checksums made good, so that
// fuzzing gets behind them.
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "session/logits_file.h"

namespace {

using namespace greta::engine;

void read_all(const std::string& bytes) {
  static const int fd = memfd_create("logits", MFD_CLOEXEC);
  static const std::string path = "/proc/self/fd/" + std::to_string(fd);
  if (ftruncate(fd, 0) != 0 || pwrite(fd, bytes.data(), bytes.size(), 0) < 0) std::abort();
  auto reader = LogitsReader::open(path);
  if (!reader) {
    if (reader.error().message.empty()) std::abort();
    return;
  }
  const LogitsHeader& header = reader->header();
  std::vector<float> row(static_cast<size_t>(header.vocab));
  for (int64_t i = 0; i < header.rows; ++i) {
    if (!reader->row(row)) return;
  }
  if (!check_comparable(header, header, path)) std::abort();
  LogitsHeader other = header;
  other.tokens.back() = other.tokens.back() == 0 ? 1 : 0;
  if (check_comparable(header, other, path)) std::abort();
}

// Sets the checksums of the header and of every row that is there.
void make_good(std::string& bytes) {
  uint32_t vocab = 0;
  uint64_t tokens = 0;
  std::memcpy(&vocab, bytes.data() + 12, sizeof vocab);
  std::memcpy(&tokens, bytes.data() + 16, sizeof tokens);
  const uint64_t token_bytes = std::min<uint64_t>(tokens, (bytes.size() - 64) / 4) * 4;
  const uint64_t head =
      XXH3_64bits_withSeed(bytes.data() + 64, token_bytes, XXH3_64bits(bytes.data(), 56));
  std::memcpy(bytes.data() + 56, &head, sizeof head);
  const uint64_t row_bytes = uint64_t{vocab} * 4;
  uint64_t at = 64 + token_bytes;
  for (uint64_t row = 0; at + row_bytes + 8 <= bytes.size(); ++row, at += row_bytes + 8) {
    const uint64_t hash = XXH3_64bits_withSeed(bytes.data() + at, row_bytes, row);
    std::memcpy(bytes.data() + at + row_bytes, &hash, sizeof hash);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  read_all(bytes);
  if (size < 64) return 0;
  make_good(bytes);
  read_all(bytes);
  return 0;
}
