#pragma once
// The fixed strings of the report in its two languages, one table (report_labels.def).

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "store/report.h"

namespace greta::store {

enum class Label {
#define LABEL(id, en, es) id,
#include "report/report_labels.def"
#undef LABEL
};

struct LabelText {
  std::string_view id, en, es;
};
// In the order of Label.
const std::vector<LabelText>& label_table();

// "English", "Spanish", or "Spanish / English" where both are wanted and differ. {n} in the string
// becomes arguments[n].
std::string label(Label id, Language language,
                  std::initializer_list<std::string_view> arguments = {});

// One of these words in the language of the report; any other text as it is.
std::string word(std::string_view stored, Language language, std::initializer_list<Label> words);

}  // namespace greta::store
