#include "build/git.h"

#include <sstream>

namespace greta::runner {
namespace fs = std::filesystem;

Result<std::string> git(const fs::path& top, const std::vector<std::string>& words,
                        const Cancel& cancel, double timeout_s,
                        const std::vector<std::string>& environment) {
  // Reading a repository must not run what its configuration names, nor stop at its owner, nor ask
  // a person for a password.
  std::vector<std::string> argv = {"env", "GIT_TERMINAL_PROMPT=0", "GIT_LITERAL_PATHSPECS=1"};
  argv.insert(argv.end(), environment.begin(), environment.end());
  argv.insert(argv.end(), {"git", "-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-c",
                           "core.quotePath=false"});
  if (!top.empty()) argv.insert(argv.end(), {"-C", top.string()});
  argv.insert(argv.end(), words.begin(), words.end());
  return output_of(argv, cancel, timeout_s);
}

std::string without_newline(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, separator);) {
    if (!part.empty()) out.push_back(part);
  }
  return out;
}

}  // namespace greta::runner
