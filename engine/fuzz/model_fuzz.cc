// Bytes as choices of how a model file looks: whole but for a few things, so that fuzzing gets
// behind the first checks: shapes, tensors of every type, both kinds of vocabulary, and texts to
// encode with them. No choice left (or 0) is always the well-formed one.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "model/gguf_types.h"
#include "model/model_config.h"
#include "testing/gguf_builder.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode.h"

namespace {

using namespace greta::engine;
using greta::engine::testing::bytes_of;
using greta::engine::testing::GgufBuilder;

class Choices {
 public:
  Choices(const uint8_t* data, size_t size) : next_(data), end_(data + size) {}
  uint8_t byte() { return next_ < end_ ? *next_++ : uint8_t{0}; }
  size_t below(size_t n) { return byte() % n; }
  bool odd_one() { return byte() >= 250; }
  uint64_t number() {  // small, or at an edge
    constexpr uint64_t kEdges[] = {0,
                                   1,
                                   31,
                                   UINT32_MAX,
                                   INT32_MAX,
                                   INT64_MAX,
                                   UINT64_MAX,
                                   uint64_t{1} << 62,
                                   1ULL << 24,
                                   0x80000000,
                                   (1ULL << 33) + 1};
    const uint8_t kind = byte();
    return kind < 128 ? kind : kEdges[kind % std::size(kEdges)];
  }
  std::string text(size_t most) {
    std::string out;
    for (size_t n = below(most + 1); n > 0; --n) out += static_cast<char>(byte());
    return out;
  }

 private:
  const uint8_t *next_, *end_;
};

class ModelFile {
 public:
  explicit ModelFile(Choices& choices) : choices_(choices) {}

  std::string build() {
    file_.text("general.architecture", choices_.odd_one() ? choices_.text(8) : "llama");
    shape();
    if (choices_.below(2) == 0) {
      bpe();
    } else {
      spm();
    }
    if (choices_.odd_one()) any_entry();
    tensors();
    file_.data(data_bytes_);
    std::string bytes = file_.build(choices_.odd_one() ? choices_.byte() : 3);
    // RoPE's factors must be positive; what the matrices hold changes nothing here.
    for (size_t at = rope_freqs_; rope_freqs_bytes_ > 0 && at < rope_freqs_ + rope_freqs_bytes_;
         at += 4) {
      constexpr float kOne = 1;
      std::memcpy(bytes.data() + bytes.size() - data_bytes_ + at, &kOne, sizeof kOne);
    }
    if (choices_.odd_one()) bytes.resize(bytes.size() - std::min(bytes.size(), choices_.number()));
    return bytes;
  }

 private:
  void integer(const std::string& key, uint64_t value) {
    if (choices_.odd_one()) value = choices_.number();
    file_.integer(key, static_cast<uint32_t>(value));
  }
  void any_entry() {
    static constexpr const char* kKeys[] = {
        "general.alignment",           "llama.rope.scaling.type",      "llama.rope.scaling.factor",
        "llama.rope.dimension_count",  "llama.expert_count",           "llama.attention.key_length",
        "tokenizer.ggml.eos_token_id", "tokenizer.ggml.add_eos_token", "llama.block_count",
        "tokenizer.ggml.pre"};
    using greta::engine::testing::u32, greta::engine::testing::u64;
    const std::string key = choices_.odd_one() ? choices_.text(20) : kKeys[choices_.below(10)];
    switch (const uint32_t type = static_cast<uint32_t>(choices_.below(14))) {
      case 8:
        file_.text(key, choices_.text(20));
        break;
      case 9: {
        const auto of = static_cast<uint32_t>(choices_.below(14));
        file_.raw(key, 9, u32(of) + u64(choices_.number()) + choices_.text(40));
        break;
      }
      default:
        file_.raw(key, type, choices_.text(9));
        break;
    }
  }

