#include "tokenizer/bpe_tokenizer.h"

#include <array>
#include <queue>
#include <unordered_map>

#include "contract/text.h"
#include "tokenizer/bpe_split.h"
#include "tokenizer/unicode.h"
#include "tokenizer/vocabulary_tokenizer.h"

namespace greta::engine {
namespace {

// A string of bytes that is a token or a step towards one, known by its number. Merging looks at
// numbers only.
using Symbol = uint32_t;

struct Merge {
  uint32_t rank = 0;
  Symbol merged = 0;
};

class BpeTokenizer : public VocabularyTokenizer {
 public:
  explicit BpeTokenizer(Vocabulary vocabulary) : VocabularyTokenizer(std::move(vocabulary)) {}

  Result<> load(const GgufFile& file);
  std::string piece(int32_t id, bool special) const override;

 private:
  void encode_plain(std::string_view text, bool after_special,
                    std::vector<int32_t>* ids) const override;
  Symbol intern(const std::string& bytes);
  Result<> load_merges(std::span<const std::string_view> merges, const std::string& path);
  void encode_word(std::string_view word, std::vector<int32_t>* ids) const;
  const Merge* find_merge(Symbol left, Symbol right) const {
    const auto found = merges_.find(uint64_t{left} << 32 | right);
    return found == merges_.end() ? nullptr : &found->second;
  }

