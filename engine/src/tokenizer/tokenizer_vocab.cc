#include "tokenizer/tokenizer_vocab.h"

#include <algorithm>
#include <array>

#include "contract/text.h"

namespace greta::engine {
namespace {

constexpr size_t kMaxVocabulary = size_t{1} << 24;

tl::unexpected<Error> error(const GgufFile& file, std::string message) {
  return tl::unexpected<Error>(Error{.message = std::move(message),
                                     .file = file.path(),
                                     .exit_code = static_cast<int>(EngineExit::input)});
}

Result<std::optional<int32_t>> token_id(const GgufFile& file, const std::string& key,
                                        size_t tokens) {
  if (!file.has(key)) return std::optional<int32_t>{};
  TRY_ASSIGN(const int64_t id, file.integer(key));
  if (id < 0 || static_cast<size_t>(id) >= tokens) {
    return error(file, "metadata `" + key + "` is " + std::to_string(id) +
                           ", but the vocabulary has " + std::to_string(tokens) + " tokens");
  }
  return std::optional<int32_t>(static_cast<int32_t>(id));
}

Result<> read_types(const GgufFile& file, Vocabulary* vocabulary) {
  vocabulary->types.assign(vocabulary->texts.size(), TokenType::normal);
  if (!file.has("tokenizer.ggml.token_type")) return {};
  TRY_ASSIGN(const auto types, file.integers("tokenizer.ggml.token_type"));
  if (types.size() != vocabulary->texts.size()) {
    return error(file, "metadata `tokenizer.ggml.token_type` has " + std::to_string(types.size()) +
                           " entries, but `tokenizer.ggml.tokens` has " +
                           std::to_string(vocabulary->texts.size()));
  }
  for (size_t i = 0; i < types.size(); ++i) {
    if (types[i] < 1 || types[i] > 6) {
      return error(file, "metadata `tokenizer.ggml.token_type[" + std::to_string(i) + "]` is " +
                             std::to_string(types[i]) + ", outside 1 to 6");
    }
    vocabulary->types[i] = static_cast<TokenType>(types[i]);
  }
  return {};
}

}  // namespace

Result<Vocabulary> read_vocabulary(const GgufFile& file, bool add_bos_by_default) {
  Vocabulary vocabulary;
  TRY_ASSIGN(const auto tokens, file.strings("tokenizer.ggml.tokens"));
  if (tokens.empty() || tokens.size() > kMaxVocabulary) {
    return error(file, "metadata `tokenizer.ggml.tokens` has " + std::to_string(tokens.size()) +
                           " tokens; 1 to " + std::to_string(kMaxVocabulary) + " are allowed");
  }
  vocabulary.texts.assign(tokens.begin(), tokens.end());
  TRY(read_types(file, &vocabulary));
  TRY_ASSIGN(vocabulary.bos, token_id(file, "tokenizer.ggml.bos_token_id", tokens.size()));
  TRY_ASSIGN(vocabulary.unknown, token_id(file, "tokenizer.ggml.unknown_token_id", tokens.size()));
  vocabulary.ends.assign(tokens.size(), false);
  for (const auto* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                          "tokenizer.ggml.eom_token_id"}) {
    TRY_ASSIGN(const auto id, token_id(file, key, tokens.size()));
    if (id) vocabulary.ends[static_cast<size_t>(*id)] = true;
  }
  // Files name one end token; a chat model ends its turn with another, known by its name alone.
  static constexpr std::array<std::string_view, 3> kEndNames = {"<|eot_id|>", "<|eom_id|>",
                                                                "<|end_of_text|>"};
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (vocabulary.types[i] != TokenType::control) continue;
    if (std::find(kEndNames.begin(), kEndNames.end(), tokens[i]) != kEndNames.end()) {
      vocabulary.ends[i] = true;
    }
  }
  vocabulary.add_bos = add_bos_by_default && vocabulary.bos;
  if (file.has("tokenizer.ggml.add_bos_token")) {
    TRY_ASSIGN(vocabulary.add_bos, file.boolean("tokenizer.ggml.add_bos_token"));
    if (vocabulary.add_bos && !vocabulary.bos) {
      return error(file,
                   "metadata `tokenizer.ggml.add_bos_token` is true, but there is no "
                   "`tokenizer.ggml.bos_token_id`");
    }
  }
  if (file.has("tokenizer.ggml.add_eos_token")) {
    TRY_ASSIGN(const bool add_eos, file.boolean("tokenizer.ggml.add_eos_token"));
    if (add_eos) {
      return error(file,
                   "metadata `tokenizer.ggml.add_eos_token` is true: prompts that end with EOS "
                   "are not supported");
    }
  }
  return vocabulary;
}

