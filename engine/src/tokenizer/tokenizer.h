#pragma once
// Text to token ids and back, from the vocabulary inside the model file.
//   tokenizer.ggml.model = gpt2, tokenizer.ggml.pre = llama-bpe : byte-level BPE
//   tokenizer.ggml.model = llama                                : SentencePiece (SPM) BPE by score
// Special (control) tokens written in the text are recognised when parse_special is true.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "contract/result.h"
#include "model/gguf.h"

namespace greta::engine {

class Tokenizer {
 public:
  static Result<std::unique_ptr<Tokenizer>> from_gguf(const GgufFile& file);
  virtual ~Tokenizer() = default;
  // add_bos follows the file (tokenizer.ggml.add_bos_token); a text that already starts with BOS
  // does not get a second one.
  virtual std::vector<int32_t> encode(std::string_view text, bool add_bos,
                                      bool parse_special) const = 0;
  // The bytes of one token; control tokens give their name only when `special` is true.
  virtual std::string piece(int32_t id, bool special) const = 0;
  virtual int64_t size() const = 0;
  virtual bool adds_bos() const = 0;
  virtual bool is_end(int32_t id) const = 0;  // eos, eot: generation stops
};

}  // namespace greta::engine
