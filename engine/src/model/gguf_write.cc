#include "model/gguf_write.h"

#include <cerrno>
#include <cstring>

#include "model/new_file.h"

namespace greta::engine {
namespace {

template <class T>
void put(std::string& to, T value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}
void put_text(std::string& to, std::string_view text) {
  put(to, static_cast<uint64_t>(text.size()));
  to += text;
}
// ggml's numbers of metadata types.
enum : uint32_t { kUint32 = 4, kInt32 = 5, kFloat32 = 6, kBool = 7, kString = 8, kArray = 9 };

uint64_t padding(uint64_t bytes) {
  const auto alignment = static_cast<uint64_t>(GgufWriter::kAlignment);
  return (alignment - bytes % alignment) % alignment;
}

}  // namespace

void GgufWriter::key(std::string_view name, uint32_t type) {
  put_text(metadata_, name);
  put(metadata_, type);
  ++keys_;
}
void GgufWriter::integer(std::string_view name, uint32_t value) {
  key(name, kUint32);
  put(metadata_, value);
}
void GgufWriter::real(std::string_view name, float value) {
  key(name, kFloat32);
  put(metadata_, value);
}
void GgufWriter::boolean(std::string_view name, bool value) {
  key(name, kBool);
  put(metadata_, static_cast<uint8_t>(value ? 1 : 0));
}
void GgufWriter::text(std::string_view name, std::string_view value) {
  key(name, kString);
  put_text(metadata_, value);
}
void GgufWriter::strings(std::string_view name, const std::vector<std::string>& values) {
  key(name, kArray);
  put(metadata_, uint32_t{kString});
  put(metadata_, static_cast<uint64_t>(values.size()));
  for (const std::string& value : values) put_text(metadata_, value);
}
void GgufWriter::integers(std::string_view name, const std::vector<int32_t>& values) {
  key(name, kArray);
  put(metadata_, uint32_t{kInt32});
  put(metadata_, static_cast<uint64_t>(values.size()));
  for (const int32_t value : values) put(metadata_, value);
}

void GgufWriter::tensor(std::string_view name, const std::vector<int64_t>& dims, TensorType type,
                        int64_t bytes) {
  put_text(table_, name);
  put(table_, static_cast<uint32_t>(dims.size()));
  for (const int64_t dim : dims) put(table_, static_cast<uint64_t>(dim));
  put(table_, static_cast<uint32_t>(type));
  put(table_, offset_);
  offset_ += static_cast<uint64_t>(bytes);
  offset_ += padding(offset_);
  ++tensors_;
}

Result<> GgufWriter::fail_to_write() const {
  return fail(EngineExit::input, "cannot write " + path_.string() + ": " + std::strerror(errno));
}

GgufWriter::~GgufWriter() {
  std::error_code ignored;
  if (file_) std::filesystem::remove(part(), ignored);
}

Result<> GgufWriter::begin(const std::filesystem::path& path) {
  TRY_ASSIGN(path_, place_of_new_file(path));
  file_.reset(std::fopen(part().c_str(), "wb"));
  if (!file_) return fail_to_write();
  std::string head = "GGUF";
  put(head, uint32_t{3});
  put(head, tensors_);
  put(head, keys_);
  head += metadata_ + table_;
  head.append(padding(head.size()), '\0');
  written_ = 0;
  if (std::fwrite(head.data(), 1, head.size(), file_.get()) != head.size()) return fail_to_write();
  return {};
}

Result<> GgufWriter::write(std::span<const std::byte> data) {
  if (std::fwrite(data.data(), 1, data.size(), file_.get()) != data.size()) return fail_to_write();
  written_ += data.size();
  return {};
}

Result<> GgufWriter::pad() {
  const std::vector<std::byte> zeros(padding(written_));
  return write(zeros);
}

Result<> GgufWriter::finish() {
  if (std::fflush(file_.get()) != 0) return fail_to_write();
  file_.reset();
  std::error_code error;
  std::filesystem::rename(part(), path_, error);
  if (error)
    return fail(EngineExit::input, "cannot make " + path_.string() + ": " + error.message());
  return {};
}

}  // namespace greta::engine
