#include "tokenizer/bpe_split.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <cassert>
#include <string>

#include "tokenizer/unicode.h"

namespace greta::engine {
namespace {

#define SPACES \
  R"(\x09-\x0d\x20\x85\xa0\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})"
constexpr std::string_view kPattern = R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]))"
                                      R"(|[^\r\n\p{L}\p{N}]?\p{L}+)"
                                      R"(|\p{N}{1,3})"
                                      R"(| ?[^)" SPACES R"(\p{L}\p{N}]+[\r\n]*)"
                                      R"(|[)" SPACES R"(]*[\r\n]+)"
                                      R"(|[)" SPACES R"(]+(?![^)" SPACES R"(]))"
                                      R"(|[)" SPACES R"(]+)";
#undef SPACES

}  // namespace

struct BpeSplitter::Code {
  pcre2_code* pattern = nullptr;
  pcre2_match_context* context = nullptr;
  ~Code() {
    pcre2_match_context_free(context);
    pcre2_code_free(pattern);
  }
};

BpeSplitter::BpeSplitter() : code_(std::make_unique<Code>()) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  code_->pattern = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(kPattern.data()), kPattern.size(),
                                 PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr);
  assert(code_->pattern && "the pattern is a constant");
  pcre2_jit_compile(code_->pattern, PCRE2_JIT_COMPLETE);  // without JIT the interpreter serves
  code_->context = pcre2_match_context_create(nullptr);
  // A run of white space costs one backtracking step a character; its length is no reason to give
  // up.
  pcre2_set_match_limit(code_->context, UINT32_MAX);
}
BpeSplitter::~BpeSplitter() = default;

// The text is checked once by the caller: PCRE2's own check would look at all the rest of the text
// for every word.
void BpeSplitter::split_valid(std::string_view text, std::vector<std::string_view>* words) const {
  pcre2_match_data* match = pcre2_match_data_create(1, nullptr);
  size_t done = 0;
  while (done < text.size()) {
    const int found =
        pcre2_match(code_->pattern, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), done,
                    PCRE2_NO_UTF_CHECK | PCRE2_ANCHORED, match, code_->context);
    // Every character starts one of the alternatives, so a failure is a limit of the matcher; the
    // rest is then one word, which costs merges but loses no byte.
    const size_t end = found > 0 ? pcre2_get_ovector_pointer(match)[1] : text.size();
    words->push_back(text.substr(done, end - done));
    done = end;
  }
  pcre2_match_data_free(match);
}

std::vector<std::string_view> BpeSplitter::split(std::string_view text) const {
  std::vector<std::string_view> words;
  size_t start = 0;
  while (start < text.size()) {
    size_t end = start;
    while (end < text.size()) {
      const size_t n = utf8_length(text, end);
      if (n == 0) break;
      end += n;
    }
    if (end > start) split_valid(text.substr(start, end - start), &words);
    start = end;
    while (end < text.size() && utf8_length(text, end) == 0) ++end;
    if (end > start) words.push_back(text.substr(start, end - start));
    start = end;
  }
  return words;
}

}  // namespace greta::engine
