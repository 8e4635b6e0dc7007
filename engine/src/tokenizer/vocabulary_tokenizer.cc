#include "tokenizer/vocabulary_tokenizer.h"

namespace greta::engine {

std::vector<int32_t> VocabularyTokenizer::encode(std::string_view text, bool add_bos,
                                                 bool parse_special) const {
  std::vector<int32_t> ids;
  if (add_bos && vocabulary_.bos) ids.push_back(*vocabulary_.bos);
  bool first = true, after_special = true;
  for (const auto& fragment : special_.split(text, parse_special)) {
    const bool repeats_bos = first && !ids.empty() && fragment.token == ids.front();
    first = false;
    const bool is_special = fragment.token >= 0;
    if (!is_special) {
      encode_plain(fragment.text, after_special, &ids);
    } else if (!repeats_bos) {
      ids.push_back(fragment.token);
    }
    after_special = is_special;
  }
  return ids;
}

}  // namespace greta::engine
