#include "tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "testing/gguf_builder.h"
#include "tokenizer/bpe_split.h"
#include "tokenizer/unicode.h"

namespace greta::engine {
namespace {

using testing::bytes_of;
using testing::GgufBuilder;
using Ids = std::vector<int32_t>;

// Ids: the 256 bytes, then the words below, then the special tokens.
constexpr int32_t kAb = 256, kAbc = 257, kHello = 258, kBos = 259, kEot = 260, kEotLong = 261,
                  kUser = 262;

GgufBuilder bpe_file() {
  std::vector<std::string> tokens;
  std::vector<int32_t> types(256 + 3, 1);
  for (int byte = 0; byte < 256; ++byte)
    tokens.push_back(bpe_from_bytes(std::string(1, static_cast<char>(byte))));
  for (const char* word : {"ab", "abc", "Ġhello", "<|bos|>", "<|eot_id|>", "<|eot_id|>x", "@user"})
    tokens.emplace_back(word);
  types.insert(types.end(), {3, 3, 3, 4});
  GgufBuilder file;
  file.text("tokenizer.ggml.model", "gpt2")
      .text("tokenizer.ggml.pre", "llama-bpe")
      .strings("tokenizer.ggml.tokens", tokens)
      .integers("tokenizer.ggml.token_type", types)
      .strings("tokenizer.ggml.merges", {"b c", "a b", "ab c", "a bc"})
      .integer("tokenizer.ggml.bos_token_id", kBos);
  return file;
}

// The tokenizer keeps nothing of the file, so that the bytes may go.
std::unique_ptr<Tokenizer> make(const GgufBuilder& builder) {
  const std::string bytes = builder.build();
  const auto file = GgufFile::parse(bytes_of(bytes), "m.gguf");
  if (!file) return nullptr;
  auto tokenizer = Tokenizer::from_gguf(*file);
  EXPECT_TRUE(tokenizer) << tokenizer.error().str();
  return tokenizer ? std::move(*tokenizer) : nullptr;
}

std::string error_of(const GgufBuilder& builder) {
  const std::string bytes = builder.build();
  const auto file = GgufFile::parse(bytes_of(bytes), "m.gguf");
  const auto tokenizer = Tokenizer::from_gguf(*file);
  return tokenizer ? "no error" : tokenizer.error().str();
}

std::string decode(const Tokenizer& tokenizer, const Ids& ids) {
  std::string text;
  for (const int32_t id : ids) text += tokenizer.piece(id, true);
  return text;
}

TEST(Bpe, MergesByRankTakesWholeWordsAndBytes) {
  const auto tokenizer = make(bpe_file());
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ(tokenizer->encode("ab", false, true), Ids{kAb});
  // Rank says b+c first, then a+bc: "abc" would be found by merges as well, but is taken whole.
  EXPECT_EQ(tokenizer->encode("abc", false, true), Ids{kAbc});
  // Inside a longer word b+c goes first; "bc" is no token, so that its bytes come out.
  EXPECT_EQ(tokenizer->encode("xbc", false, true), (Ids{'x', 'b', 'c'}));
  // No merges lead to " hello", yet the whole word is a token.
  EXPECT_EQ(tokenizer->encode(" hello", false, true), Ids{kHello});
  EXPECT_EQ(tokenizer->encode("\xff\xfe", false, true), (Ids{255, 254}));
  EXPECT_EQ(tokenizer->encode("", true, true), Ids{kBos});
  EXPECT_EQ(tokenizer->encode("", false, true), Ids{});
}

TEST(Bpe, SpecialTokensLongestFirst) {
  const auto tokenizer = make(bpe_file());
  ASSERT_TRUE(tokenizer);
  EXPECT_TRUE(tokenizer->adds_bos());
  EXPECT_EQ(tokenizer->encode("a<|eot_id|>x@user", true, true), (Ids{kBos, 'a', kEotLong, kUser}));
  EXPECT_EQ(tokenizer->encode("<|eot_id|>y", false, true), (Ids{kEot, 'y'}));
  // A text that says BOS itself does not get a second one; the second written one is the user's.
  EXPECT_EQ(tokenizer->encode("<|bos|>a", true, true), (Ids{kBos, 'a'}));
  EXPECT_EQ(tokenizer->encode("<|bos|><|bos|>a", true, true), (Ids{kBos, kBos, 'a'}));
  // Without parse_special control tokens are text; user-defined ones stay tokens.
  const Ids plain = tokenizer->encode("<|eot_id|>@user", false, false);
  EXPECT_EQ(plain.size(), 11u);
  EXPECT_EQ(plain.back(), kUser);
  EXPECT_EQ(std::count(plain.begin(), plain.end(), kEot), 0);
  EXPECT_TRUE(tokenizer->is_end(kEot));
  EXPECT_FALSE(tokenizer->is_end(kBos));
  EXPECT_FALSE(tokenizer->is_end(-1));
  EXPECT_EQ(tokenizer->piece(kEot, false), "");
  EXPECT_EQ(tokenizer->piece(kEot, true), "<|eot_id|>");
  EXPECT_EQ(tokenizer->piece(kHello, false), " hello");
  EXPECT_EQ(tokenizer->piece(9999, true), "");
}

TEST(Bpe, PreTokenisationOfLlama3) {
  const BpeSplitter splitter;
  const std::vector<std::pair<std::string, std::vector<std::string>>> cases = {
      {"I'm here, you'LL see", {"I", "'m", " here", ",", " you", "'LL", " see"}},
      {"1234567 x12", {"123", "456", "7", " x", "12"}},
      {"a  b   \n\n c", {"a", " ", " b", "   \n\n", " c"}},
      {"end   ", {"end", "   "}},
      {"\t\tx", {"\t", "\tx"}},
      {"año_2\xc2\xa0z", {"año", "_", "2", "\xc2\xa0z"}},
      {" ...\r\n\r\ny", {" ...\r\n\r\n", "y"}},
      {"\xe1\xa0\x8e", {"\xe1\xa0\x8e"}},  // U+180E is no white space in Unicode
      {"ab\xff\xfe"
       "cd",
       {"ab", "\xff\xfe", "cd"}},
  };
  for (const auto& [text, words] : cases) {
    const auto got = splitter.split(text);
    EXPECT_EQ(std::vector<std::string>(got.begin(), got.end()), words) << text;
  }
}

TEST(Bpe, DecodeOfEncodeIsTheText) {
  const auto tokenizer = make(bpe_file());
  ASSERT_TRUE(tokenizer);
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (size_t n = random() % 60; n > 0; --n) {
      static const std::vector<std::string> kParts = {"ab", "c",     " ",    "\n",       "hello",
                                                      "ñ",  "😀",     "<|",   "|>",       "@user",
                                                      "'s", "12345", "\xff", "\xe2\x82", "\t"};
      text += kParts[random() % kParts.size()];
    }
    EXPECT_EQ(decode(*tokenizer, tokenizer->encode(text, false, true)), text);
    EXPECT_EQ(decode(*tokenizer, tokenizer->encode(text, false, false)), text);
  }
}

TEST(Bpe, AMegabyteWithoutSpacesIsNotQuadratic) {
  const auto tokenizer = make(bpe_file());
  ASSERT_TRUE(tokenizer);
  const auto seconds = [&](size_t length) {
    std::string text;
    while (text.size() < length) text += "abcab";
    const auto start = std::chrono::steady_clock::now();
    EXPECT_GT(tokenizer->encode(text, false, true).size(), length / 5);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  seconds(1 << 16);
  // 16 times the text: quadratic work would take 256 times as long. The slack is for busy machines.
  const double small = seconds(1 << 16), large = seconds(1 << 20);
  EXPECT_LT(large, 100 * small);
}

TEST(Bpe, BadVocabulariesAreNamed) {
  const auto expect = [](const std::string& message, const GgufBuilder& file) {
    EXPECT_EQ(error_of(file), "m.gguf: " + message);
  };
  expect("no metadata `tokenizer.ggml.model`", GgufBuilder());
  expect(
      "metadata `tokenizer.ggml.model` is \"bert\": this engine has gpt2 (byte-level BPE) and "
      "llama "
      "(SentencePiece)",
      GgufBuilder().text("tokenizer.ggml.model", "bert"));
  expect(
      "metadata `tokenizer.ggml.pre` is \"llama-bep\": this engine has llama-bpe (also written "
      "llama3, "
      "llama-v3) (did you mean `llama-bpe`?)",
      GgufBuilder().text("tokenizer.ggml.model", "gpt2").text("tokenizer.ggml.pre", "llama-bep"));
  const auto small = [](const std::vector<std::string>& tokens) {
    GgufBuilder file;
    file.text("tokenizer.ggml.model", "gpt2").text("tokenizer.ggml.pre", "llama-bpe");
    return file.strings("tokenizer.ggml.tokens", tokens);
  };
  expect("metadata `tokenizer.ggml.tokens` has 0 tokens; 1 to 16777216 are allowed", small({}));
  expect(
      "metadata `tokenizer.ggml.tokens` has no token for the byte 0 (`Ā`), so that some texts "
      "cannot be "
      "written",
      small({"a"}));
  expect("metadata `tokenizer.ggml.token_type` has 1 entries, but `tokenizer.ggml.tokens` has 2",
         small({"a", "b"}).integers("tokenizer.ggml.token_type", {1}));
  expect("metadata `tokenizer.ggml.token_type[1]` is 7, outside 1 to 6",
         small({"a", "b"}).integers("tokenizer.ggml.token_type", {1, 7}));
  expect("metadata `tokenizer.ggml.bos_token_id` is 2, but the vocabulary has 2 tokens",
         small({"a", "b"}).integer("tokenizer.ggml.bos_token_id", 2));
  expect(
      "metadata `tokenizer.ggml.add_bos_token` is true, but there is no "
      "`tokenizer.ggml.bos_token_id`",
      small({"a", "b"}).boolean("tokenizer.ggml.add_bos_token", true));
}

TEST(Bpe, BadMergesAreNamed) {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte)
    tokens.push_back(bpe_from_bytes(std::string(1, static_cast<char>(byte))));
  for (const char* merge : {"ab", "a ", "", "a 日"}) {
    GgufBuilder file;
    file.text("tokenizer.ggml.model", "gpt2").text("tokenizer.ggml.pre", "llama-bpe");
    file.strings("tokenizer.ggml.tokens", tokens).strings("tokenizer.ggml.merges", {"a b", merge});
    EXPECT_EQ(error_of(file), std::string("m.gguf: metadata `tokenizer.ggml.merges[1]` is \"") +
                                  merge + "\", no pair of byte-level tokens");
  }
}

// <unk> <s> </s>, 256 byte tokens from id 3, then pieces with scores.
GgufBuilder spm_file() {
  std::vector<std::string> tokens = {"<unk>", "<s>", "</s>"};
  std::vector<int32_t> types = {2, 3, 3};
  std::vector<float> scores(259, 0.0f);
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", byte);
    tokens.emplace_back(name);
    types.push_back(6);
  }
  const std::vector<std::pair<std::string, float>> pieces = {{"▁", -10}, {"h", -11},   {"i", -12},
                                                             {"▁h", -1}, {"hi", -2},   {"▁hi", -3},
                                                             {"ñ", -4},  {"▁▁", -0.5f}};
  for (const auto& [piece, score] : pieces) {
    tokens.push_back(piece);
    types.push_back(1);
    scores.push_back(score);
  }
  GgufBuilder file;
  file.text("tokenizer.ggml.model", "llama").strings("tokenizer.ggml.tokens", tokens);
  file.integers("tokenizer.ggml.token_type", types).reals("tokenizer.ggml.scores", scores);
  file.integer("tokenizer.ggml.bos_token_id", 1).integer("tokenizer.ggml.eos_token_id", 2);
  return file;
}

