#include "commands/option_checks.h"

#include "contract/text.h"

namespace greta::runner {

CLI::Validator not_empty() {
  return {[](const std::string& text) {
            return text.empty() ? std::string("it is empty") : std::string();
          },
          ""};
}

CLI::Validator no_empty_part() {
  return {[](const std::string& text) {
            const bool part =
                text.starts_with(",") || text.ends_with(",") || text.find(",,") != text.npos;
            if (text.empty()) return std::string("it is empty");
            return part ? "an empty name in `" + printable(text) + "`" : std::string();
          },
          ""};
}

CLI::Validator not_negative() {
  return {[](const std::string& text) {
            int64_t number = 0;
            const bool whole = CLI::detail::lexical_cast(text, number);
            return whole && number >= 0 ? std::string()
                                        : "`" + printable(text) + "` is no whole number, 0 or more";
          },
          ""};
}

}  // namespace greta::runner