SpecialTokens::SpecialTokens(const Vocabulary& vocabulary) : nodes_(1) {
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    const TokenType type = vocabulary.type(id);
    const bool control = type == TokenType::control || type == TokenType::unknown;
    if ((!control && type != TokenType::user_defined) || vocabulary.text(id).empty()) continue;
    uint32_t node = 0;
    for (const char c : vocabulary.text(id)) {
      const uint64_t edge = uint64_t{node} * 256 + static_cast<unsigned char>(c);
      const auto [child, is_new] =
          children_.try_emplace(edge, static_cast<uint32_t>(nodes_.size()));
      if (is_new) nodes_.emplace_back();
      node = child->second;
    }
    if (nodes_[node].token < 0) nodes_[node] = {id, control};  // of equal texts the first
  }
}

std::vector<SpecialTokens::Match> SpecialTokens::find_all(std::string_view text,
                                                          bool parse_special) const {
  std::vector<Match> matches;
  if (nodes_.size() == 1) return matches;
  std::array<bool, 256> starts{};
  for (unsigned byte = 0; byte < 256; ++byte) starts[byte] = children_.contains(byte);
  for (size_t i = 0; i < text.size(); ++i) {
    if (!starts[static_cast<unsigned char>(text[i])]) continue;
    uint32_t node = 0;
    for (size_t k = i; k < text.size(); ++k) {
      const auto child = children_.find(uint64_t{node} * 256 + static_cast<unsigned char>(text[k]));
      if (child == children_.end()) break;
      node = child->second;
      const Node& here = nodes_[node];
      if (here.token >= 0 && (parse_special || !here.control)) {
        matches.push_back({i, k + 1 - i, here.token});
      }
    }
  }
  return matches;
}

std::vector<SpecialTokens::Fragment> SpecialTokens::split(std::string_view text,
                                                          bool parse_special) const {
  std::vector<Match> matches = find_all(text, parse_special);
  std::stable_sort(matches.begin(), matches.end(), [](const Match& a, const Match& b) {
    return a.length != b.length ? a.length > b.length : a.token < b.token;
  });
  // Matches come longest first, so one that overlaps a chosen one has its first or last byte in it.
  std::vector<bool> taken(matches.empty() ? 0 : text.size());
  std::vector<Match> chosen;
  for (const Match& match : matches) {
    if (taken[match.offset] || taken[match.offset + match.length - 1]) continue;
    std::fill_n(taken.begin() + static_cast<std::ptrdiff_t>(match.offset), match.length, true);
    chosen.push_back(match);
  }
  std::sort(chosen.begin(), chosen.end(),
            [](const Match& a, const Match& b) { return a.offset < b.offset; });
  std::vector<Fragment> fragments;
  size_t done = 0;
  for (const Match& match : chosen) {
    if (match.offset > done) fragments.push_back({text.substr(done, match.offset - done)});
    fragments.push_back({text.substr(match.offset, match.length), match.token});
    done = match.offset + match.length;
  }
  if (done < text.size()) fragments.push_back({text.substr(done)});
  return fragments;
}

}  // namespace greta::engine