  BpeSplitter splitter_;
  std::vector<std::string> pieces_;  // the bytes of each token
  std::unordered_map<std::string, Symbol> symbols_;
  std::vector<int32_t> symbol_token_;  // −1: no token, only a step of merging
  std::vector<std::string> symbol_bytes_;
  std::array<Symbol, 256> byte_symbol_{};
  std::unordered_map<uint64_t, Merge> merges_;  // left · 2^32 + right
};

tl::unexpected<Error> error(const std::string& path, std::string message) {
  return tl::unexpected<Error>(Error{.message = std::move(message),
                                     .file = path,
                                     .exit_code = static_cast<int>(EngineExit::input)});
}

Symbol BpeTokenizer::intern(const std::string& bytes) {
  const auto [entry, is_new] =
      symbols_.try_emplace(bytes, static_cast<Symbol>(symbol_token_.size()));
  if (is_new) {
    symbol_token_.push_back(-1);
    symbol_bytes_.push_back(bytes);
  }
  return entry->second;
}

Result<> BpeTokenizer::load(const GgufFile& file) {
  for (int32_t id = 0; id < vocabulary_.size(); ++id) {
    const std::string& text = vocabulary_.text(id);
    // Special tokens are written as they are. They are no symbols: plain text must not become one.
    const auto bytes =
        vocabulary_.type(id) == TokenType::normal ? bytes_from_bpe(text) : std::nullopt;
    pieces_.push_back(bytes.value_or(text));
    if (bytes && !bytes->empty()) symbol_token_[intern(*bytes)] = id;
  }
  for (unsigned byte = 0; byte < 256; ++byte) {
    const std::string one(1, static_cast<char>(byte));
    byte_symbol_[byte] = intern(one);
    if (symbol_token_[byte_symbol_[byte]] < 0) {
      return error(file.path(), "metadata `tokenizer.ggml.tokens` has no token for the byte " +
                                    std::to_string(byte) + " (`" + bpe_from_bytes(one) +
                                    "`), so that some texts cannot be written");
    }
  }
  TRY_ASSIGN(const auto merges, file.strings("tokenizer.ggml.merges"));
  return load_merges(merges, file.path());
}

Result<> BpeTokenizer::load_merges(std::span<const std::string_view> merges,
                                   const std::string& path) {
  merges_.reserve(merges.size());
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const std::string_view merge = merges[rank];
    const size_t space = merge.find(' ', 1);
    const auto left = bytes_from_bpe(merge.substr(0, space));
    const auto right =
        space < merge.size() ? bytes_from_bpe(merge.substr(space + 1)) : std::nullopt;
    if (!left || !right || left->empty() || right->empty()) {
      return error(path, "metadata `tokenizer.ggml.merges[" + std::to_string(rank) + "]` is \"" +
                             printable(merge) + "\", no pair of byte-level tokens");
    }
    const uint64_t pair = uint64_t{intern(*left)} << 32 | intern(*right);
    merges_.try_emplace(pair, Merge{static_cast<uint32_t>(rank), intern(*left + *right)});
  }
  return {};
}

// Merges neighbours, lowest rank first and leftmost among equals, with a heap: n log n in the
// length.
void BpeTokenizer::encode_word(std::string_view word, std::vector<int32_t>* ids) const {
  // Llama 3 takes a word that is a token as it is, even where no merges lead to it.
  if (const auto whole = symbols_.find(std::string(word));
      whole != symbols_.end() && symbol_token_[whole->second] >= 0) {
    ids->push_back(symbol_token_[whole->second]);
    return;
  }
  constexpr size_t kNone = static_cast<size_t>(-1);
  struct Link {
    Symbol symbol;
    size_t previous, next;
    bool alive = true;
  };
  std::vector<Link> links(word.size());
  for (size_t i = 0; i < word.size(); ++i) {
    links[i] = {byte_symbol_[static_cast<unsigned char>(word[i])], i == 0 ? kNone : i - 1,
                i + 1 == word.size() ? kNone : i + 1};
  }
  struct Candidate {
    uint32_t rank;
    size_t left;
    Symbol left_symbol, right_symbol;
    bool operator<(const Candidate& other) const {  // std::priority_queue pops the largest
      return rank != other.rank ? rank > other.rank : left > other.left;
    }
  };
  std::priority_queue<Candidate> queue;
  const auto consider = [&](size_t left) {
    if (left == kNone || links[left].next == kNone) return;
    const Symbol left_symbol = links[left].symbol, right_symbol = links[links[left].next].symbol;
    if (const Merge* merge = find_merge(left_symbol, right_symbol)) {
      queue.push({merge->rank, left, left_symbol, right_symbol});
    }
  };
  for (size_t i = 0; i < links.size(); ++i) consider(i);
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Link& left = links[best.left];
    if (!left.alive || left.symbol != best.left_symbol || left.next == kNone) continue;
    Link& right = links[left.next];
    if (right.symbol != best.right_symbol) continue;  // it has merged with another one since
    left.symbol = find_merge(left.symbol, right.symbol)->merged;
    right.alive = false;
    left.next = right.next;
    if (left.next != kNone) links[left.next].previous = best.left;
    consider(left.previous);
    consider(best.left);
  }
  for (size_t i = 0; i != kNone; i = links[i].next) {
    const Symbol symbol = links[i].symbol;
    if (symbol_token_[symbol] >= 0) {
      ids->push_back(symbol_token_[symbol]);
      continue;
    }
    for (const char c : symbol_bytes_[symbol]) {  // a merge that leads to no token
      ids->push_back(symbol_token_[byte_symbol_[static_cast<unsigned char>(c)]]);
    }
  }
}

void BpeTokenizer::encode_plain(std::string_view text, bool /*after_special*/,
                                std::vector<int32_t>* ids) const {
  for (const auto word : splitter_.split(text)) encode_word(word, ids);
}

std::string BpeTokenizer::piece(int32_t id, bool special) const {
  if (!vocabulary_.contains(id)) return {};
  const TokenType type = vocabulary_.type(id);
  const bool hidden = type == TokenType::control || type == TokenType::unknown;
  return hidden && !special ? std::string() : pieces_[static_cast<size_t>(id)];
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> make_bpe_tokenizer(const GgufFile& file, Vocabulary vocabulary) {
  auto tokenizer = std::make_unique<BpeTokenizer>(std::move(vocabulary));
  TRY(tokenizer->load(file));
  return std::unique_ptr<Tokenizer>(std::move(tokenizer));
}

}  // namespace greta::engine
