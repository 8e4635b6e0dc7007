#include "spec/spec_text.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <vector>

#include "contract/text.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

tl::unexpected<Error> file_error(const std::string& shown, std::string message) {
  return tl::unexpected<Error>(Error{.message = std::move(message), .file = shown});
}

std::string nearest_sibling(const fs::path& file) {
  std::vector<std::string> names;
  std::error_code ec;
  fs::directory_iterator entry(file.has_parent_path() ? file.parent_path() : fs::path("."), ec);
  for (; !ec && entry != fs::directory_iterator(); entry.increment(ec)) {
    names.push_back(entry->path().filename().string());
  }
  return did_you_mean(file.filename().string(), names);
}

}  // namespace

Result<std::string> read_text_file(const fs::path& file, const std::string& shown,
                                   size_t most_bytes) {
  std::error_code ec;
  const auto status = fs::status(file, ec);
  if (!fs::exists(status)) return file_error(shown, "no such file" + nearest_sibling(file));
  if (!fs::is_regular_file(status)) return file_error(shown, "not a regular file");
  std::ifstream in(file, std::ios::binary);
  if (!in) return file_error(shown, std::string("cannot be read: ") + std::strerror(errno));
  std::string text(most_bytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad()) return file_error(shown, "cannot be read");
  text.resize(static_cast<size_t>(in.gcount()));
  if (text.size() > most_bytes) {
    return file_error(shown, "larger than " + std::to_string(most_bytes) + " bytes");
  }
  return text;
}

std::optional<size_t> first_invalid_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto byte = [&](size_t at) { return static_cast<unsigned char>(text[at]); };
    const unsigned char lead = byte(i);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || i + length > text.size()) return i;
    // The second byte of these leads is narrower: no overlong forms, surrogates, or beyond
    // U+10FFFF.
    const unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    const unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (byte(i + 1) < low || byte(i + 1) > high) return i;
    for (size_t k = 2; k < length; ++k) {
      if (byte(i + k) < 0x80 || byte(i + k) > 0xbf) return i;
    }
    i += length;
  }
  return std::nullopt;
}

}  // namespace greta::runner
