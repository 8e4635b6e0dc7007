#include "model/gguf.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "contract/text.h"
#include "model/gguf_impl.h"
#include "model/gguf_types.h"

namespace greta::engine {

std::string_view to_string(TensorType type) {
  const auto* layout = block_layout(static_cast<uint32_t>(type));
  return layout ? layout->name : "unknown";
}

bool usable(TensorType type) {
  switch (type) {
    case TensorType::f32:
    case TensorType::f16:
    case TensorType::bf16:
    case TensorType::q8_0:
    case TensorType::q4_0:
    case TensorType::q5_0:
    case TensorType::q4_k:
    case TensorType::q5_k:
    case TensorType::q6_k:
      return true;
  }
  return false;
}

std::string usable_names() {
  std::string out;
  for (const BlockLayout& layout : kBlockLayouts) {
    if (!usable(static_cast<TensorType>(layout.type))) continue;
    out += (out.empty() ? "" : ", ") + std::string(layout.name);
  }
  return out;
}

int64_t Tensor::elements() const {
  int64_t count = 1;
  for (const int64_t dim : dims) count *= dim;
  return count;
}

std::string Tensor::shape() const {
  std::string out = "[";
  for (size_t i = 0; i < dims.size(); ++i) out += (i ? ", " : "") + std::to_string(dims[i]);
  return out + "]";
}

GgufFile::GgufFile(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
GgufFile::GgufFile(GgufFile&&) noexcept = default;
GgufFile& GgufFile::operator=(GgufFile&&) noexcept = default;
GgufFile::~GgufFile() = default;

Result<GgufFile> GgufFile::parse(std::span<const std::byte> bytes, std::string name) {
  auto impl = std::make_unique<Impl>();
  impl->name = std::move(name);
  impl->bytes = bytes;
  TRY(impl->parse());
  return GgufFile(std::move(impl));
}

Result<GgufFile> GgufFile::open(const std::filesystem::path& path) {
  const auto error = [&](const std::string& what) {
    return tl::unexpected<Error>(Error{
        .message = what, .file = path.string(), .exit_code = static_cast<int>(EngineExit::input)});
  };
  // O_NONBLOCK: a FIFO given by mistake must not hang the engine; it has no effect on a file.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return error(std::string("cannot open the model: ") + std::strerror(errno));
  struct stat info {};
  const bool known = fstat(fd, &info) == 0;
  if (!known || !S_ISREG(info.st_mode)) {
    ::close(fd);
    return error(known && S_ISDIR(info.st_mode) ? "this is a folder, not a GGUF file"
                                                : "this is not a regular file");
  }
  auto impl = std::make_unique<Impl>();
  impl->name = path.string();
  const auto size = static_cast<size_t>(info.st_size);
  if (size > 0) {
    void* mapping = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    const int mmap_errno = errno;
    ::close(fd);
    if (mapping == MAP_FAILED)
      return error(std::string("cannot map the model: ") + std::strerror(mmap_errno));
    impl->bytes = {static_cast<const std::byte*>(mapping), size};
    impl->mapped = true;
  } else {
    ::close(fd);
  }
  TRY(impl->parse());
  return GgufFile(std::move(impl));
}

Result<> GgufFile::read_ahead(const std::function<void(uint64_t done)>& on_progress) const {
  constexpr size_t kStep = size_t{64} << 20;
  if (!impl_->mapped) return {};
  for (size_t at = 0; at < impl_->bytes.size(); at += kStep) {
    const auto part = impl_->bytes.subspan(at, std::min(kStep, impl_->bytes.size() - at));
    void* const address = const_cast<std::byte*>(part.data());
    while (madvise(address, part.size(), MADV_POPULATE_READ) != 0) {
      if (errno == EINTR || errno == EAGAIN) continue;
      if (errno != EFAULT && errno != EHWPOISON) return {};
      return tl::unexpected<Error>(Error{.message = "cannot read the bytes from " +
                                                    std::to_string(at) + " to " +
                                                    std::to_string(at + part.size()) +
                                                    ": the file was cut short, or the disk fails",
                                         .file = impl_->name,
                                         .exit_code = static_cast<int>(EngineExit::input)});
    }
    on_progress(at + part.size());
  }
  return {};
}

const std::string& GgufFile::path() const { return impl_->name; }
uint32_t GgufFile::version() const { return impl_->version; }
uint64_t GgufFile::alignment() const { return impl_->alignment; }
uint64_t GgufFile::bytes() const { return impl_->bytes.size(); }
const std::map<std::string, GgufValue, std::less<>>& GgufFile::metadata() const {
  return impl_->metadata;
}
const std::vector<Tensor>& GgufFile::tensors() const { return impl_->tensors; }
bool GgufFile::has(std::string_view key) const { return impl_->metadata.contains(key); }
bool GgufFile::has_tensor(std::string_view name) const { return impl_->by_name.contains(name); }

namespace {

tl::unexpected<Error> input_error(const std::string& file, std::string message) {
  return tl::unexpected<Error>(Error{.message = std::move(message),
                                     .file = file,
                                     .exit_code = static_cast<int>(EngineExit::input)});
}

Result<const GgufValue*> find_value(const GgufFile& file, std::string_view key) {
  const auto found = file.metadata().find(key);
  if (found != file.metadata().end()) return &found->second;
  std::vector<std::string> keys;
  for (const auto& [name, value] : file.metadata()) keys.push_back(printable(name));
  return input_error(file.path(), "no metadata " + backticked(key) + did_you_mean(key, keys));
}

tl::unexpected<Error> wrong_type(const GgufFile& file, std::string_view key, const GgufValue& value,
                                 std::string_view wanted) {
  return input_error(file.path(), "metadata " + backticked(key) + " is " + type_name_of(value) +
                                      ", not " + std::string(wanted));
}

}  // namespace

Result<int64_t> GgufFile::integer(std::string_view key) const {
  TRY_ASSIGN(const auto* value, find_value(*this, key));
  if (const auto* as_signed = std::get_if<int64_t>(&value->value)) return *as_signed;
  if (const auto* as_unsigned = std::get_if<uint64_t>(&value->value)) {
    if (*as_unsigned <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return static_cast<int64_t>(*as_unsigned);
    }
    return input_error(path(), "metadata " + backticked(key) + " is " +
                                   std::to_string(*as_unsigned) + ": more than 63 bits");
  }
  return wrong_type(*this, key, *value, "an integer");
}

Result<double> GgufFile::real(std::string_view key) const {
  TRY_ASSIGN(const auto* value, find_value(*this, key));
  if (const auto* number = std::get_if<double>(&value->value)) return *number;
  return wrong_type(*this, key, *value, "a real number");
}

template <class T>
Result<const T*> GgufFile::typed(std::string_view key, std::string_view type_name) const {
  TRY_ASSIGN(const auto* value, find_value(*this, key));
  if (const auto* held = std::get_if<T>(&value->value)) return held;
  return wrong_type(*this, key, *value, type_name);
}

Result<bool> GgufFile::boolean(std::string_view key) const {
  TRY_ASSIGN(const bool* value, typed<bool>(key, "a bool"));
  return *value;
}
Result<std::string_view> GgufFile::text(std::string_view key) const {
  TRY_ASSIGN(const auto* value, typed<std::string_view>(key, "a string"));
  return *value;
}
Result<std::span<const std::string_view>> GgufFile::strings(std::string_view key) const {
  TRY_ASSIGN(const auto* value, typed<GgufValue::Strings>(key, "an array of strings"));
  return std::span<const std::string_view>(*value);
}
Result<std::span<const int64_t>> GgufFile::integers(std::string_view key) const {
  TRY_ASSIGN(const auto* value, typed<std::vector<int64_t>>(key, "an array of integers"));
  return std::span<const int64_t>(*value);
}
Result<std::span<const double>> GgufFile::reals(std::string_view key) const {
  TRY_ASSIGN(const auto* value, typed<std::vector<double>>(key, "an array of reals"));
  return std::span<const double>(*value);
}

Result<const Tensor*> GgufFile::tensor(std::string_view name) const {
  const auto found = impl_->by_name.find(name);
  if (found == impl_->by_name.end()) {
    std::vector<std::string> names;
    for (const auto& tensor : impl_->tensors) names.push_back(printable(tensor.name));
    return input_error(path(), "no tensor " + backticked(name) + did_you_mean(name, names));
  }
  const Tensor& tensor = impl_->tensors[found->second];
  if (!usable(tensor.type)) {
    return input_error(path(), "tensor " + backticked(name) + " has type " +
                                   std::string(to_string(tensor.type)) + ": this engine reads " +
                                   usable_names());
  }
  return &tensor;
}

}  // namespace greta::engine
