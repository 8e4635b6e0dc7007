#include "tables/ingest_line.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace greta::store {
namespace {

constexpr std::string_view kSpace = " \t\r\n";
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool ends_token(char c) {
  return is_space(c) || c == ',' || c == ':' || c == '{' || c == '}' || c == '[' || c == ']' ||
         c == '"';
}

// The grammar of a JSON number, without a limit on its size.
bool is_number(std::string_view token) {
  size_t i = 0;
  const auto digits = [&] {
    const size_t start = i;
    while (i < token.size() && is_digit(token[i])) ++i;
    return i > start;
  };
  if (i < token.size() && token[i] == '-') ++i;
  if (i < token.size() && token[i] == '0') {
    ++i;
  } else if (!digits()) {
    return false;
  }
  if (i < token.size() && token[i] == '.') {
    ++i;
    if (!digits()) return false;
  }
  if (i < token.size() && (token[i] == 'e' || token[i] == 'E')) {
    ++i;
    if (i < token.size() && (token[i] == '+' || token[i] == '-')) ++i;
    if (!digits()) return false;
  }
  return i == token.size();
}

// One past the closing quote of the string that opens at `begin`; npos when it does not close.
size_t string_end(std::string_view text, size_t begin) {
  for (size_t i = begin + 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      return i + 1;
    }
  }
  return std::string_view::npos;
}

size_t token_end(std::string_view text, size_t begin) {
  size_t i = begin;
  while (i < text.size() && !ends_token(text[i])) ++i;
  return i;
}

// One past an object or array of a line that is known to be well formed.
size_t nested_end(std::string_view text, size_t begin) {
  int depth = 0;
  for (size_t i = begin; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') {
      i = string_end(text, i) - 1;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if ((c == '}' || c == ']') && --depth == 0) {
      return i + 1;
    }
  }
  return text.size();
}

void read_number(std::string_view token, LineField& field) {
  const char* end = token.data() + token.size();
  field.text = token;
  const bool whole = token.find_first_of(".eE") == std::string_view::npos;
  if (whole && token != "-0") {
    const auto [at, error] = std::from_chars(token.data(), end, field.integer);
    field.type = error == std::errc() && at == end ? ValueType::integer : ValueType::big_integer;
    field.real = static_cast<double>(field.integer);
    return;
  }
  const auto [at, error] = std::from_chars(token.data(), end, field.real);
  field.type = error == std::errc() && at == end ? ValueType::real : ValueType::big_real;
}

}  // namespace

std::string_view to_string(LineState state) {
  constexpr std::array<std::string_view, 6> kNames = {"ok",    "duplicate_keys", "nonstandard",
                                                      "blank", "torn",           "invalid"};
  return kNames[static_cast<size_t>(state)];
}

std::string_view nonfinite_name(std::string_view token) {
  const bool negative = !token.empty() && token[0] == '-';
  if (negative || (!token.empty() && token[0] == '+')) token.remove_prefix(1);
  if (token.empty() || is_digit(token[0])) return {};  // nearly always
  std::string lower(token.substr(0, 9));
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (token.size() > 8) return {};
  if (lower == "nan") return "NaN";
  if (lower == "inf" || lower == "infinity") return negative ? "-Infinity" : "Infinity";
  return {};
}

LineNames names_of(std::span<const LineField> fields) {
  constexpr std::string_view kEvent = "event", kRequest = "request";
  LineNames names;
  for (const LineField& field : fields) {
    const char* const key = field.key.data();
    if (field.key.size() == kEvent.size() && std::memcmp(key, kEvent.data(), kEvent.size()) == 0) {
      names.event = field.type == ValueType::text ? field.text : std::string_view();
    } else if (field.key.size() == kRequest.size() &&
               std::memcmp(key, kRequest.data(), kRequest.size()) == 0) {
      const bool names_one = field.type == ValueType::text || field.type == ValueType::integer;
      names.request = names_one ? field.text : std::string_view();
    }
  }
  return names;
}

const size_t LineParser::kPadding = simdjson::SIMDJSON_PADDING;

