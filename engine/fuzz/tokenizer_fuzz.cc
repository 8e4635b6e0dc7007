// Any text through both tokenizers. BPE must give back every byte; SPM every byte behind its
// prefix.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "testing/gguf_builder.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode.h"

namespace {

using namespace greta::engine;
using greta::engine::testing::bytes_of;
using greta::engine::testing::GgufBuilder;

std::unique_ptr<Tokenizer> make(const GgufBuilder& builder) {
  const std::string bytes = builder.build();
  const auto file = GgufFile::parse(bytes_of(bytes), "fuzz.gguf");
  if (!file) std::abort();
  auto tokenizer = Tokenizer::from_gguf(*file);
  if (!tokenizer) std::abort();
  return std::move(*tokenizer);
}

std::unique_ptr<Tokenizer> bpe() {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) {
    tokens.push_back(bpe_from_bytes(std::string(1, static_cast<char>(byte))));
  }
  std::vector<int32_t> types(256, 1);
  for (const char* word : {"aa", "aaa", "ab", "Ġa", "ĠĠ", "12", "ñ"}) {
    tokens.push_back(bytes_from_bpe(word) ? std::string(word) : bpe_from_bytes(word));
    types.push_back(1);
  }
  for (const char* word : {"<|a|>", "<|a|>b", "<|"}) {
    tokens.emplace_back(word);
    types.push_back(3);
  }
  return make(
      GgufBuilder()
          .text("tokenizer.ggml.model", "gpt2")
          .text("tokenizer.ggml.pre", "llama-bpe")
          .strings("tokenizer.ggml.tokens", tokens)
          .integers("tokenizer.ggml.token_type", types)
          .strings("tokenizer.ggml.merges", {"a a", "aa a", "a b", "Ġ a", "Ġ Ġ", "1 2", "Ġ b"}));
}

std::unique_ptr<Tokenizer> spm() {
  std::vector<std::string> tokens = {"<s>"};
  std::vector<int32_t> types = {3};
  std::vector<float> scores = {0};
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", byte);
    tokens.emplace_back(name);
    types.push_back(6);
    scores.push_back(0);
  }
  for (const char* word : {"▁", "a", "▁a", "aa", "aaa", "▁▁", "ñ", "añ"}) {
    tokens.emplace_back(word);
    types.push_back(1);
    scores.push_back(-static_cast<float>(tokens.size()));
  }
  return make(GgufBuilder()
                  .text("tokenizer.ggml.model", "llama")
                  .strings("tokenizer.ggml.tokens", tokens)
                  .integers("tokenizer.ggml.token_type", types)
                  .reals("tokenizer.ggml.scores", scores));
}

std::string decoded(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  std::string text;
  for (const int32_t id : ids) text += tokenizer.piece(id, true);
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto kBpe = bpe(), kSpm = spm();
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const bool parse_special : {false, true}) {
    if (decoded(*kBpe, kBpe->encode(text, false, parse_special)) != text) std::abort();
  }
  // SPM writes a space as U+2581, so that a text which holds that character is not given back.
  const bool has_mark = text.find("\xe2\x96\x81") != std::string::npos;
  const std::string wanted = text.empty() ? "" : " " + text;
  if (!has_mark && decoded(*kSpm, kSpm->encode(text, false, false)) != wanted) std::abort();
  Utf8Stream stream;
  std::string streamed;
  for (const char c : text) streamed += stream.push(std::string_view(&c, 1));
  if (streamed + stream.finish() != text) std::abort();
  return 0;
}
