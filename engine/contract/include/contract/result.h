#pragma once
// Errors as values. Expected failures (bad input, missing file, busy database) travel as Result;
// programmer errors are assertions. Exceptions of yaml-cpp and nlohmann stay in the file that
// calls them.

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace greta {

// Process exit codes of `greta` (design: 0 all gates hold … 130 interrupted).
enum class Exit : int {
  ok = 0,
  diverged = 1,        // a gate failed, or results differ
  usage = 2,           // command line, spec, unknown flag
  not_measured = 3,    // a gate had no rows
  infrastructure = 4,  // container, disk, engine that could not start
  not_comparable = 5,  // not replayable, not comparable
  interrupted = 130,
};

// Process exit codes of an engine (ENGINE run …).
enum class EngineExit : int {
  ok = 0,
  usage = 2,    // bad arguments, unknown flag
  input = 3,    // bad model or prompt
  device = 4,   // device, or a route that the backend does not have
  numeric = 5,  // a numeric guard tripped
};

// What went wrong, and where. `line` and `column` count from 1; 0 means "no place".
struct Error {
  std::string message;
  std::string file = {};
  int line = 0;
  int column = 0;
  int exit_code = static_cast<int>(Exit::usage);

  // "experiments/x.yaml:3:7: unknown key `flag` (did you mean `flags`?)"
  std::string str() const {
    std::string out = file;
    if (line > 0) out += (out.empty() ? "line " : ":") + std::to_string(line);
    if (line > 0 && column > 0) out += ":" + std::to_string(column);
    if (!out.empty()) out += ": ";
    return out + message;
  }
};

template <class T = void>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(Exit code, std::string message) {
  return tl::unexpected<Error>(
      Error{.message = std::move(message), .exit_code = static_cast<int>(code)});
}
inline tl::unexpected<Error> fail(EngineExit code, std::string message) {
  return tl::unexpected<Error>(
      Error{.message = std::move(message), .exit_code = static_cast<int>(code)});
}

}  // namespace greta

#define GRETA_CONCAT_(a, b) a##b
#define GRETA_CONCAT(a, b) GRETA_CONCAT_(a, b)

// TRY(expr);              returns the error of a Result<…> from the enclosing function
// TRY_ASSIGN(auto x, expr);  the same, else binds its value
#define TRY(...)                                                                       \
  do {                                                                                 \
    auto&& greta_try_result = (__VA_ARGS__);                                           \
    if (!greta_try_result) return tl::unexpected(std::move(greta_try_result.error())); \
  } while (false)
#define TRY_ASSIGN(lhs, ...)                                                      \
  auto&& GRETA_CONCAT(greta_try_, __LINE__) = (__VA_ARGS__);                      \
  if (!GRETA_CONCAT(greta_try_, __LINE__))                                        \
    return tl::unexpected(std::move(GRETA_CONCAT(greta_try_, __LINE__).error())); \
  lhs = std::move(*GRETA_CONCAT(greta_try_, __LINE__))
