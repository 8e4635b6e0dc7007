#include "report/report_labels.h"

namespace greta::store {

const std::vector<LabelText>& label_table() {
  static const std::vector<LabelText> kTable = {
#define LABEL(id, en, es) {#id, en, es},
#include "report/report_labels.def"
#undef LABEL
  };
  return kTable;
}

namespace {

std::string fill(std::string_view pattern, std::initializer_list<std::string_view> arguments) {
  std::string out;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '{' && i + 2 < pattern.size() && pattern[i + 2] == '}') {
      const auto index = static_cast<size_t>(pattern[i + 1] - '0');
      if (index < arguments.size()) {
        out += arguments.begin()[index];
        i += 2;
        continue;
      }
    }
    out += pattern[i];
  }
  return out;
}

}  // namespace

std::string label(Label id, Language language, std::initializer_list<std::string_view> arguments) {
  const LabelText& text = label_table()[static_cast<size_t>(id)];
  const std::string en = fill(text.en, arguments);
  const std::string es = fill(text.es, arguments);
  switch (language) {
    case Language::en:
      return en;
    case Language::es:
      return es;
    case Language::both:
      break;
  }
  return en == es ? en : es + " / " + en;
}

std::string word(std::string_view stored, Language language, std::initializer_list<Label> words) {
  for (const Label id : words)
    if (label_table()[static_cast<size_t>(id)].en == stored) return label(id, language);
  return std::string(stored);
}

}  // namespace greta::store