  void shape() {
    constexpr uint64_t kWidths[] = {32, 64, 256, 96};
    layers_ = 1 + choices_.below(2);
    dim_ = kWidths[choices_.below(4)];
    ffn_ = kWidths[choices_.below(4)];
    heads_ = uint64_t{1} << choices_.below(4);
    kv_heads_ = std::max<uint64_t>(1, heads_ >> choices_.below(3));
    head_dim_ = dim_ / heads_;
    integer("llama.block_count", layers_);
    integer("llama.embedding_length", dim_);
    integer("llama.feed_forward_length", ffn_);
    integer("llama.attention.head_count", heads_);
    integer("llama.attention.head_count_kv", kv_heads_);
    integer("llama.context_length", 64);
    file_.real("llama.attention.layer_norm_rms_epsilon", choices_.odd_one() ? 0.0f : 1e-5f);
    if (choices_.below(4) == 1) file_.real("llama.rope.freq_base", 5e5f);
    if (choices_.below(4) == 1) {
      file_.text("llama.rope.scaling.type", "linear").real("llama.rope.scaling.factor", 4);
    }
  }

  void word(std::string text, int32_t type) {
    if (choices_.odd_one()) text = choices_.text(12);
    if (choices_.odd_one()) type = static_cast<int32_t>(choices_.below(9));
    tokens_.push_back(std::move(text));
    types_.push_back(type);
  }
  void vocabulary(const char* model) {
    file_.text("tokenizer.ggml.model", model);
    if (choices_.odd_one()) types_.pop_back();
    file_.strings("tokenizer.ggml.tokens", tokens_).integers("tokenizer.ggml.token_type", types_);
    if (choices_.below(2) == 1) integer("tokenizer.ggml.bos_token_id", tokens_.size() - 1);
    if (choices_.below(4) == 1) integer("tokenizer.ggml.eos_token_id", tokens_.size() - 1);
    if (choices_.below(4) == 1) integer("tokenizer.ggml.unknown_token_id", 0);
    if (choices_.below(4) == 1) file_.boolean("tokenizer.ggml.add_bos_token", true);
  }
  // Words of the letters a to d, so that merges meet.
  std::string letters() {
    std::string out;
    for (size_t n = 1 + choices_.below(4); n > 0; --n) {
      out += static_cast<char>('a' + choices_.below(4));
    }
    return out;
  }
  void bpe() {
    for (int byte = 0; byte < 256; ++byte) {
      tokens_.push_back(bpe_from_bytes(std::string(1, static_cast<char>(byte))));
      types_.push_back(1);
    }
    std::vector<std::string> merges;
    for (size_t n = choices_.below(12); n > 0; --n) {
      const std::string left = letters(), right = letters();
      merges.push_back(choices_.odd_one() ? choices_.text(8) : left + " " + right);
      word(left + right, 1);
    }
    for (size_t n = choices_.below(4); n > 0; --n) word("<|" + letters() + "|>", 3);
    vocabulary("gpt2");
    file_.text("tokenizer.ggml.pre", choices_.odd_one() ? "gpt-2" : "llama-bpe");
    file_.strings("tokenizer.ggml.merges", merges);
  }
  void spm() {
    word("<unk>", 2);
    for (int byte = 0; byte < 256; ++byte) {
      char name[8];
      std::snprintf(name, sizeof name, "<0x%02X>", byte);
      tokens_.emplace_back(name);
      types_.push_back(6);
    }
    for (const char* one : {"a", "b", "c", "d", "\xe2\x96\x81"}) word(one, 1);
    for (size_t n = choices_.below(12); n > 0; --n) word(letters(), 1);
    for (size_t n = choices_.below(3); n > 0; --n) word("<" + letters() + ">", 4);
    std::vector<float> scores;
    for (const int32_t type : types_) {
      scores.push_back(type == 6 ? 0.0f : -static_cast<float>(choices_.byte()));
    }
    if (choices_.odd_one()) scores.pop_back();
    vocabulary("llama");
    file_.reals("tokenizer.ggml.scores", scores);
    if (choices_.below(2) == 1) file_.boolean("tokenizer.ggml.add_space_prefix", false);
  }

