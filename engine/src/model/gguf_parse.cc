#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <unordered_set>

#include "contract/text.h"
#include "model/gguf_impl.h"
#include "model/gguf_types.h"

namespace greta::engine {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF is read as it lies in memory");

// ggml's numbers for the types of metadata values.
enum ValueType : uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64,
  kValueTypes
};
constexpr uint64_t kValueBytes[kValueTypes] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};

constexpr uint64_t kMaxKeyBytes = 65535;  // the specification's limit
constexpr uint64_t kSmallestTensorInfo = 8 + 4 + 8 + 4 + 8;
constexpr uint64_t kSmallestKeyValue = 8 + 4 + 1;

constexpr uint64_t kBeyondAnyFile = uint64_t{1} << 62;

using Metadata = std::map<std::string, GgufValue, std::less<>>;

struct Header {
  uint32_t version = 0;
  uint64_t tensor_count = 0, kv_count = 0;
};

struct Extent {         // of a tensor's data
  uint64_t offset = 0;  // from the start of all data
  uint64_t bytes = 0;
};

// Walks the bytes of the file; every read says which field it wanted and where.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  uint64_t offset() const { return offset_; }
  uint64_t left() const { return bytes_.size() - offset_; }

  tl::unexpected<Error> fail_at(uint64_t offset, const std::string& what) const {
    return tl::unexpected<Error>(
        Error{.message = what + " (at byte " + std::to_string(offset) + ")",
              .file = file_,
              .exit_code = static_cast<int>(EngineExit::input)});
  }

  template <class T>
  Result<T> number(const std::string& field) {
    TRY(need(sizeof(T), field));
    T value;
    std::memcpy(&value, bytes_.data() + offset_, sizeof(T));
    offset_ += sizeof(T);
    return value;
  }

  Result<std::string_view> string(const std::string& field) {
    const uint64_t start = offset_;
    TRY_ASSIGN(const uint64_t length, number<uint64_t>("length of " + field));
    if (length > left()) {
      return fail_at(start, field + " claims " + std::to_string(length) + " bytes, but only " +
                                std::to_string(left()) + " are left in the file");
    }
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data()) + offset_, length);
    offset_ += length;
    return text;
  }

  Result<> need(uint64_t count, const std::string& field) const {
    if (count <= left()) return {};
    return fail_at(offset_, "the file ends inside " + field + ": " +
                                std::to_string(count - left()) + " bytes are missing");
  }

  std::span<const std::byte> take(uint64_t count) {  // after need()
    const auto taken = bytes_.subspan(offset_, count);
    offset_ += count;
    return taken;
  }

 private:
  std::span<const std::byte> bytes_;
  const std::string& file_;
  uint64_t offset_ = 0;
};

// What a file that is no GGUF looks like, for the one line that its owner reads.
std::string looks_like(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()),
                              std::min<size_t>(bytes.size(), 64));
  const auto starts = [&](std::string_view prefix) { return text.starts_with(prefix); };
  if (starts("version https://git-lfs")) {
    return "a git-lfs pointer: fetch the file itself with `git lfs pull`";
  }
  if (starts("FUGG")) return "a big-endian GGUF file, which this engine does not read";
  if (starts("lmgg") || starts("fmgg") || starts("tjgg") || starts("GGML") || starts("ggml")) {
    return "a GGML file, the format before GGUF: convert it";
  }
  if (text.size() > 8 && text[8] == '{') return "a safetensors file: convert it to GGUF";
  if (starts("PK\x03\x04")) return "a zip archive (PyTorch?): convert it to GGUF";
  if (starts("\x1f\x8b") || starts("\x28\xb5\x2f\xfd")) return "a compressed file: unpack it";
  if (starts("<!DOCTYPE") || starts("<html")) return "an HTML page, perhaps a failed download";
  return "no GGUF file: it starts with \"" + printable(text.substr(0, 4)) + "\"";
}

template <class Stored, class Widened>
std::vector<Widened> widen(std::span<const std::byte> bytes) {
  std::vector<Widened> out(bytes.size() / sizeof(Stored));
  for (size_t i = 0; i < out.size(); ++i) {
    Stored value;
    std::memcpy(&value, bytes.data() + i * sizeof(Stored), sizeof(Stored));
    out[i] = static_cast<Widened>(value);
  }
  return out;
}

