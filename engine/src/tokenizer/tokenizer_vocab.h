#pragma once
// What every tokenizer of a GGUF file shares: the token list with its types, the special ids, and
// the splitting of a text at its special tokens.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "contract/result.h"
#include "model/gguf.h"

namespace greta::engine {

enum class TokenType {
  normal = 1,
  unknown,
  control,
  user_defined,
  unused,
  byte
};  // ggml's numbers

struct Vocabulary {
  std::vector<std::string> texts;  // as the file writes them
  std::vector<TokenType> types;
  std::vector<bool> ends;  // generation stops at this token
  std::optional<int32_t> bos, unknown;
  bool add_bos = false;

  int64_t size() const { return static_cast<int64_t>(texts.size()); }
  bool contains(int32_t id) const { return id >= 0 && id < size(); }
  TokenType type(int32_t id) const { return types[static_cast<size_t>(id)]; }
  const std::string& text(int32_t id) const { return texts[static_cast<size_t>(id)]; }
};

// Errors name the metadata key and the token.
Result<Vocabulary> read_vocabulary(const GgufFile& file, bool add_bos_by_default);

// Finds special tokens in a text as llama.cpp does: the longest token wins wherever it stands, then
// the next longest in what is left; equal lengths by id, occurrences from the left.
class SpecialTokens {
 public:
  explicit SpecialTokens(const Vocabulary& vocabulary);

  struct Fragment {
    std::string_view text;  // of the token, or the plain text between tokens (never empty)
    int32_t token = -1;     // −1: plain text
  };
  // Without parse_special only user-defined tokens are recognised; the text of control tokens is
  // text.
  std::vector<Fragment> split(std::string_view text, bool parse_special) const;

 private:
  struct Match {
    size_t offset, length;
    int32_t token;
  };
  std::vector<Match> find_all(std::string_view text, bool parse_special) const;

  struct Node {
    int32_t token = -1;
    bool control = false;
  };
  std::vector<Node> nodes_;                          // of a trie over bytes; nodes_[0] is its root
  std::unordered_map<uint64_t, uint32_t> children_;  // node · 256 + byte → node
};

}  // namespace greta::engine
