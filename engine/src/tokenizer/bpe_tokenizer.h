#pragma once
// Byte-level BPE (tokenizer.ggml.model = gpt2): words by BpeSplitter, then merges by rank.
//
// Tokens and merges are kept as raw bytes, not in GPT-2's printable form. Bytes that are no UTF-8
// are tokens like any others, so that decode(encode(x)) = x for every x; llama.cpp puts U+FFFD in
// their place, the only difference from it.

#include <memory>

#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_vocab.h"

namespace greta::engine {

Result<std::unique_ptr<Tokenizer>> make_bpe_tokenizer(const GgufFile& file, Vocabulary vocabulary);

}  // namespace greta::engine
