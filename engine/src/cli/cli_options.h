#pragma once
// Options whose values are held to a range while the command line is read, so that a senseless one
// is an error that names the option, the value and what is allowed.

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>

namespace greta::engine {

// Both ends are allowed.
struct WholeNumbers {
  uint64_t from, to;
};
// Longest sequence that anything here counts, and the most tokens that a request may ask for.
constexpr uint64_t kMostPositions = uint64_t{1} << 24, kMostTokens = uint64_t{1} << 30;

// The name of a file or folder, "-" included: it must not be empty.
CLI::Option* add_path(CLI::App& app, const std::string& names, std::string& target,
                      const std::string& doc);

namespace options_detail {
uint64_t whole_number(const std::string& option, const std::string& text, WholeNumbers range);
std::string last_name(const std::string& names);
template <class T>
std::string shown(const T& value) {
  return std::to_string(value);
}
template <class T>
std::string shown(const std::optional<T>&) {
  return "";
}
template <class T>
void assign(T& target, uint64_t value) {
  target = static_cast<T>(value);
}
template <class T>
void assign(std::optional<T>& target, uint64_t value) {
  target = static_cast<T>(value);
}
}  // namespace options_detail

// names: "-t,--threads"; its last one is named in errors. The target's value is the default that
// the help shows; nothing is shown of an optional one, nor with `show_default` false.
template <class T>
CLI::Option* add_number(CLI::App& app, const std::string& names, T& target, WholeNumbers range,
                        const std::string& doc, bool show_default = true) {
  const std::string name = options_detail::last_name(names);
  CLI::Option* const option = app.add_option_function<std::string>(
      names,
      [&target, name, range](const std::string& text) {
        options_detail::assign(target, options_detail::whole_number(name, text, range));
      },
      doc);
  if (show_default) option->default_str(options_detail::shown(target));
  return option->type_name("N");
}

}  // namespace greta::engine