// Bytes that may stand in a text as they are, without a look at their neighbours.
constexpr std::array<bool, 256> kPlain = [] {
  std::array<bool, 256> plain{};
  for (size_t c = 0x20; c < 0x80; ++c) plain[c] = c != '"' && c != '\\';
  return plain;
}();

const char* past_plain(const char* p) {
  while (kPlain[static_cast<unsigned char>(*p)]) ++p;
  return p;
}

const char* past_spaces(const char* p) {
  while (*p == ' ') ++p;
  return p;
}

struct LineParser::State {
  simdjson::dom::parser parser;
  std::vector<std::string> keys;  // of the last flat line, each with its quotes, colon and spaces
  bool keys_of_last = false;      // the last line was flat
  bool same_keys = false;

  // Most lines that engines print: one flat object of plain ASCII texts, numbers and literals.
  // Reads it in one pass and says true; anything else is left to simdjson. The padding behind the
  // line ends every loop.
  bool parse_flat(std::string_view line, std::vector<LineField>& fields) {
    const char* p = line.data();
    const char* const end = p + line.size();
    if (*p++ != '{') return false;
    size_t number = 0;
    bool same = keys_of_last;
    for (p = past_spaces(p);; ++number) {
      if (*p != '"') return false;
      std::string_view key;
      if (number < keys.size() && static_cast<size_t>(end - p) > keys[number].size() &&
          std::memcmp(p, keys[number].data(), keys[number].size()) == 0) {
        key = {p + 1, keys[number].rfind('"') - 1};
        p += keys[number].size();
      } else {
        const char* const begin = p;
        p = past_plain(p + 1);
        key = {begin + 1, static_cast<size_t>(p - begin - 1)};
        if (p[0] != '"' || p[1] != ':') return false;
        p = past_spaces(p + 2);
        if (number == keys.size()) keys.emplace_back();
        keys[number].assign(begin, p);
        same = false;
      }
      LineField& field = fields.emplace_back();
      field.key = key;
      p = flat_value(p, field);
      if (p == nullptr) return false;
      p = past_spaces(p);
      if (*p == '}') break;
      if (*p != ',') return false;
      p = past_spaces(p + 1);
    }
    ++p;
    while (p < end && is_space(*p)) ++p;
    if (p != end) return false;
    same_keys = same && number + 1 == keys.size();
    keys.resize(number + 1);
    return true;
  }

  // One past the value, null where it is no simple one.
  static const char* flat_value(const char* p, LineField& field) {
    const char* const begin = p;
    if (*p == '"') {
      p = past_plain(p + 1);
      if (*p != '"') return nullptr;
      field.type = ValueType::text;
      field.text = {begin + 1, static_cast<size_t>(p - begin - 1)};
      return p + 1;
    }
    if (*p == '-' || is_digit(*p)) {
      const bool negative = *p == '-';
      if (negative) ++p;
      const char* const digits = p;
      int64_t value = 0;
      while (is_digit(*p) && p - digits < 18) value = 10 * value + (*p++ - '0');
      const bool leading_zero = *digits == '0' && p - digits > 1;
      if (p == digits || leading_zero) return nullptr;
      if (!ends_token(*p) || (negative && value == 0)) {
        while (!ends_token(*p) && kPlain[static_cast<unsigned char>(*p)]) ++p;
        const std::string_view token(begin, static_cast<size_t>(p - begin));
        if (!is_number(token)) return nullptr;
        read_number(token, field);
        return p;
      }
      field.type = ValueType::integer;
      field.text = {begin, static_cast<size_t>(p - begin)};
      field.integer = negative ? -value : value;
      field.real = static_cast<double>(field.integer);
      return p;
    }
    for (const std::string_view literal : {"true", "false", "null"}) {
      if (std::memcmp(p, literal.data(), literal.size()) != 0) continue;
      p += literal.size();
      if (!ends_token(*p)) return nullptr;
      if (literal == "null") return p;
      field.type = ValueType::boolean;
      field.integer = literal == "true" ? 1 : 0;
      field.text = {begin, literal.size()};
      return p;
    }
    return nullptr;
  }
  std::string plain;  // the line with unusual tokens replaced by 0

  bool is_json_object(const char* text, size_t size) {
    simdjson::dom::element root;
    if (parser.parse(text, size, false).get(root) != simdjson::SUCCESS) return false;
    return root.is_object();
  }

