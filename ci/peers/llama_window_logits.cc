// llama.cpp's logits of the scored positions of a text, as a logits file (engine/LOGITS.md), and
// what noise of a given size would do to them.
//   llama_window_logits MODEL TOKENS CONTEXT NOISE OUT
// TOKENS: ids separated by white space; windows of CONTEXT tokens lie side by side, the second half
// of each is scored.  NOISE: standard deviation of independent Gaussian noise on every logit, in
// units of the standard deviation of the row's logits.  Prints one JSON line:
//   rows, vocab
//   kl_mean          mean over rows of ½ σ²: the expected KL divergence to second order, an upper
//   bound top1_changes     mean over rows of the union bound Σ_j P(logit j passes the largest)
//   std_max          the largest standard deviation of a row
// KV cache in F32 and no flash attention, so that only the arithmetic of the weights differs.
#define XXH_INLINE_ALL
#include <llama.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "xxhash.h"

namespace {

[[noreturn]] void die(const std::string& what) {
  std::cerr << "llama_window_logits: " << what << "\n";
  std::exit(1);
}

struct Header {
  char magic[8] = {'G', 'R', 'E', 'T', 'A', 'L', 'O', 'G'};
  uint32_t version = 1, vocab = 0;
  uint64_t token_count = 0, rows = 0, model_hash = 0;
  uint32_t context = 0, stride = 0;
  int32_t bos = -1;
  uint32_t reserved = 0;
  uint64_t header_hash = 0;
};
static_assert(sizeof(Header) == 64);

class Noise {
 public:
  explicit Noise(double relative) : relative_(relative) {}
  void add(const float* row, int vocab) {
    double mean = 0, squares = 0;
    for (int i = 0; i < vocab; ++i) mean += row[i] / static_cast<double>(vocab);
    for (int i = 0; i < vocab; ++i) squares += (row[i] - mean) * (row[i] - mean);
    const double deviation = std::sqrt(squares / vocab), sigma = relative_ * deviation;
    const float* best = std::max_element(row, row + vocab);
    double changes = 0;
    for (int i = 0; i < vocab; ++i) {
      if (row + i == best) continue;
      // The difference of two noisy logits has twice the variance; Φ(−x) = erfc(x/√2)/2.
      changes += 0.5 * std::erfc((*best - row[i]) / (2 * sigma));
    }
    ++rows_;
    kl_ += 0.5 * sigma * sigma;
    changes_ += std::min(1.0, changes);
    std_max_ = std::max(std_max_, deviation);
  }
  void print(int vocab) const {
    std::printf(
        "{\"rows\": %ld, \"vocab\": %d, \"kl_mean\": %.9g, \"top1_changes\": %.9g, \"std_max\": "
        "%.9g}\n",
        rows_, vocab, kl_ / static_cast<double>(rows_), changes_ / static_cast<double>(rows_),
        std_max_);
  }

 private:
  double relative_, kl_ = 0, changes_ = 0, std_max_ = 0;
  long rows_ = 0;
};

// One window: its last token predicts nothing and is not fed.
void feed(llama_context* context, const llama_token* tokens, int length, int first_scored) {
  llama_memory_clear(llama_get_memory(context), true);
  llama_batch batch = llama_batch_init(length - 1, 0, 1);
  batch.n_tokens = length - 1;
  for (int i = 0; i < batch.n_tokens; ++i) {
    batch.token[i] = tokens[i];
    batch.pos[i] = i;
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = 0;
    batch.logits[i] = i >= first_scored;
  }
  if (llama_decode(context, batch) != 0) die("llama_decode failed");
  llama_batch_free(batch);
}

llama_context* make_context(llama_model* model, int length) {
  llama_context_params params = llama_context_default_params();
  params.n_ctx = params.n_batch = params.n_ubatch = static_cast<uint32_t>(length);
  params.type_k = params.type_v = GGML_TYPE_F32;
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
  params.n_threads = params.n_threads_batch = 2;
  llama_context* context = llama_init_from_model(model, params);
  if (!context) die("no context");
  return context;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) die("usage: llama_window_logits MODEL TOKENS CONTEXT NOISE OUT");
  llama_log_set(
      [](ggml_log_level level, const char* text, void*) {
        if (level >= GGML_LOG_LEVEL_WARN) std::fputs(text, stderr);
      },
      nullptr);
  llama_backend_init();
  llama_model* model = llama_model_load_from_file(argv[1], llama_model_default_params());
  if (!model) die(std::string("cannot load ") + argv[1]);
  const int vocab = llama_vocab_n_tokens(llama_model_get_vocab(model));
  std::ifstream in(argv[2]);
  std::vector<llama_token> tokens{std::istream_iterator<llama_token>(in), {}};
  const int length = std::atoi(argv[3]);
  if (length < 4 || static_cast<int>(tokens.size()) < length) die("fewer tokens than a window");
  tokens.resize(tokens.size() / static_cast<size_t>(length) * static_cast<size_t>(length));
  const int windows = static_cast<int>(tokens.size()) / length, first_scored = length / 2;
  llama_context* context = make_context(model, length);

  Header header;
  header.vocab = static_cast<uint32_t>(vocab);
  header.token_count = tokens.size();
  header.rows = static_cast<uint64_t>(windows) * static_cast<uint64_t>(length - 1 - first_scored);
  header.context = static_cast<uint32_t>(length);
  header.header_hash = XXH3_64bits_withSeed(tokens.data(), tokens.size() * sizeof(llama_token),
                                            XXH3_64bits(&header, 56));
  std::ofstream out(argv[5], std::ios::binary);
  out.write(reinterpret_cast<const char*>(&header), sizeof header);
  out.write(reinterpret_cast<const char*>(tokens.data()),
            static_cast<std::streamsize>(tokens.size() * sizeof(llama_token)));
  Noise noise(std::atof(argv[4]));
  uint64_t number = 0;
  for (int w = 0; w < windows; ++w) {
    feed(context, tokens.data() + w * length, length, first_scored);
    for (int row = first_scored; row < length - 1; ++row, ++number) {
      const float* logits = llama_get_logits_ith(context, row);
      const size_t bytes = sizeof(float) * static_cast<size_t>(vocab);
      const uint64_t hash = XXH3_64bits_withSeed(logits, bytes, number);
      out.write(reinterpret_cast<const char*>(logits), static_cast<std::streamsize>(bytes));
      out.write(reinterpret_cast<const char*>(&hash), sizeof hash);
      noise.add(logits, vocab);
    }
  }
  noise.print(vocab);
  return out.flush() ? 0 : 1;
}
