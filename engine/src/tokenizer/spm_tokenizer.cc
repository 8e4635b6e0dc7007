#include "tokenizer/spm_tokenizer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <queue>
#include <unordered_map>

#include "contract/text.h"
#include "tokenizer/unicode.h"
#include "tokenizer/vocabulary_tokenizer.h"

namespace greta::engine {
namespace {

constexpr std::string_view kSpace = "\xe2\x96\x81";  // U+2581, "▁"

std::string escape_spaces(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == ' ') {
      out += kSpace;
    } else {
      out += c;
    }
  }
  return out;
}

std::string unescape_spaces(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (text.substr(i).starts_with(kSpace)) {
      out += ' ';
      i += kSpace.size();
    } else {
      out += text[i++];
    }
  }
  return out;
}

// The byte of "<0xXX>", or −1.
int byte_of(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return -1;
  int value = 0;
  for (const char c : text.substr(3, 2)) {
    int digit = 0;
    if (c >= '0' && c <= '9')
      digit = c - '0';
    else if (c >= 'A' && c <= 'F')
      digit = c - 'A' + 10;
    else if (c >= 'a' && c <= 'f')
      digit = c - 'a' + 10;
    else
      return -1;
    value = value * 16 + digit;
  }
  return value;
}

class SpmTokenizer : public VocabularyTokenizer {
 public:
  explicit SpmTokenizer(Vocabulary vocabulary) : VocabularyTokenizer(std::move(vocabulary)) {}

  Result<> load(const GgufFile& file);
  std::string piece(int32_t id, bool special) const override;

 private:
  void encode_plain(std::string_view text, bool after_special,
                    std::vector<int32_t>* ids) const override;
  void encode_escaped(std::string_view text, std::vector<int32_t>* ids) const;
  int32_t find(std::string_view text) const {
    if (text.size() > longest_) return -1;
    const auto found = tokens_.find(text);
    return found == tokens_.end() ? -1 : found->second;
  }

  std::vector<float> scores_;
  // Tokens that plain text can become; the names are those of vocabulary_.
  std::unordered_map<std::string_view, int32_t> tokens_;
  size_t longest_ = 0;  // bytes of the longest of them
  std::array<int32_t, 256> byte_tokens_{};
  bool add_space_prefix_ = true;
};

Result<> SpmTokenizer::load(const GgufFile& file) {
  const auto error = [&](std::string message) {
    return tl::unexpected<Error>(Error{.message = std::move(message),
                                       .file = file.path(),
                                       .exit_code = static_cast<int>(EngineExit::input)});
  };
  TRY_ASSIGN(const auto scores, file.reals("tokenizer.ggml.scores"));
  if (scores.size() != vocabulary_.texts.size()) {
    return error("metadata `tokenizer.ggml.scores` has " + std::to_string(scores.size()) +
                 " entries, but `tokenizer.ggml.tokens` has " + std::to_string(vocabulary_.size()));
  }
  for (size_t i = 0; i < scores.size(); ++i) {
    if (std::isnan(scores[i])) {
      return error("metadata `tokenizer.ggml.scores[" + std::to_string(i) + "]` is not a number");
    }
    scores_.push_back(static_cast<float>(scores[i]));
  }
  byte_tokens_.fill(-1);
  for (int32_t id = 0; id < vocabulary_.size(); ++id) {
    const std::string& text = vocabulary_.text(id);
    const TokenType type = vocabulary_.type(id);
    if (type == TokenType::byte) {
      const int byte = byte_of(text);
      if (byte < 0) {
        return error("metadata `tokenizer.ggml.tokens[" + std::to_string(id) + "]` is \"" +
                     printable(text) + "\", no byte token <0xXX>");
      }
      byte_tokens_[static_cast<size_t>(byte)] = id;
    } else if (type == TokenType::normal || type == TokenType::user_defined) {
      tokens_[text] = id;
      longest_ = std::max(longest_, text.size());
    }
  }
  for (unsigned byte = 0; byte < 256; ++byte) {
    if (byte_tokens_[byte] >= 0) continue;
    if (!vocabulary_.unknown) {
      return error("metadata `tokenizer.ggml.tokens` has no byte token for the byte " +
                   std::to_string(byte) + ", and there is no `tokenizer.ggml.unknown_token_id`");
    }
    byte_tokens_[byte] = *vocabulary_.unknown;
  }
  if (file.has("tokenizer.ggml.add_space_prefix")) {
    TRY_ASSIGN(add_space_prefix_, file.boolean("tokenizer.ggml.add_space_prefix"));
  }
  return {};
}