Result<GgufValue> read_array(Reader& in, const std::string& field) {
  const uint64_t start = in.offset();
  TRY_ASSIGN(const uint32_t type, in.number<uint32_t>("element type of " + field));
  TRY_ASSIGN(const uint64_t count, in.number<uint64_t>("length of " + field));
  if (type == kArray)
    return in.fail_at(start, field + " is an array of arrays, which no model uses");
  if (type >= kValueTypes) {
    return in.fail_at(start, field + " has elements of the unknown type " + std::to_string(type));
  }
  if (count > in.left() / kValueBytes[type]) {
    return in.fail_at(start, field + " claims " + std::to_string(count) + " elements of at least " +
                                 std::to_string(kValueBytes[type]) + " bytes, but only " +
                                 std::to_string(in.left()) + " bytes are left in the file");
  }
  if (type == kString) {
    GgufValue::Strings strings;
    strings.reserve(count);
    for (uint64_t i = 0; i < count; ++i) {
      TRY_ASSIGN(const auto text, in.string(field + "[" + std::to_string(i) + "]"));
      strings.push_back(text);
    }
    return GgufValue{std::move(strings)};
  }
  const uint64_t data_start = in.offset();
  const auto bytes = in.take(count * kValueBytes[type]);
  switch (type) {
    case kU8:
    case kBool:
      return GgufValue{widen<uint8_t, int64_t>(bytes)};
    case kI8:
      return GgufValue{widen<int8_t, int64_t>(bytes)};
    case kU16:
      return GgufValue{widen<uint16_t, int64_t>(bytes)};
    case kI16:
      return GgufValue{widen<int16_t, int64_t>(bytes)};
    case kU32:
      return GgufValue{widen<uint32_t, int64_t>(bytes)};
    case kI32:
      return GgufValue{widen<int32_t, int64_t>(bytes)};
    case kI64:
      return GgufValue{widen<int64_t, int64_t>(bytes)};
    case kF32:
      return GgufValue{widen<float, double>(bytes)};
    case kF64:
      return GgufValue{widen<double, double>(bytes)};
    default:
      break;
  }
  auto values = widen<uint64_t, int64_t>(bytes);
  if (const auto large =
          std::find_if(values.begin(), values.end(), [](int64_t v) { return v < 0; });
      large != values.end()) {
    const auto index = static_cast<uint64_t>(large - values.begin());
    return in.fail_at(data_start + index * 8, field + " holds a number of more than 63 bits");
  }
  return GgufValue{std::move(values)};
}

template <class Stored, class Kept>
Result<GgufValue> read_number(Reader& in, const std::string& field) {
  TRY_ASSIGN(const Stored value, in.number<Stored>(field));
  return GgufValue{static_cast<Kept>(value)};
}

Result<GgufValue> read_value(Reader& in, uint32_t type, uint64_t type_offset,
                             const std::string& field) {
  switch (type) {
    case kU8:
      return read_number<uint8_t, uint64_t>(in, field);
    case kI8:
      return read_number<int8_t, int64_t>(in, field);
    case kU16:
      return read_number<uint16_t, uint64_t>(in, field);
    case kI16:
      return read_number<int16_t, int64_t>(in, field);
    case kU32:
      return read_number<uint32_t, uint64_t>(in, field);
    case kI32:
      return read_number<int32_t, int64_t>(in, field);
    case kU64:
      return read_number<uint64_t, uint64_t>(in, field);
    case kI64:
      return read_number<int64_t, int64_t>(in, field);
    case kF32:
      return read_number<float, double>(in, field);
    case kF64:
      return read_number<double, double>(in, field);
    case kArray:
      return read_array(in, field);
    case kString: {
      TRY_ASSIGN(const auto text, in.string(field));
      return GgufValue{text};
    }
    case kBool: {
      const uint64_t start = in.offset();
      TRY_ASSIGN(const uint8_t value, in.number<uint8_t>(field));
      if (value > 1)
        return in.fail_at(start, field + " is a bool with the value " + std::to_string(value));
      return GgufValue{value == 1};
    }
    default:
      return in.fail_at(type_offset, field + " has the unknown type " + std::to_string(type));
  }
}

