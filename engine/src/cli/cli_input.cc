#include "cli/cli_input.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "contract/text.h"
#include "tokenizer/unicode.h"

namespace greta::engine {

Result<std::string> read_input(const std::string& path) {
  const auto error = [&](const std::string& what) {
    return tl::unexpected<Error>(
        Error{.message = what, .file = path, .exit_code = static_cast<int>(EngineExit::input)});
  };
  const bool from_stdin = path == "-";
  const int fd = from_stdin ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return error(std::string("cannot open: ") + std::strerror(errno));
  std::string text;
  std::array<char, 65536> buffer;
  ssize_t n = 0;
  while ((n = ::read(fd, buffer.data(), buffer.size())) != 0) {
    if (n > 0) text.append(buffer.data(), static_cast<size_t>(n));
    if (n < 0 && errno != EINTR) break;
  }
  const int code = errno;
  if (!from_stdin) ::close(fd);
  if (n < 0) return error(std::string("cannot read: ") + std::strerror(code));
  return text;
}

std::optional<std::string> prompt_warning(std::string_view text, bool typed) {
  if (typed && !text.empty() && text.size() < 4096) {
    std::error_code ignored;
    if (std::filesystem::is_regular_file(std::filesystem::path(text), ignored)) {
      return "the prompt is the name of an existing file, `" + printable(text) +
             "`; its name is what the model reads. Did you mean --prompt-file?";
    }
  }
  if (text.find("\\n") != std::string_view::npos) {
    return "the prompt holds a backslash followed by n, two characters; a line break is one byte "
           "(in a shell: $'…\\n…', or use --prompt-file)";
  }
  if (const size_t bad = find_invalid_utf8(text); bad != std::string_view::npos) {
    return "the prompt is no UTF-8 from byte " + std::to_string(bad) +
           " on; its bytes are tokenised as they are";
  }
  return std::nullopt;
}

}  // namespace greta::engine
