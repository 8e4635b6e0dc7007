#include "synth/synth.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "contract/text.h"
#include "model/gguf_write.h"
#include "synth/random_weights.h"
#include "tokenizer/unicode.h"

namespace greta::engine {
namespace {

// From the models' published configurations.
constexpr SynthShape kShapes[] = {
    {"llama2-7b", "Llama 2 7B", 32, 4096, 32, 32, 128, 11008, 32000, 4096, 1e4f, false, 0},
    {"llama3-1b", "Llama 3.2 1B", 16, 2048, 32, 8, 64, 8192, 128256, 131072, 5e5f, true, 32},
    {"llama3-3b", "Llama 3.2 3B", 28, 3072, 24, 8, 128, 8192, 128256, 131072, 5e5f, true, 32},
    {"llama3-8b", "Llama 3 8B", 32, 4096, 32, 8, 128, 14336, 128256, 8192, 5e5f, false, 0},
    {"llama3.1-8b", "Llama 3.1 8B", 32, 4096, 32, 8, 128, 14336, 128256, 131072, 5e5f, false, 8},
    {"tinyllama-1.1b", "TinyLlama 1.1B", 22, 2048, 32, 4, 64, 5632, 32000, 2048, 1e4f, false, 0},
    {"greta-tiny", "greta-tiny", 8, 256, 8, 2, 32, 768, 8192, 1024, 1e4f, false, 0},
};

struct NamedType {
  std::string_view name;
  TensorType type;
  uint32_t file_type;  // llama.cpp's number
};
constexpr NamedType kTypes[] = {
    {"F32", TensorType::f32, 0},      {"F16", TensorType::f16, 1},
    {"BF16", TensorType::bf16, 32},   {"Q8_0", TensorType::q8_0, 7},
    {"Q4_0", TensorType::q4_0, 2},    {"Q5_0", TensorType::q5_0, 8},
    {"Q4_K", TensorType::q4_k, 14},   {"Q5_K", TensorType::q5_k, 16},
    {"Q6_K", TensorType::q6_k, 18},   {"Q4_K_M", TensorType::q4_k, 15},
    {"Q5_K_M", TensorType::q5_k, 17},
};

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return out;
}

template <class Table>
tl::unexpected<Error> unknown(const char* what, const std::string& name, const Table& table) {
  std::vector<std::string> known;
  std::string list;
  for (const auto& entry : table) {
    known.emplace_back(entry.name);
    list += (list.empty() ? "" : ", ") + known.back();
  }
  return fail(EngineExit::usage, "unknown " + std::string(what) + " `" + printable(name) + "`" +
                                     did_you_mean(name, known) + "; there are " + list);
}

struct Planned {
  std::string name;
  int64_t rows, columns;
  TensorType type;
  bool is_norm = false, is_embedding = false;
};

// In the mixed types llama.cpp's quantisation keeps more bits for these.
bool more_bits(int64_t layer, int64_t layers) {
  return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

std::vector<Planned> plan_tensors(const SynthShape& s, const NamedType& type) {
  const bool mixed = type.name.ends_with("_M");
  const TensorType most = type.type, rich = mixed ? TensorType::q6_k : most;
  std::vector<Planned> out;
  const auto matrix = [&](std::string name, int64_t rows, int64_t columns, TensorType t) {
    out.push_back({.name = std::move(name), .rows = rows, .columns = columns, .type = t});
  };
  const auto norm = [&](std::string name) {
    out.push_back({.name = std::move(name),
                   .rows = 1,
                   .columns = s.dim,
                   .type = TensorType::f32,
                   .is_norm = true});
  };
  matrix("token_embd.weight", s.vocab, s.dim, s.tied_embeddings ? rich : most);
  out.back().is_embedding = true;
  norm("output_norm.weight");
  if (!s.tied_embeddings) matrix("output.weight", s.vocab, s.dim, rich);
  for (int64_t l = 0; l < s.layers; ++l) {
    const std::string block = "blk." + std::to_string(l) + ".";
    const TensorType value = more_bits(l, s.layers) ? rich : most;
    const int64_t q_dim = s.heads * s.head_dim, kv_dim = s.kv_heads * s.head_dim;
    norm(block + "attn_norm.weight");
    matrix(block + "attn_q.weight", q_dim, s.dim, most);
    matrix(block + "attn_k.weight", kv_dim, s.dim, most);
    matrix(block + "attn_v.weight", kv_dim, s.dim, value);
    matrix(block + "attn_output.weight", s.dim, q_dim, most);
    norm(block + "ffn_norm.weight");
    matrix(block + "ffn_gate.weight", s.ffn, s.dim, most);
    matrix(block + "ffn_up.weight", s.ffn, s.dim, most);
    matrix(block + "ffn_down.weight", s.dim, s.ffn, value);
  }
  return out;
}

// Source: the published configuration of Llama 3.1 (rope_scaling of type llama3).
std::vector<float> rope_factors(const SynthShape& s) {
  constexpr double kLow = 1, kHigh = 4, kOriginalContext = 8192;
  std::vector<float> out;
  for (int64_t i = 0; i < s.head_dim; i += 2) {
    const double frequency = std::pow(static_cast<double>(s.rope_base),
                                      -static_cast<double>(i) / static_cast<double>(s.head_dim));
    const double turns = kOriginalContext * frequency / (2 * std::numbers::pi);
    const double smooth = std::clamp((turns - kLow) / (kHigh - kLow), 0.0, 1.0);
    out.push_back(
        static_cast<float>(1 / ((1 - smooth) / static_cast<double>(s.rope_scaling) + smooth)));
  }
  return out;
}

// The 256 bytes, four control tokens at the end, reserved ones between.
void write_vocabulary(int64_t size, GgufWriter& file) {
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
  for (int byte = 0; byte < 256; ++byte) {
    tokens.push_back(bpe_from_bytes(std::string(1, static_cast<char>(byte))));
    types.push_back(1);
  }
  const std::vector<std::string> control = {"<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>",
                                            "<|eom_id|>"};
  const int64_t reserved = size - 256 - static_cast<int64_t>(control.size());
  for (int64_t i = 0; i < reserved; ++i) {
    tokens.push_back("<|reserved_" + std::to_string(i) + "|>");
    types.push_back(5);  // unused
  }
  for (const auto& token : control) {
    tokens.push_back(token);
    types.push_back(3);
  }
  file.text("tokenizer.ggml.model", "gpt2");
  file.text("tokenizer.ggml.pre", "llama-bpe");
  file.strings("tokenizer.ggml.tokens", tokens);
  file.integers("tokenizer.ggml.token_type", types);
  file.strings("tokenizer.ggml.merges", {});
  file.integer("tokenizer.ggml.bos_token_id", static_cast<uint32_t>(size - 4));
  file.integer("tokenizer.ggml.eos_token_id", static_cast<uint32_t>(size - 3));
  file.integer("tokenizer.ggml.eot_token_id", static_cast<uint32_t>(size - 2));
  file.boolean("tokenizer.ggml.add_bos_token", true);
}

void write_metadata(const SynthShape& s, const NamedType& type, uint64_t seed, GgufWriter& file) {
  file.text("general.architecture", "llama");
  file.text("general.name", "synthetic " + std::string(s.name) + " seed " + std::to_string(seed));
  file.text("general.description",
            "Random weights in the shape of " + std::string(s.doc) + "; made by greta-infer synth");
  file.integer("general.file_type", type.file_type);
  file.integer("general.quantization_version", 2);
  const auto size = [&](const char* key, int64_t value) {
    file.integer(key, static_cast<uint32_t>(value));
  };
  size("llama.block_count", s.layers);
  size("llama.context_length", s.context);
  size("llama.embedding_length", s.dim);
  size("llama.feed_forward_length", s.ffn);
  size("llama.attention.head_count", s.heads);
  size("llama.attention.head_count_kv", s.kv_heads);
  size("llama.attention.key_length", s.head_dim);
  size("llama.attention.value_length", s.head_dim);
  size("llama.rope.dimension_count", s.head_dim);
  size("llama.vocab_size", s.vocab);
  file.real("llama.rope.freq_base", s.rope_base);
  file.real("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  write_vocabulary(s.vocab, file);
}

Result<> check_sizes(const SynthShape& s) {
  if (s.layers < 1 || s.layers > 1000 || s.vocab < 512 || s.vocab > (1 << 24) || s.context < 1 ||
      s.context > (1 << 24)) {
    return fail(EngineExit::usage,
                "layers must be 1 to 1000, vocab 512 to 2^24, context 1 to 2^24");
  }
  return {};
}

Result<> check_blocks(const std::vector<Planned>& tensors) {
  for (const Planned& tensor : tensors) {
    const int64_t block = block_elements(tensor.type);
    if (tensor.columns % block != 0) {
      return fail(EngineExit::usage, "`" + tensor.name + "` has " + std::to_string(tensor.columns) +
                                         " columns, and " + std::string(to_string(tensor.type)) +
                                         " has blocks of " + std::to_string(block));
    }
  }
  return {};
}

}  // namespace

std::span<const SynthShape> synth_shapes() { return kShapes; }

std::span<const std::string_view> synth_types() {
  static constexpr auto kNames = [] {
    std::array<std::string_view, std::size(kTypes)> names{};
    for (size_t i = 0; i < names.size(); ++i) names[i] = kTypes[i].name;
    return names;
  }();
  return kNames;
}

Result<> write_synthetic_model(const SynthOptions& options, const std::filesystem::path& path,
                               const std::function<void(int64_t, int64_t)>& progress) {
  const auto* shape = std::find_if(std::begin(kShapes), std::end(kShapes),
                                   [&](const auto& s) { return s.name == options.shape; });
  if (shape == std::end(kShapes)) return unknown("shape", options.shape, kShapes);
  const auto* type = std::find_if(std::begin(kTypes), std::end(kTypes),
                                  [&](const auto& t) { return t.name == upper(options.type); });
  if (type == std::end(kTypes)) return unknown("type", options.type, kTypes);
  SynthShape s = *shape;
  s.layers = options.layers.value_or(s.layers);
  s.vocab = options.vocab.value_or(s.vocab);
  s.context = options.context.value_or(s.context);
  TRY(check_sizes(s));
  const auto tensors = plan_tensors(s, *type);
  TRY(check_blocks(tensors));
  GgufWriter file;
  write_metadata(s, *type, options.seed, file);
  const auto factors = s.rope_scaling > 0 ? rope_factors(s) : std::vector<float>();
  const auto factor_bytes = std::as_bytes(std::span(factors));
  int64_t total = 0, done = 0;
  if (!factors.empty()) {
    file.tensor("rope_freqs.weight", {static_cast<int64_t>(factors.size())}, TensorType::f32,
                static_cast<int64_t>(factor_bytes.size()));
  }
  for (const Planned& tensor : tensors) {
    const int64_t bytes = tensor.rows * stored_row_bytes(tensor.type, tensor.columns);
    const auto dims = tensor.is_norm ? std::vector<int64_t>{tensor.columns}
                                     : std::vector<int64_t>{tensor.columns, tensor.rows};
    file.tensor(tensor.name, dims, tensor.type, bytes);
    total += bytes;
  }
  TRY(file.begin(path));
  if (!factors.empty()) {
    TRY(file.write(factor_bytes));
    TRY(file.pad());
  }
  std::vector<std::byte> row;
  for (const Planned& tensor : tensors) {
    // Activations keep their size from layer to layer; logits come out about one unit wide.
    const double deviation = tensor.is_embedding
                                 ? 1.0 / std::sqrt(static_cast<double>(s.dim))
                                 : 1.0 / std::sqrt(static_cast<double>(tensor.columns));
    RandomRows random(options.seed, tensor.name, tensor.type, tensor.columns, deviation);
    for (int64_t r = 0; r < tensor.rows; ++r) {
      if (tensor.is_norm) {
        random.ones(row);
      } else {
        random.next(row);
      }
      TRY(file.write(row));
      done += static_cast<int64_t>(row.size());
    }
    TRY(file.pad());
    if (progress) progress(done, total);
  }
  return file.finish();
}

}  // namespace greta::engine