Result<> read_header(Reader& in, std::span<const std::byte> bytes, Header* header) {
  if (bytes.empty()) return in.fail_at(0, "the file is empty");
  if (bytes.size() < 4 || std::memcmp(bytes.data(), "GGUF", 4) != 0) {
    return in.fail_at(0, "this is " + looks_like(bytes));
  }
  in.take(4);
  TRY_ASSIGN(header->version, in.number<uint32_t>("version"));
  const uint32_t version = header->version;
  if (version != 0 && (version & 0xffff) == 0) {
    return in.fail_at(4, "this is a big-endian GGUF file, which this engine does not read");
  }
  if (version != 2 && version != 3) {
    return in.fail_at(4, "GGUF version " + std::to_string(version) + ": this engine reads 2 and 3");
  }
  TRY_ASSIGN(header->tensor_count, in.number<uint64_t>("tensor_count"));
  TRY_ASSIGN(header->kv_count, in.number<uint64_t>("kv_count"));
  if (header->tensor_count > in.left() / kSmallestTensorInfo) {
    return in.fail_at(8, "tensor_count " + std::to_string(header->tensor_count) +
                             " cannot fit into the " + std::to_string(in.left()) +
                             " bytes that follow");
  }
  if (header->kv_count > in.left() / kSmallestKeyValue) {
    return in.fail_at(16, "kv_count " + std::to_string(header->kv_count) + " cannot fit into the " +
                              std::to_string(in.left()) + " bytes that follow");
  }
  return {};
}

Result<> read_metadata(Reader& in, uint64_t count, Metadata& metadata) {
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t start = in.offset();
    const std::string nth = std::to_string(i + 1) + " of " + std::to_string(count);
    TRY_ASSIGN(const auto key, in.string("metadata key " + nth));
    if (key.empty() || key.size() > kMaxKeyBytes) {
      return in.fail_at(start, "metadata key " + nth + " has " + std::to_string(key.size()) +
                                   " bytes; 1 to " + std::to_string(kMaxKeyBytes) + " are allowed");
    }
    const std::string field = "metadata " + backticked(key);
    const uint64_t type_offset = in.offset();
    TRY_ASSIGN(const uint32_t type, in.number<uint32_t>("type of " + field));
    TRY_ASSIGN(auto value, read_value(in, type, type_offset, field));
    if (!metadata.emplace(std::string(key), std::move(value)).second) {
      return in.fail_at(start, field + " stands there twice");
    }
  }
  return {};
}

Result<uint64_t> read_alignment(const Reader& in, const Metadata& metadata) {
  const auto found = metadata.find("general.alignment");
  if (found == metadata.end()) return uint64_t{32};
  const auto* value = std::get_if<uint64_t>(&found->second.value);
  if (!value) {
    return in.fail_at(in.offset(), "metadata `general.alignment` is " +
                                       type_name_of(found->second) + ", not an unsigned integer");
  }
  if (!std::has_single_bit(*value) || *value > (uint64_t{1} << 30)) {
    return in.fail_at(in.offset(), "metadata `general.alignment` is " + std::to_string(*value) +
                                       ", not a power of two up to 2^30");
  }
  return *value;
}

Result<Tensor> read_tensor_info(Reader& in, const std::string& field, uint64_t* data_bytes) {
  Tensor tensor;
  TRY_ASSIGN(const auto tensor_name, in.string("name of " + field));
  const std::string what = "tensor " + backticked(tensor_name);
  if (tensor_name.empty()) return in.fail_at(in.offset(), field + " has no name");
  tensor.name = tensor_name;
  const uint64_t dims_offset = in.offset();
  TRY_ASSIGN(const uint32_t n_dims, in.number<uint32_t>("n_dims of " + what));
  if (n_dims < 1 || n_dims > 4) {
    return in.fail_at(dims_offset,
                      what + " has " + std::to_string(n_dims) + " dimensions; 1 to 4 are allowed");
  }
  uint64_t elements = 1;
  for (uint32_t d = 0; d < n_dims; ++d) {
    const uint64_t start = in.offset();
    TRY_ASSIGN(const uint64_t dim,
               in.number<uint64_t>("dimension " + std::to_string(d) + " of " + what));
    // 2^62 elements are more than any file holds, and leave room for the bytes of an element.
    if (dim == 0 || dim > (uint64_t{1} << 62) / elements) {
      return in.fail_at(start, what + " has the dimension " + std::to_string(dim) +
                                   (dim == 0 ? "" : ": the number of its elements overflows"));
    }
    elements *= dim;
    tensor.dims.push_back(static_cast<int64_t>(dim));
  }
  const uint64_t type_offset = in.offset();
  TRY_ASSIGN(const uint32_t type, in.number<uint32_t>("type of " + what));
  const auto* layout = block_layout(type);
  if (!layout) {
    return in.fail_at(type_offset, what + " has type number " + std::to_string(type) +
                                       ", which is no ggml type that this engine knows");
  }
  if (tensor.dims[0] % layout->elements != 0) {
    return in.fail_at(dims_offset, what + " has rows of " + std::to_string(tensor.dims[0]) +
                                       " elements, no multiple of the " +
                                       std::to_string(layout->elements) + " in a block of type " +
                                       std::string(layout->name));
  }
  const uint64_t blocks = elements / static_cast<uint64_t>(layout->elements);
  const auto block_bytes = static_cast<uint64_t>(layout->bytes);
  if (blocks > std::numeric_limits<uint64_t>::max() / 2 / block_bytes) {
    return in.fail_at(dims_offset,
                      what + " has the shape " + tensor.shape() + ": its size overflows");
  }
  *data_bytes = blocks * block_bytes;
  tensor.type = static_cast<TensorType>(type);
  return tensor;
}