TEST(Spm, MergesByScoreWithPrefixAndByteFallback) {
  const auto tokenizer = make(spm_file());
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ(tokenizer->encode("hi", true, true), (Ids{1, 264}));  // ▁hi
  EXPECT_EQ(tokenizer->encode("hi hi", false, true), (Ids{264, 264}));
  EXPECT_EQ(tokenizer->encode("  ", false, true), (Ids{266, 259}));  // prefix + two spaces
  EXPECT_EQ(tokenizer->encode("ñ€", false, true), (Ids{259, 265, 3 + 0xe2, 3 + 0x82, 3 + 0xac}));
  // A prefix stands after every special token, as in llama.cpp.
  EXPECT_EQ(tokenizer->encode("hi</s>hi", false, true), (Ids{264, 2, 264}));
  EXPECT_EQ(tokenizer->encode("<s>hi", true, true), (Ids{1, 264}));
  EXPECT_EQ(tokenizer->encode("", true, true), Ids{1});
  EXPECT_TRUE(tokenizer->is_end(2));
  EXPECT_EQ(tokenizer->piece(264, false), " hi");
  EXPECT_EQ(tokenizer->piece(3 + 0xc3, false), "\xc3");
  EXPECT_EQ(tokenizer->piece(1, false), "");
  for (const std::string text : {"hi  ñ\n", "\xff hi", "a\xe2\x82 b"}) {
    EXPECT_EQ(decode(*tokenizer, tokenizer->encode(text, false, true)), " " + text);
  }
}

