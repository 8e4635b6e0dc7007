#pragma once
// UTF-8 as the tokenizers need it: which bytes are characters, and which are not.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace greta::engine {

// Length of the valid UTF-8 sequence that starts at text[i] (i < text.size()), or 0. Overlong
// forms, surrogates and code points above U+10FFFF are not valid.
size_t utf8_length(std::string_view text, size_t i);

// Offset of the first byte that belongs to no valid sequence, or npos.
size_t find_invalid_utf8(std::string_view text);

// Byte-level BPE writes each byte as a printable character (GPT-2's table). The bytes of such a
// text, or nothing if it holds a character that stands for no byte.
std::optional<std::string> bytes_from_bpe(std::string_view text);
// The other way round.
std::string bpe_from_bytes(std::string_view bytes);

// Holds back an unfinished character at the end of a stream, so that a terminal never sees half of
// one. Bytes that cannot become a character pass through unchanged.
class Utf8Stream {
 public:
  std::string push(std::string_view bytes);  // what is complete now
  std::string finish();                      // the rest, as it is

 private:
  std::string held_;
};

}  // namespace greta::engine
