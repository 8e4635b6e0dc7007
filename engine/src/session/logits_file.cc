#include "session/logits_file.h"

#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "model/new_file.h"

namespace greta::engine {
namespace {

static_assert(std::endian::native == std::endian::little, "the file is little-endian");

constexpr char kMagic[8] = {'G', 'R', 'E', 'T', 'A', 'L', 'O', 'G'};
constexpr uint32_t kVersion = 1;

struct RawHeader {
  char magic[8];
  uint32_t version, vocab;
  uint64_t token_count, rows, model_hash;
  uint32_t context, stride;
  int32_t bos;
  uint32_t reserved;     // 0
  uint64_t header_hash;  // of the 56 bytes before it and the tokens
};
static_assert(sizeof(RawHeader) == 64 && offsetof(RawHeader, header_hash) == 56);

uint64_t hash_of_header(const RawHeader& raw, std::span<const int32_t> tokens) {
  const uint64_t head = XXH3_64bits(&raw, offsetof(RawHeader, header_hash));
  return XXH3_64bits_withSeed(tokens.data(), tokens.size_bytes(), head);
}

// The row's number is the seed: rows in another order do not fit.
uint64_t hash_of_row(std::span<const float> logits, int64_t row) {
  return XXH3_64bits_withSeed(logits.data(), logits.size_bytes(), static_cast<uint64_t>(row));
}

RawHeader raw_header(const LogitsHeader& header) {
  RawHeader raw = {};
  std::copy(std::begin(kMagic), std::end(kMagic), raw.magic);
  raw.version = kVersion;
  raw.vocab = static_cast<uint32_t>(header.vocab);
  raw.token_count = header.tokens.size();
  raw.rows = static_cast<uint64_t>(header.rows);
  raw.model_hash = header.model_hash;
  raw.context = static_cast<uint32_t>(header.layout.context);
  raw.stride = static_cast<uint32_t>(header.layout.stride);
  raw.bos = header.layout.bos;
  raw.header_hash = hash_of_header(raw, header.tokens);
  return raw;
}

tl::unexpected<Error> error(EngineExit code, const std::string& path, std::string message) {
  return tl::unexpected<Error>(
      Error{.message = std::move(message), .file = path, .exit_code = static_cast<int>(code)});
}

}  // namespace

Result<uint64_t> hash_of_file(const std::filesystem::path& path) {
  const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "rb"));
  const auto failed = [&] {
    return error(EngineExit::input, path.string(), std::string("cannot read: ") + strerror(errno));
  };
  if (!file) return failed();
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(),
                                                                       &XXH3_freeState);
  XXH3_64bits_reset(state.get());
  std::vector<char> buffer(size_t{1} << 20);
  size_t n = 0;
  while ((n = std::fread(buffer.data(), 1, buffer.size(), file.get())) > 0) {
    XXH3_64bits_update(state.get(), buffer.data(), n);
  }
  if (std::ferror(file.get()) != 0) return failed();
  return XXH3_64bits_digest(state.get());
}

Result<> check_comparable(const LogitsHeader& file, const LogitsHeader& wanted,
                          const std::string& path) {
  const auto differ = [&](const std::string& what, int64_t theirs, int64_t ours) {
    return error(EngineExit::input, path,
                 what + " is " + std::to_string(theirs) + " in this file and " +
                     std::to_string(ours) + " here: the logits cannot be compared");
  };
  if (file.vocab != wanted.vocab) return differ("the vocabulary", file.vocab, wanted.vocab);
  if (file.layout.context != wanted.layout.context) {
    return differ("the context", file.layout.context, wanted.layout.context);
  }
  if (file.layout.stride != wanted.layout.stride) {
    return differ("the stride", file.layout.stride, wanted.layout.stride);
  }
  if (file.layout.bos != wanted.layout.bos) {
    return differ("the begin-of-text token", file.layout.bos, wanted.layout.bos);
  }
  const auto [theirs, ours] = std::mismatch(file.tokens.begin(), file.tokens.end(),
                                            wanted.tokens.begin(), wanted.tokens.end());
  if (theirs != file.tokens.end() && ours != wanted.tokens.end()) {
    return differ("token " + std::to_string(theirs - file.tokens.begin()) + " of the text", *theirs,
                  *ours);
  }
  const auto count = [](const auto& tokens) { return static_cast<int64_t>(tokens.size()); };
  if (file.tokens.size() != wanted.tokens.size()) {
    return differ("the number of tokens", count(file.tokens), count(wanted.tokens));
  }
  return {};
}

LogitsWriter::LogitsWriter(std::filesystem::path path, LogitsHeader header)
    : path_(std::move(path)), part_(path_.string() + ".part"), header_(std::move(header)) {}

LogitsWriter::~LogitsWriter() {
  if (!file_) return;
  file_.reset();
  ::unlink(part_.c_str());
}

tl::unexpected<Error> LogitsWriter::cannot(const std::string& what) const {
  return error(EngineExit::usage, path_.string(), "cannot " + what + ": " + std::strerror(errno));
}

Result<> LogitsWriter::put(const void* data, size_t bytes) {
  if (std::fwrite(data, 1, bytes, file_.get()) != bytes) return cannot("write");
  return {};
}

