#include "contract/json_line.h"

#include <charconv>
#include <cmath>
#include <cstdio>

namespace greta {
namespace {

// Length of the valid UTF-8 sequence that starts at text[i], or 0.
size_t utf8_length(std::string_view text, size_t i) {
  const auto byte = [&](size_t k) { return static_cast<unsigned char>(text[k]); };
  const unsigned char lead = byte(i);
  size_t n = 0;
  uint32_t code = 0;
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead < 0xe0)
    n = 2, code = lead & 0x1f;
  else if (lead >= 0xe0 && lead < 0xf0)
    n = 3, code = lead & 0x0f;
  else if (lead >= 0xf0 && lead < 0xf5)
    n = 4, code = lead & 0x07;
  else
    return 0;
  if (i + n > text.size()) return 0;
  for (size_t k = 1; k < n; ++k) {
    if ((byte(i + k) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(i + k) & 0x3f);
  }
  if (n == 3 && (code < 0x800 || (code >= 0xd800 && code < 0xe000))) return 0;
  if (n == 4 && (code < 0x10000 || code > 0x10ffff)) return 0;
  return n;
}

}  // namespace

std::string Hash64::hex() const {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

void JsonLine::key(std::string_view name) {
  if (text_.size() > 1) text_ += ',';
  string(name);
  text_ += ':';
}

void JsonLine::string(std::string_view value) {
  text_ += '"';
  for (size_t i = 0; i < value.size();) {
    const char c = value[i];
    const size_t n = utf8_length(value, i);
    if (c == '"' || c == '\\') {
      text_ += '\\';
      text_ += c;
      ++i;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(c));
      text_ += escaped;
      ++i;
    } else if (n == 0) {  // a token may be half a character; U+FFFD keeps the line valid JSON
      text_ += "\xef\xbf\xbd";
      ++i;
    } else {
      text_ += value.substr(i, n);
      i += n;
    }
  }
  text_ += '"';
}

void JsonLine::real(double value) {
  if (std::isnan(value)) {
    text_ += "\"NaN\"";
  } else if (std::isinf(value)) {
    text_ += value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
  } else {
    char buffer[32];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
    const std::string_view digits(buffer, static_cast<size_t>(end - buffer));
    text_ += digits;
    // "1" and "-0" would be read back as whole numbers, losing the type and the sign of zero.
    if (digits.find_first_of(".e") == std::string_view::npos) text_ += ".0";
  }
}

JsonLine& JsonLine::field(std::string_view name, std::string_view value) {
  key(name);
  string(value);
  return *this;
}
JsonLine& JsonLine::field(std::string_view name, bool value) {
  key(name);
  text_ += value ? "true" : "false";
  return *this;
}
JsonLine& JsonLine::field(std::string_view name, int64_t value) {
  key(name);
  text_ += std::to_string(value);
  return *this;
}
JsonLine& JsonLine::field(std::string_view name, double value) {
  key(name);
  real(value);
  return *this;
}
JsonLine& JsonLine::field(std::string_view name, Hash64 value) { return field(name, value.hex()); }

JsonLine& JsonLine::field(std::string_view name, const std::vector<int64_t>& values) {
  key(name);
  text_ += '[';
  for (size_t i = 0; i < values.size(); ++i) text_ += (i ? "," : "") + std::to_string(values[i]);
  text_ += ']';
  return *this;
}
JsonLine& JsonLine::field(std::string_view name, const std::vector<double>& values) {
  key(name);
  text_ += '[';
  for (size_t i = 0; i < values.size(); ++i) {
    if (i) text_ += ',';
    real(values[i]);
  }
  text_ += ']';
  return *this;
}
JsonLine& JsonLine::field(std::string_view name, const std::vector<std::string>& values) {
  key(name);
  text_ += '[';
  for (size_t i = 0; i < values.size(); ++i) {
    if (i) text_ += ',';
    string(values[i]);
  }
  text_ += ']';
  return *this;
}

std::string JsonLine::finish() && {
  text_ += "}\n";
  return std::move(text_);
}

}  // namespace greta
