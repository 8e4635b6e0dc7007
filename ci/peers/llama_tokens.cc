// llama.cpp's token ids of many texts, from a vocabulary alone.
//   llama_tokens MODEL LIST
// LIST: a file of file names, one a line.  Prints a JSON list of ids a line; on stderr the seconds
// that tokenising took in all.
#include <llama.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

namespace {

[[noreturn]] void die(const std::string& what) {
  std::cerr << "llama_tokens: " << what << "\n";
  std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) die("usage: llama_tokens MODEL LIST");
  llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  llama_backend_init();
  llama_model_params params = llama_model_default_params();
  params.vocab_only = true;
  llama_model* model = llama_model_load_from_file(argv[1], params);
  if (!model) die(std::string("cannot load ") + argv[1]);
  const llama_vocab* vocab = llama_model_get_vocab(model);
  std::ifstream list(argv[2]);
  double seconds = 0;
  for (std::string name; std::getline(list, name);) {
    std::ifstream in(name, std::ios::binary);
    if (!in) die("cannot open " + name);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    std::vector<llama_token> ids(text.size() + 16);
    const auto start = std::chrono::steady_clock::now();
    const int n =
        llama_tokenize(vocab, text.data(), static_cast<int>(text.size()), ids.data(),
                       static_cast<int>(ids.size()), /*add_special=*/false, /*parse_special=*/true);
    seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (n < 0) die("more ids than bytes in " + name);
    std::printf("[");
    for (int i = 0; i < n; ++i) std::printf(i > 0 ? ",%d" : "%d", ids[static_cast<size_t>(i)]);
    std::printf("]\n");
  }
  std::fprintf(stderr, "%.6f\n", seconds);
  llama_model_free(model);
  return 0;
}
