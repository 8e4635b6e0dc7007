#include "tokenizer/unicode.h"

#include <utility>

namespace greta::engine {
namespace {

// GPT-2's table: printable Latin-1 bytes stand for themselves, the others take U+0100 and up, in
// order.
constexpr std::array<uint16_t, 256> byte_characters() {
  std::array<uint16_t, 256> table{};
  uint16_t next = 256;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool itself = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    table[byte] = itself ? static_cast<uint16_t>(byte) : next++;
  }
  return table;
}
constexpr auto kByteCharacters = byte_characters();
constexpr size_t kCharacters = 256 + 68;  // 68 bytes do not stand for themselves

constexpr std::array<int16_t, kCharacters> character_bytes() {
  std::array<int16_t, kCharacters> table{};
  for (auto& entry : table) entry = -1;
  for (unsigned byte = 0; byte < 256; ++byte) {
    table[kByteCharacters[byte]] = static_cast<int16_t>(byte);
  }
  return table;
}
constexpr auto kCharacterBytes = character_bytes();

// How many bytes the sequence that starts with this lead byte needs; 0: no lead byte.
size_t needed(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead < 0xe0) return 2;
  if (lead >= 0xe0 && lead < 0xf0) return 3;
  if (lead >= 0xf0 && lead < 0xf5) return 4;
  return 0;
}

}  // namespace

size_t utf8_length(std::string_view text, size_t i) {
  const auto byte = [&](size_t k) { return static_cast<unsigned char>(text[k]); };
  const size_t n = needed(byte(i));
  if (n <= 1) return n;
  if (n > text.size() - i) return 0;
  for (size_t k = 1; k < n; ++k) {
    if ((byte(i + k) & 0xc0) != 0x80) return 0;
  }
  const unsigned char second = byte(i + 1);
  if (byte(i) == 0xe0 && second < 0xa0) return 0;   // overlong
  if (byte(i) == 0xed && second >= 0xa0) return 0;  // surrogate
  if (byte(i) == 0xf0 && second < 0x90) return 0;   // overlong
  if (byte(i) == 0xf4 && second >= 0x90) return 0;  // above U+10FFFF
  return n;
}

size_t find_invalid_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const size_t n = utf8_length(text, i);
    if (n == 0) return i;
    i += n;
  }
  return std::string_view::npos;
}

std::optional<std::string> bytes_from_bpe(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const size_t n = utf8_length(text, i);
    if (n == 0 || n > 2) return std::nullopt;
    const auto first = static_cast<unsigned char>(text[i]);
    const unsigned code =
        n == 1 ? first : (first & 0x1fU) << 6 | (static_cast<unsigned char>(text[i + 1]) & 0x3fU);
    if (code >= kCharacters || kCharacterBytes[code] < 0) return std::nullopt;
    bytes += static_cast<char>(kCharacterBytes[code]);
    i += n;
  }
  return bytes;
}

std::string bpe_from_bytes(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    const unsigned code = kByteCharacters[static_cast<unsigned char>(c)];
    if (code < 0x80) {
      text += static_cast<char>(code);
    } else {
      text += static_cast<char>(0xc0U | code >> 6);
      text += static_cast<char>(0x80U | (code & 0x3fU));
    }
  }
  return text;
}

std::string Utf8Stream::push(std::string_view bytes) {
  held_ += bytes;
  // Only the last three bytes can belong to an unfinished sequence.
  size_t keep = 0;
  for (size_t back = 1; back <= 3 && back <= held_.size(); ++back) {
    const size_t start = held_.size() - back;
    const auto byte = static_cast<unsigned char>(held_[start]);
    if ((byte & 0xc0) == 0x80) continue;
    if (needed(byte) > back) keep = back;
    break;
  }
  std::string ready = held_.substr(0, held_.size() - keep);
  held_.erase(0, held_.size() - keep);
  return ready;
}

std::string Utf8Stream::finish() { return std::exchange(held_, {}); }

}  // namespace greta::engine