// Best score first and leftmost among equals, with a heap: n log n in the length.
void SpmTokenizer::encode_escaped(std::string_view text, std::vector<int32_t>* ids) const {
  constexpr size_t kNone = static_cast<size_t>(-1);
  struct Link {
    size_t offset, length;  // length 0: merged into the one before
    size_t previous, next;
  };
  std::vector<Link> links;
  for (size_t i = 0; i < text.size();) {
    const size_t length = std::max<size_t>(1, utf8_length(text, i));
    const size_t index = links.size();
    links.push_back({i, length, index == 0 ? kNone : index - 1, index + 1});
    i += length;
  }
  if (links.empty()) return;
  links.back().next = kNone;
  struct Candidate {
    float score;
    size_t left, length;
    bool operator<(const Candidate& other) const {  // std::priority_queue pops the largest
      return score != other.score ? score < other.score : left > other.left;
    }
  };
  std::priority_queue<Candidate> queue;
  const auto consider = [&](size_t left) {
    if (left == kNone || links[left].next == kNone) return;
    const size_t length = links[left].length + links[links[left].next].length;
    const int32_t token = find(text.substr(links[left].offset, length));
    if (token >= 0) queue.push({scores_[static_cast<size_t>(token)], left, length});
  };
  for (size_t i = 0; i < links.size(); ++i) consider(i);
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Link& left = links[best.left];
    if (left.length == 0 || left.next == kNone) continue;
    Link& right = links[left.next];
    if (left.length + right.length != best.length) continue;  // one of them has grown since
    left.length = best.length;
    right.length = 0;
    left.next = right.next;
    if (left.next != kNone) links[left.next].previous = best.left;
    consider(left.previous);
    consider(best.left);
  }
  for (size_t i = 0; i != kNone; i = links[i].next) {
    const auto symbol = text.substr(links[i].offset, links[i].length);
    if (const int32_t token = find(symbol); token >= 0) {
      ids->push_back(token);
      continue;
    }
    for (const char c : symbol) ids->push_back(byte_tokens_[static_cast<unsigned char>(c)]);
  }
}

void SpmTokenizer::encode_plain(std::string_view text, bool after_special,
                                std::vector<int32_t>* ids) const {
  const std::string prefix = add_space_prefix_ && after_special ? " " : "";
  encode_escaped(escape_spaces(prefix + std::string(text)), ids);
}

std::string SpmTokenizer::piece(int32_t id, bool special) const {
  if (!vocabulary_.contains(id)) return {};
  const std::string& text = vocabulary_.text(id);
  switch (vocabulary_.type(id)) {
    case TokenType::control:
    case TokenType::unknown:
      return special ? text : std::string();
    case TokenType::byte:
      return std::string(1, static_cast<char>(byte_of(text)));
    case TokenType::user_defined:
      return text;
    case TokenType::normal:
    case TokenType::unused:
      break;
  }
  return unescape_spaces(text);
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> make_spm_tokenizer(const GgufFile& file, Vocabulary vocabulary) {
  auto tokenizer = std::make_unique<SpmTokenizer>(std::move(vocabulary));
  TRY(tokenizer->load(file));
  return std::unique_ptr<Tokenizer>(std::move(tokenizer));
}

}  // namespace greta::engine