  // The line with every bare nan, inf and over-large number replaced, so that simdjson can judge
  // the rest. `nonstandard` is set when a bare nan or inf was there.
  bool is_lenient_object(std::string_view line, bool& nonstandard) {
    plain.clear();
    for (size_t i = 0; i < line.size();) {
      const char c = line[i];
      if (c == '"') {
        const size_t end = string_end(line, i);
        if (end == std::string_view::npos || end > line.size()) return false;
        plain.append(line.substr(i, end - i));
        i = end;
      } else if (ends_token(c)) {
        plain += c;
        ++i;
      } else {
        const size_t end = token_end(line, i);
        const std::string_view token = line.substr(i, end - i);
        const bool special = !nonfinite_name(token).empty();
        nonstandard |= special;
        plain.append(special || is_number(token) ? std::string_view("0") : token);
        i = end;
      }
    }
    const size_t size = plain.size();
    plain.append(kPadding, ' ');
    return is_json_object(plain.data(), size);
  }

  // The text of a string token, escapes resolved. simdjson has accepted it, so it decodes.
  static std::string_view decode(std::string_view token, LineValues& values) {
    if (token.find('\\') == std::string_view::npos) return token.substr(1, token.size() - 2);
    simdjson::dom::element element;
    std::string_view text;
    const simdjson::padded_string padded(token);
    simdjson::dom::parser own;  // the line's parser still holds the line
    if (own.parse(padded).get(element) != simdjson::SUCCESS ||
        element.get_string().get(text) != simdjson::SUCCESS)
      return token;
    return values.decoded.emplace_back(text);
  }
};

LineParser::LineParser() : state_(std::make_unique<State>()) {}
LineParser::~LineParser() = default;

bool LineParser::same_keys() const { return state_->same_keys; }

LineState LineParser::parse(std::string_view line, LineValues& values) {
  const size_t fields_before = values.fields.size();
  state_->same_keys = false;
  if (state_->parse_flat(line, values.fields)) {
    state_->keys_of_last = true;
    return LineState::ok;
  }
  state_->keys_of_last = state_->same_keys = false;
  values.fields.resize(fields_before);
  bool nonstandard = false;
  if (line.starts_with(kByteOrderMark)) {
    line.remove_prefix(kByteOrderMark.size());
    nonstandard = true;
  }
  const size_t first = line.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return LineState::blank;
  if (line[first] != '{') return LineState::invalid;
  if (!state_->is_json_object(line.data(), line.size()) &&
      !state_->is_lenient_object(line, nonstandard))
    return LineState::invalid;

  // Known to be an object from here on: only its top level is walked.
  size_t i = first + 1;
  const auto skip_space = [&] {
    while (i < line.size() && is_space(line[i])) ++i;
  };
  for (skip_space(); i < line.size() && line[i] != '}';) {
    const size_t key_end = string_end(line, i);
    LineField& field = values.fields.emplace_back();
    field.key = State::decode(line.substr(i, key_end - i), values);
    i = key_end;
    skip_space();
    ++i;  // the colon
    skip_space();
    const char c = line[i];
    size_t end = 0;
    if (c == '"') {
      end = string_end(line, i);
      field.type = ValueType::text;
      field.text = State::decode(line.substr(i, end - i), values);
    } else if (c == '{' || c == '[') {
      end = nested_end(line, i);
      field.type = ValueType::json;
      field.text = line.substr(i, end - i);
    } else {
      end = token_end(line, i);
      const std::string_view token = line.substr(i, end - i);
      if (token == "true" || token == "false") {
        field.type = ValueType::boolean;
        field.integer = token == "true" ? 1 : 0;
        field.text = token;
      } else if (token == "null") {
        field.type = ValueType::null;
      } else if (const std::string_view name = nonfinite_name(token); !name.empty()) {
        field.type = ValueType::nonfinite;
        field.text = name;
      } else {
        read_number(token, field);
      }
    }
    i = end;
    skip_space();
    if (i < line.size() && line[i] == ',') {
      ++i;
      skip_space();
    }
  }
  return nonstandard ? LineState::nonstandard : LineState::ok;
}

}  // namespace greta::store