TEST(Spm, FilesThatWantNoPrefix) {
  const auto tokenizer = make(spm_file().boolean("tokenizer.ggml.add_space_prefix", false));
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ(tokenizer->encode("hi", false, true), Ids{263});
}

TEST(Spm, BadVocabulariesAreNamed) {
  GgufBuilder base;
  base.text("tokenizer.ggml.model", "llama").strings("tokenizer.ggml.tokens", {"a", "<0xG1>"});
  EXPECT_EQ(error_of(base),
            "m.gguf: no metadata `tokenizer.ggml.scores` (did you mean `tokenizer.ggml.model`?)");
  GgufBuilder few = base;
  EXPECT_EQ(
      error_of(few.reals("tokenizer.ggml.scores", {1})),
      "m.gguf: metadata `tokenizer.ggml.scores` has 1 entries, but `tokenizer.ggml.tokens` has 2");
  base.reals("tokenizer.ggml.scores", {1, 2});
  EXPECT_EQ(error_of(base),
            "m.gguf: metadata `tokenizer.ggml.tokens` has no byte token for the byte 0, and "
            "there is no `tokenizer.ggml.unknown_token_id`");
  EXPECT_EQ(error_of(base.integers("tokenizer.ggml.token_type", {1, 6})),
            "m.gguf: metadata `tokenizer.ggml.tokens[1]` is \"<0xG1>\", no byte token <0xXX>");
}