Result<LogitsWriter> LogitsWriter::create(const std::filesystem::path& path, LogitsHeader header) {
  TRY_ASSIGN(const auto place, place_of_new_file(path));
  LogitsWriter writer(place, std::move(header));
  writer.file_.reset(std::fopen(writer.part_.c_str(), "wb"));
  if (!writer.file_) return writer.cannot("create");
  const RawHeader raw = raw_header(writer.header_);
  const std::span<const int32_t> tokens = writer.header_.tokens;
  TRY(writer.put(&raw, sizeof raw));
  TRY(writer.put(tokens.data(), tokens.size_bytes()));
  return writer;
}

Result<> LogitsWriter::row(std::span<const float> logits) {
  assert(static_cast<int64_t>(logits.size()) == header_.vocab && written_ < header_.rows);
  const uint64_t hash = hash_of_row(logits, written_++);
  TRY(put(logits.data(), logits.size_bytes()));
  return put(&hash, sizeof hash);
}

Result<> LogitsWriter::finish() {
  assert(written_ == header_.rows);
  if (std::fflush(file_.get()) != 0 || ::fsync(::fileno(file_.get())) != 0) return cannot("write");
  if (::rename(part_.c_str(), path_.c_str()) != 0) return cannot("rename into place");
  file_.reset();
  return {};
}

tl::unexpected<Error> LogitsReader::bad(const std::string& what) const {
  return error(EngineExit::input, path_, what);
}

Result<> LogitsReader::get(void* data, size_t bytes) {
  if (std::fread(data, 1, bytes, file_.get()) == bytes) return {};
  if (std::ferror(file_.get()) != 0) return bad(std::string("cannot read: ") + strerror(errno));
  return bad("the file ends early");
}

Result<LogitsReader> LogitsReader::open(const std::filesystem::path& path) {
  LogitsReader reader(path);
  reader.file_.reset(std::fopen(path.c_str(), "rb"));
  if (!reader.file_) return reader.bad(std::string("cannot open: ") + std::strerror(errno));
  TRY(reader.read_header());
  return reader;
}

// The size is looked at before anything is allocated for it.
Result<> LogitsReader::read_header() {
  std::error_code code;
  const uint64_t bytes = std::filesystem::file_size(path_, code);
  if (code) return bad("cannot read: " + code.message());
  RawHeader raw = {};
  if (bytes < sizeof raw)
    return bad("no file of logits: it has " + std::to_string(bytes) +
               " bytes, the header alone has 64");
  TRY(get(&raw, sizeof raw));
  if (!std::equal(std::begin(kMagic), std::end(kMagic), raw.magic)) {
    return bad("no file of logits: it does not begin with GRETALOG");
  }
  if (raw.version != kVersion) {
    return bad("version " + std::to_string(raw.version) + " of the format; this program knows 1");
  }
  const uint64_t row_bytes = uint64_t{raw.vocab} * sizeof(float) + sizeof(uint64_t);
  const uint64_t most = bytes / 4;  // so that the products below cannot overflow
  const bool possible = raw.vocab > 0 && raw.token_count <= most && raw.rows <= bytes / row_bytes;
  if (!possible || bytes != sizeof raw + raw.token_count * 4 + raw.rows * row_bytes) {
    return bad("the header tells of " + std::to_string(raw.token_count) + " tokens and " +
               std::to_string(raw.rows) + " rows of " + std::to_string(raw.vocab) +
               " logits, which are not the file's " + std::to_string(bytes) +
               " bytes: it was cut short or changed");
  }
  header_ = {.vocab = raw.vocab,
             .rows = static_cast<int64_t>(raw.rows),
             .model_hash = raw.model_hash,
             .layout = {raw.context, raw.stride, raw.bos},
             .tokens = std::vector<int32_t>(raw.token_count)};
  TRY(get(header_.tokens.data(), header_.tokens.size() * sizeof(int32_t)));
  if (hash_of_header(raw, header_.tokens) != raw.header_hash) {
    return bad("the checksum of the header and the tokens does not fit: the file was changed");
  }
  for (size_t i = 0; i < header_.tokens.size(); ++i) {
    const int32_t token = header_.tokens[i];
    if (token >= 0 && token < header_.vocab) continue;
    return bad("token " + std::to_string(i) + " has id " + std::to_string(token) +
               ", outside the vocabulary (0 to " + std::to_string(header_.vocab - 1) + ")");
  }
  if (raw.bos < -1 || raw.bos >= header_.vocab || raw.reserved != 0) {
    return bad("the begin-of-text token " + std::to_string(raw.bos) +
               " is outside the vocabulary, or the reserved field is not 0");
  }
  const auto windows = make_windows(static_cast<int64_t>(raw.token_count), header_.layout);
  if (!windows) return bad("its windows are impossible: " + windows.error().message);
  if (scored_rows(*windows) != header_.rows) {
    return bad("the windows of the text have " + std::to_string(scored_rows(*windows)) +
               " scored positions, the file has " + std::to_string(raw.rows));
  }
  return {};
}

Result<> LogitsReader::row(std::span<float> logits) {
  assert(static_cast<int64_t>(logits.size()) == header_.vocab && read_ < header_.rows);
  uint64_t hash = 0;
  TRY(get(logits.data(), logits.size_bytes()));
  TRY(get(&hash, sizeof hash));
  if (hash_of_row(logits, read_) != hash) {
    return bad("the checksum of row " + std::to_string(read_) + " of " +
               std::to_string(header_.rows) + " does not fit: the file was changed");
  }
  ++read_;
  return {};
}

}  // namespace greta::engine
