// The outside oracle: llama.cpp's own greedy tokens and logits, in full precision.
//   llama_logits MODEL REQUESTS OUT
// REQUESTS: one request a line: id n_generate token token …      (token ids, BOS included)
// OUT:      one line a request: id generated token ids
// OUT.f32:  for each request, n_generate rows of vocab floats: the logits that chose each token
// KV cache in F32 and no flash attention, so that only the arithmetic of the weights differs.
#include <llama.h>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

namespace {

[[noreturn]] void die(const std::string& what) {
  std::cerr << "llama_logits: " << what << "\n";
  std::exit(1);
}

// Feeds tokens at positions pos0…; only the last one yields logits.
void feed(llama_context* context, const std::vector<llama_token>& tokens, int pos0) {
  llama_batch batch = llama_batch_init(static_cast<int>(tokens.size()), 0, 1);
  batch.n_tokens = static_cast<int>(tokens.size());
  for (int i = 0; i < batch.n_tokens; ++i) {
    batch.token[i] = tokens[static_cast<size_t>(i)];
    batch.pos[i] = pos0 + i;
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = 0;
    batch.logits[i] = i == batch.n_tokens - 1;
  }
  if (llama_decode(context, batch) != 0) die("llama_decode failed");
  llama_batch_free(batch);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) die("usage: llama_logits MODEL REQUESTS OUT");
  llama_log_set(
      [](ggml_log_level level, const char* text, void*) {
        if (level >= GGML_LOG_LEVEL_WARN) std::fputs(text, stderr);
      },
      nullptr);
  llama_backend_init();
  llama_model* model = llama_model_load_from_file(argv[1], llama_model_default_params());
  if (!model) die(std::string("cannot load ") + argv[1]);
  const int vocab = llama_vocab_n_tokens(llama_model_get_vocab(model));

  std::ifstream requests(argv[2]);
  std::ofstream out(argv[3]), logits_out(std::string(argv[3]) + ".f32", std::ios::binary);
  for (std::string line; std::getline(requests, line);) {
    std::istringstream words(line);
    std::string id;
    int n_generate = 0;
    words >> id >> n_generate;
    const std::istream_iterator<llama_token> first(words), end;
    std::vector<llama_token> tokens(first, end);
    if (tokens.empty() || n_generate < 1) die("bad request line: " + line);
    llama_context_params params = llama_context_default_params();
    params.n_ctx = static_cast<uint32_t>(tokens.size()) + static_cast<uint32_t>(n_generate);
    params.n_batch = params.n_ubatch = params.n_ctx;
    params.type_k = params.type_v = GGML_TYPE_F32;
    params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    params.n_threads = params.n_threads_batch = 2;
    llama_context* context = llama_init_from_model(model, params);
    if (!context) die("no context");
    out << id;
    int position = 0;
    for (int step = 0; step < n_generate; ++step) {
      feed(context, tokens, position);
      position += static_cast<int>(tokens.size());
      const float* row = llama_get_logits_ith(context, -1);
      logits_out.write(reinterpret_cast<const char*>(row),
                       static_cast<std::streamsize>(sizeof(float)) * vocab);
      const auto best = static_cast<llama_token>(std::max_element(row, row + vocab) - row);
      out << ' ' << best;
      tokens = {best};
    }
    out << '\n';
    llama_free(context);
  }
  llama_model_free(model);
  return out.flush() && logits_out.flush() ? 0 : 1;
}