Result<> read_tensor_infos(Reader& in, uint64_t count, uint64_t alignment,
                           std::vector<Tensor>& tensors, std::vector<Extent>& extents) {
  tensors.reserve(count);
  std::unordered_set<std::string> seen;
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t start = in.offset();
    uint64_t data_bytes = 0;
    TRY_ASSIGN(
        auto tensor,
        read_tensor_info(in, "tensor " + std::to_string(i + 1) + " of " + std::to_string(count),
                         &data_bytes));
    const std::string what = "tensor " + backticked(tensor.name);
    if (!seen.insert(tensor.name).second) return in.fail_at(start, what + " stands there twice");
    const uint64_t offset_offset = in.offset();
    TRY_ASSIGN(const uint64_t offset, in.number<uint64_t>("data offset of " + what));
    if (offset % alignment != 0) {
      return in.fail_at(offset_offset, what + " has the data offset " + std::to_string(offset) +
                                           ", no multiple of the alignment " +
                                           std::to_string(alignment));
    }
    tensors.push_back(std::move(tensor));
    extents.push_back({offset, data_bytes});
  }
  return {};
}

Result<> place_tensors(Reader& in, std::span<const std::byte> bytes, uint64_t alignment,
                       const std::vector<Extent>& extents, std::vector<Tensor>& tensors) {
  if (tensors.empty()) return {};
  const uint64_t data_start = (in.offset() + alignment - 1) / alignment * alignment;
  const uint64_t data_left = data_start <= bytes.size() ? bytes.size() - data_start : 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto [offset, size] = extents[i];
    if (offset <= data_left && size <= data_left - offset) {
      tensors[i].data = bytes.subspan(data_start + offset, size);
      continue;
    }
    const std::string what = "the data of tensor " + backticked(tensors[i].name) + " (" +
                             std::to_string(size) + " bytes at data offset " +
                             std::to_string(offset) + ")";
    if (offset > kBeyondAnyFile || size > kBeyondAnyFile) {
      return in.fail_at(data_start, what + " lies beyond any file");
    }
    return in.fail_at(data_start + offset,
                      what + " ends after the end of the file: " +
                          std::to_string(data_start + offset + size - bytes.size()) +
                          " bytes are missing");
  }
  std::vector<size_t> order(tensors.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return extents[a].offset < extents[b].offset; });
  for (size_t i = 1; i < order.size(); ++i) {
    const size_t before = order[i - 1], after = order[i];
    if (extents[before].offset + extents[before].bytes > extents[after].offset) {
      return in.fail_at(data_start + extents[after].offset,
                        "the data of tensors " + backticked(tensors[before].name) + " and " +
                            backticked(tensors[after].name) + " overlap");
    }
  }
  return {};
}

}  // namespace

std::string type_name_of(const GgufValue& value) {
  static constexpr std::string_view kNames[] = {
      "an integer", "an integer",          "a real number",        "a bool",
      "a string",   "an array of strings", "an array of integers", "an array of reals"};
  return std::string(kNames[value.value.index()]);
}

std::string backticked(std::string_view name) { return "`" + printable(name) + "`"; }

Result<> GgufFile::Impl::parse() {
  Reader in(bytes, name);
  Header header;
  TRY(read_header(in, bytes, &header));
  version = header.version;
  TRY(read_metadata(in, header.kv_count, metadata));
  TRY_ASSIGN(alignment, read_alignment(in, metadata));
  std::vector<Extent> extents;
  TRY(read_tensor_infos(in, header.tensor_count, alignment, tensors, extents));
  TRY(place_tensors(in, bytes, alignment, extents, tensors));
  for (size_t i = 0; i < tensors.size(); ++i) by_name.emplace(tensors[i].name, i);
  return {};
}

}  // namespace greta::engine