// The ids of the committed model for a page of mixed text. They were equal to llama.cpp's when the
// file was written (ci/peers compares again). GRETA_UPDATE_GOLDENS=1 writes them anew.
TEST(Golden, IdsOfGretaTiny) {
  const auto file = GgufFile::open(GRETA_TINY);
  ASSERT_TRUE(file) << file.error().str();
  const auto tokenizer = Tokenizer::from_gguf(*file);
  ASSERT_TRUE(tokenizer) << tokenizer.error().str();
  nlohmann::ordered_json golden;
  {
    std::ifstream in(TOKEN_GOLDEN);
    ASSERT_TRUE(in) << TOKEN_GOLDEN;
    in >> golden;
  }
  auto now = golden;
  for (auto& entry : now) {
    entry["ids"] = (*tokenizer)->encode(entry["text"].get<std::string>(), true, true);
    EXPECT_EQ(decode(**tokenizer, entry["ids"]),
              "<|begin_of_text|>" + entry["text"].get<std::string>());
  }
  if (const char* update = std::getenv("GRETA_UPDATE_GOLDENS"); update && *update != '\0') {
    std::ofstream out(TOKEN_GOLDEN);
    out << "[\n";
    for (size_t i = 0; i < now.size(); ++i)
      out << now[i].dump() << (i + 1 < now.size() ? ",\n" : "\n]\n");
    return;
  }
  for (size_t i = 0; i < now.size(); ++i) EXPECT_EQ(now[i], golden[i]);
}

}  // namespace
}  // namespace greta::engine
