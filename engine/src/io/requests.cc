#include "io/requests.h"

#include <charconv>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "contract/text.h"
#include "tokenizer/unicode.h"

namespace greta::engine {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxIdBytes = 200;
constexpr int64_t kMaxTokens = int64_t{1} << 30;
const std::vector<std::string> kKeys = {"id", "text", "tokens", "max_tokens"};

class LineReader {
 public:
  LineReader(const std::string& name, int line, int64_t vocabulary)
      : name_(name), line_(line), vocabulary_(vocabulary) {}

  Result<Prompt> read(std::string_view text) const {
    if (const size_t bad = find_invalid_utf8(text); bad != std::string_view::npos) {
      return error("these bytes are no UTF-8", static_cast<int>(bad) + 1);
    }
    TRY_ASSIGN(const Json object, parse(text));
    if (!object.is_object()) return error("a request is a JSON object");
    for (const auto& [key, value] : object.items()) {
      if (std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end()) {
        return error("unknown key `" + printable(key) + "`" + did_you_mean(key, kKeys));
      }
    }
    Prompt prompt;
    TRY_ASSIGN(prompt.id, read_id(object));
    const bool has_text = object.contains("text"), has_tokens = object.contains("tokens");
    if (has_text == has_tokens) {
      return error(std::string("request `") + printable(prompt.id) + "` has " +
                   (has_text ? "both" : "neither") + " of `text` and `tokens`; give one");
    }
    if (has_text) {
      if (!object["text"].is_string()) return error("`text` is not a string");
      prompt.text = object["text"].get<std::string>();
    } else {
      TRY_ASSIGN(prompt.token_ids, read_tokens(object["tokens"]));
    }
    if (object.contains("max_tokens")) {
      const Json& value = object["max_tokens"];
      if (!value.is_number_integer() || value.get<int64_t>() < 0 ||
          value.get<int64_t>() > kMaxTokens) {
        return error("`max_tokens` is " + printable(value.dump()) + ", no whole number from 0 to " +
                     std::to_string(kMaxTokens));
      }
      prompt.max_tokens = value.get<int64_t>();
    }
    return prompt;
  }

  tl::unexpected<Error> error(const std::string& what, int column = 0) const {
    return tl::unexpected<Error>(Error{.message = what,
                                       .file = name_,
                                       .line = line_,
                                       .column = column,
                                       .exit_code = static_cast<int>(EngineExit::input)});
  }

 private:
  static int byte_of(const Json::exception& e) {
    const auto* syntax = dynamic_cast<const Json::parse_error*>(&e);
    return syntax == nullptr ? 0 : static_cast<int>(syntax->byte);
  }

  // nlohmann's exceptions end here; it would keep the last of two equal keys without a word.
  Result<Json> parse(std::string_view text) const {
    std::set<std::string> keys;
    std::string repeated;
    const auto watch = [&](int depth, Json::parse_event_t event, Json& value) {
      if (event == Json::parse_event_t::key && depth == 1) {
        const auto key = value.get<std::string>();
        if (!keys.insert(key).second) repeated = key;
      }
      return true;
    };
    try {
      Json object = Json::parse(text, watch);
      if (!repeated.empty())
        return error("the key `" + printable(repeated) + "` stands there twice");
      return object;
    } catch (const Json::exception& e) {  // no JSON, or a number that no double holds
      std::string what = e.what();
      // Without nlohmann's own prefix and count of lines, which sees one line only.
      for (const char* start : {"] ", "syntax error"}) {
        const size_t place = what.find(start);
        if (place != std::string::npos) what = what.substr(place + (*start == ']' ? 2 : 0));
      }
      return error("no JSON: " + printable(what, 160), byte_of(e));
    }
  }

  Result<std::string> read_id(const Json& object) const {
    if (!object.contains("id")) return error("the request has no `id`");
    if (!object["id"].is_string()) return error("`id` is not a string");
    auto id = object["id"].get<std::string>();
    if (id.empty() || id.size() > kMaxIdBytes) {
      return error("`id` has " + std::to_string(id.size()) + " bytes; 1 to " +
                   std::to_string(kMaxIdBytes) + " are allowed");
    }
    return id;
  }

  Result<std::optional<std::vector<int32_t>>> read_tokens(const Json& array) const {
    if (!array.is_array() || array.empty())
      return error("`tokens` is not a list of at least one id");
    std::vector<int32_t> ids;
    for (const Json& value : array) {
      if (!value.is_number_integer() || value.get<int64_t>() < 0 ||
          value.get<int64_t>() >= vocabulary_) {
        return error("`tokens[" + std::to_string(ids.size()) + "]` is " + printable(value.dump()) +
                     ", no id of the vocabulary (0 to " + std::to_string(vocabulary_ - 1) + ")");
      }
      ids.push_back(value.get<int32_t>());
    }
    return std::optional(std::move(ids));
  }

  const std::string& name_;
  int line_;
  int64_t vocabulary_;
};

}  // namespace

Result<std::vector<Prompt>> parse_requests(std::string_view text, const std::string& name,
                                           int64_t vocabulary) {
  std::vector<Prompt> prompts;
  std::map<std::string, int> line_of;
  int line = 0;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view content = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const LineReader reader(name, ++line, vocabulary);
    if (content.find_first_not_of(" \t\r") == std::string_view::npos) {
      return reader.error("the line is empty; every line is one request");
    }
    TRY_ASSIGN(auto prompt, reader.read(content));
    if (const auto [first, is_new] = line_of.emplace(prompt.id, line); !is_new) {
      return reader.error("the id `" + printable(prompt.id) + "` stands on line " +
                          std::to_string(first->second) + " already");
    }
    prompts.push_back(std::move(prompt));
  }
  if (prompts.empty()) return LineReader(name, 0, vocabulary).error("the file holds no request");
  return prompts;
}

Result<std::vector<int32_t>> parse_token_ids(std::string_view text, const std::string& name,
                                             int64_t vocabulary) {
  const LineReader reader(name, 0, vocabulary);
  const auto trim = [](std::string_view part) {
    const size_t first = part.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos) return std::string_view();
    return part.substr(first, part.find_last_not_of(" \t\r\n") - first + 1);
  };
  text = trim(text);
  if (text.starts_with('[') && text.ends_with(']') && text.size() >= 2) {
    text = trim(text.substr(1, text.size() - 2));
  }
  std::vector<int32_t> ids;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of(", \t\r\n"), text.size());
    int64_t id = 0;
    const auto [stop, code] = std::from_chars(text.data(), text.data() + end, id);
    if (code != std::errc() || stop != text.data() + end || id < 0 || id >= vocabulary) {
      return reader.error("token " + std::to_string(ids.size() + 1) + " is `" +
                          printable(text.substr(0, end)) + "`, no id of the vocabulary (0 to " +
                          std::to_string(vocabulary - 1) + ")");
    }
    ids.push_back(static_cast<int32_t>(id));
    text = trim(text.substr(end));
    if (text.starts_with(',')) text = trim(text.substr(1));
  }
  if (ids.empty()) return reader.error("the file holds no token id");
  return ids;
}

}  // namespace greta::engine
