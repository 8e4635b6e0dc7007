#pragma once
// What the tokenizers of a GGUF file do alike: the vocabulary, BOS in front, special tokens cut
// out.

#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_vocab.h"

namespace greta::engine {

class VocabularyTokenizer : public Tokenizer {
 public:
  std::vector<int32_t> encode(std::string_view text, bool add_bos,
                              bool parse_special) const override;
  int64_t size() const override { return vocabulary_.size(); }
  bool adds_bos() const override { return vocabulary_.add_bos; }
  bool is_end(int32_t id) const override {
    return vocabulary_.contains(id) && vocabulary_.ends[static_cast<size_t>(id)];
  }

 protected:
  explicit VocabularyTokenizer(Vocabulary vocabulary)
      : vocabulary_(std::move(vocabulary)), special_(vocabulary_) {}

  // Appends the ids of text without special tokens. after_special: at the start of the whole text
  // or right behind a special token.
  virtual void encode_plain(std::string_view text, bool after_special,
                            std::vector<int32_t>* ids) const = 0;

  Vocabulary vocabulary_;

 private:
  SpecialTokens special_;
};

}  // namespace greta::engine
