// Any bytes as a GGUF file: parsing, the model's shape, the tokenizer in it, and `inspect`.
#include <cstddef>
#include <cstdint>

#include "model/gguf.h"
#include "model/model_config.h"
#include "tokenizer/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace greta::engine;
  const auto file = GgufFile::parse({reinterpret_cast<const std::byte*>(data), size}, "fuzz.gguf");
  if (!file) return 0;
  for (const auto& tensor : file->tensors()) {
    // Every byte that a tensor claims must be there: a sanitizer sees it if not.
    if (!tensor.data.empty() && tensor.data.front() == tensor.data.back()) (void)tensor.shape();
    (void)file->tensor(tensor.name);
  }
  (void)read_model_config(*file);
  if (const auto tokenizer = Tokenizer::from_gguf(*file)) {
    for (const int32_t id : (*tokenizer)->encode("Hola <s> \xff 12", true, true)) {
      (void)(*tokenizer)->piece(id, true);
    }
  }
  return 0;
}