  void tensor(const std::string& name, std::vector<uint64_t> dims) {
    static constexpr uint32_t kUsable[] = {0, 1, 2, 6, 8, 12, 13, 14, 30};
    uint32_t type = dims.size() == 1 ? 0 : kUsable[choices_.below(std::size(kUsable))];
    if (choices_.odd_one()) type = choices_.byte();
    if (choices_.odd_one()) dims[choices_.below(dims.size())] = choices_.number();
    if (choices_.odd_one()) dims.push_back(choices_.number());
    const BlockLayout* layout = block_layout(type);
    uint64_t bytes = layout ? static_cast<uint64_t>(layout->bytes) : 4;
    for (const uint64_t dim : dims) bytes *= std::min<uint64_t>(dim, 4096);
    bytes /= layout ? static_cast<uint64_t>(layout->elements) : 1;
    if (data_bytes_ + bytes > (1U << 21)) bytes = 0;  // keeps an execution quick
    file_.tensor(choices_.odd_one() ? choices_.text(12) : name, dims, type,
                 choices_.odd_one() ? choices_.number() : data_bytes_);
    data_bytes_ += (bytes + 31) / 32 * 32;
  }
  void tensors() {
    tensor("token_embd.weight", {dim_, tokens_.size()});
    tensor("output_norm.weight", {dim_});
    if (choices_.below(2) == 1) tensor("output.weight", {dim_, tokens_.size()});
    if (choices_.below(4) == 1) {
      rope_freqs_ = data_bytes_;
      tensor("rope_freqs.weight", {head_dim_ / 2});
      rope_freqs_bytes_ = data_bytes_ - rope_freqs_;
    }
    for (uint64_t layer = 0; layer < layers_; ++layer) {
      const std::string block = "blk." + std::to_string(layer) + ".";
      const uint64_t q = heads_ * head_dim_, kv = kv_heads_ * head_dim_;
      tensor(block + "attn_norm.weight", {dim_});
      tensor(block + "attn_q.weight", {dim_, q});
      tensor(block + "attn_k.weight", {dim_, kv});
      tensor(block + "attn_v.weight", {dim_, kv});
      tensor(block + "attn_output.weight", {q, dim_});
      tensor(block + "ffn_norm.weight", {dim_});
      tensor(block + "ffn_gate.weight", {dim_, ffn_});
      tensor(block + "ffn_up.weight", {dim_, ffn_});
      tensor(block + "ffn_down.weight", {ffn_, dim_});
    }
  }

  Choices& choices_;
  GgufBuilder file_;
  uint64_t layers_ = 1, dim_ = 32, ffn_ = 32, heads_ = 1, kv_heads_ = 1, head_dim_ = 32;
  std::vector<std::string> tokens_;
  std::vector<int32_t> types_;
  uint64_t data_bytes_ = 0, rope_freqs_ = 0, rope_freqs_bytes_ = 0;
};

// What was accepted must hold: sizes fit the bytes, ids are in the vocabulary.
void check_config(const GgufFile& file) {
  const auto config = read_model_config(file);
  if (!config) {
    if (config.error().message.empty()) std::abort();
    return;
  }
  if (config->heads % config->kv_heads != 0 || config->head_dim % 2 != 0) std::abort();
  for (const Tensor& tensor : file.tensors()) {
    const BlockLayout* layout = block_layout(static_cast<uint32_t>(tensor.type));
    const auto bytes = static_cast<size_t>(tensor.elements() / layout->elements * layout->bytes);
    if (tensor.data.size() != bytes || tensor.columns() % layout->elements != 0) std::abort();
  }
}

void check_tokenizer(const GgufFile& file, const std::string& text) {
  const auto tokenizer = Tokenizer::from_gguf(file);
  if (!tokenizer) {
    if (tokenizer.error().message.empty()) std::abort();
    return;
  }
  for (const bool parse_special : {false, true}) {
    for (const int32_t id : (*tokenizer)->encode(text, (*tokenizer)->adds_bos(), parse_special)) {
      if (id < 0 || id >= (*tokenizer)->size()) std::abort();
      (void)(*tokenizer)->piece(id, true);
      (void)(*tokenizer)->is_end(id);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Choices choices(data, size);
  const std::string text = choices.text(60);
  const std::string bytes = ModelFile(choices).build();
  const auto file = GgufFile::parse(bytes_of(bytes), "fuzz.gguf");
  if (!file) {
    if (file.error().message.empty()) std::abort();
    return 0;
  }
  check_config(*file);
  check_tokenizer(*file, text);
  return 0;
}
