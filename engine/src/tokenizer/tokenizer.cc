#include "tokenizer/tokenizer.h"

#include "contract/text.h"
#include "tokenizer/bpe_tokenizer.h"
#include "tokenizer/spm_tokenizer.h"

namespace greta::engine {

Result<std::unique_ptr<Tokenizer>> Tokenizer::from_gguf(const GgufFile& file) {
  const auto error = [&](std::string message) {
    return tl::unexpected<Error>(Error{.message = std::move(message),
                                       .file = file.path(),
                                       .exit_code = static_cast<int>(EngineExit::input)});
  };
  TRY_ASSIGN(const auto model, file.text("tokenizer.ggml.model"));
  if (model != "gpt2" && model != "llama") {
    return error("metadata `tokenizer.ggml.model` is \"" + printable(model) +
                 "\": this engine has gpt2 (byte-level BPE) and llama (SentencePiece)");
  }
  if (model == "gpt2") {
    TRY_ASSIGN(const auto pre, file.text("tokenizer.ggml.pre"));
    if (pre != "llama-bpe" && pre != "llama3" && pre != "llama-v3") {
      return error("metadata `tokenizer.ggml.pre` is \"" + printable(pre) +
                   "\": this engine has llama-bpe (also written llama3, llama-v3)" +
                   did_you_mean(pre, {"llama-bpe", "llama3", "llama-v3"}));
    }
  }
  // Both kinds of model were trained with BOS in front, and old files do not say so.
  TRY_ASSIGN(auto vocabulary, read_vocabulary(file, /*add_bos_by_default=*/true));
  return model == "gpt2" ? make_bpe_tokenizer(file, std::move(vocabulary))
                         : make_spm_tokenizer(file, std::move(vocabulary));
}

}  // namespace greta::engine
