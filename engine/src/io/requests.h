#pragma once
// The request file of `run --requests`: JSON Lines, one request a line, read strictly.
//   {"id":"p4_sys","text":"…","max_tokens":2}      or      {"id":"x","tokens":[1,2,3]}

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "contract/result.h"

namespace greta::engine {

struct Prompt {
  std::string id;                                 // "request" of every record
  std::optional<std::string> text;                // exactly these bytes, or …
  std::optional<std::vector<int32_t>> token_ids;  // … these ids
  std::optional<int64_t> max_tokens;              // else what the command line says
};

// `name` is the file for messages, `vocabulary` the number of tokens. Errors (EngineExit::input)
// name the line: no JSON, no UTF-8, unknown or repeated keys, no or repeated id, neither or both of
// text and tokens, an id outside the vocabulary, an empty file.
Result<std::vector<Prompt>> parse_requests(std::string_view text, const std::string& name,
                                           int64_t vocabulary);

// Token ids separated by white space or commas, in brackets or not.
Result<std::vector<int32_t>> parse_token_ids(std::string_view text, const std::string& name,
                                             int64_t vocabulary);

}  // namespace greta::engine
