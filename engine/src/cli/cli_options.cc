#include "cli/cli_options.h"

#include <charconv>

#include "contract/text.h"

namespace greta::engine {
namespace options_detail {

std::string last_name(const std::string& names) { return names.substr(names.rfind(',') + 1); }

uint64_t whole_number(const std::string& option, const std::string& text, WholeNumbers range) {
  uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, code] = std::from_chars(text.data(), end, value);
  if (code == std::errc() && rest == end && value >= range.from && value <= range.to) return value;
  throw CLI::ValidationError(option + " " + (text.empty() ? "\"\"" : printable(text)) +
                                 ": expected a whole number from " + std::to_string(range.from) +
                                 " to " + std::to_string(range.to),
                             CLI::ExitCodes::ValidationError);
}

}  // namespace options_detail

CLI::Option* add_path(CLI::App& app, const std::string& names, std::string& target,
                      const std::string& doc) {
  const std::string name = options_detail::last_name(names);
  return app
      .add_option_function<std::string>(
          names,
          [&target, name](const std::string& text) {
            if (text.empty()) {
              throw CLI::ValidationError(name + " \"\": expected the name of a file or folder",
                                         CLI::ExitCodes::ValidationError);
            }
            target = text;
          },
          doc)
      ->type_name("FILE");
}

}  // namespace greta::engine
