#pragma once
// Llama 3's pre-tokenisation: cuts a text into the words within which byte pairs merge. The
// expression is the one of the model's tokenizer.json; \s is written out, because PCRE2 counts
// U+180E as a space and Unicode does not.

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

namespace greta::engine {

class BpeSplitter {
 public:
  BpeSplitter();
  ~BpeSplitter();
  // The words of `text` in order; together they are `text`. Bytes that are no UTF-8 stand alone,
  // each stretch of them as one word, and end the word before them. Linear in the length of the
  // text.
  std::vector<std::string_view> split(std::string_view text) const;

 private:
  void split_valid(std::string_view text, std::vector<std::string_view>* words) const;
  struct Code;
  std::unique_ptr<Code> code_;
};

}  // namespace greta::engine
