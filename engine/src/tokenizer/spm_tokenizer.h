#pragma once
// SentencePiece BPE (tokenizer.ggml.model = llama): characters merge into the pair with the best
// score until none is a token; what is left over becomes byte tokens <0xXX>. A space is written as
// U+2581.

#include <memory>

#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_vocab.h"

namespace greta::engine {

Result<std::unique_ptr<Tokenizer>> make_spm_tokenizer(const GgufFile& file, Vocabulary vocabulary);

}  // namespace greta::engine
