#include "text/markdown.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>

namespace greta::store {

namespace {

// Length of the UTF-8 sequence that starts here, 0 when it is none.
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  const uint8_t second = byte(1);  // overlong forms, surrogates, beyond U+10FFFF
  if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
      (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) {
    return 0;
  }
  return length;
}

std::string hex_byte(char c) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  const auto byte = static_cast<uint8_t>(c);
  return {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
}

// An underscore between letters or digits is no markup: attn_out_mae stays readable.
bool inside_word(std::string_view text, size_t at) {
  const auto word = [&](size_t i) {
    return (text[i] >= '0' && text[i] <= '9') ||
           ((text[i] | 0x20) >= 'a' && (text[i] | 0x20) <= 'z');
  };
  return at > 0 && at + 1 < text.size() && word(at - 1) && word(at + 1);
}

// Is text[at] a letter or one of `others`, so that a tag or an entity may begin before it?
bool begins(std::string_view text, size_t at, std::string_view others) {
  if (at >= text.size()) return false;
  const bool letter = (text[at] | 0x20) >= 'a' && (text[at] | 0x20) <= 'z';
  return letter || others.find(text[at]) != std::string_view::npos;
}

enum class Markup { escape, keep };

std::string visible(std::string_view text, Markup markup) {
  const size_t first = text.find_first_not_of(' ');
  const size_t last = text.find_last_not_of(' ');
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    const size_t length = utf8_length(text.substr(i));
    if (length > 1) {
      out += text.substr(i, length);
      i += length;
      continue;
    }
    ++i;
    if (length == 0) {
      out += hex_byte(c);
    } else if (c == '\n') {
      out += "⏎";
    } else if (c == '\t') {
      out += "⇥";
    } else if (c == '\r') {
      out += "␍";
    } else if (c == ' ' && (first == std::string_view::npos || i - 1 < first || i - 1 > last)) {
      out += "␣";
    } else if (static_cast<uint8_t>(c) < 0x20 || c == 0x7f) {
      out += hex_byte(c);
    } else if (markup == Markup::keep) {
      out += c;
    } else if (c == '<' && begins(text, i, "/!?")) {
      out += "&lt;";
    } else if (c == '>' && i == 1) {
      out += "&gt;";
    } else if (c == '&' && begins(text, i, "#")) {
      out += "&amp;";
    } else if (std::string_view("|\\`*[]~").find(c) != std::string_view::npos) {
      out += '\\';
      out += c;
    } else if (c == '_' && !inside_word(text, i - 1)) {
      out += "\\_";
    } else {
      out += c;
    }
  }
  return out;
}

size_t width(std::string_view text) {  // characters, of valid UTF-8
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xc0) != 0x80; }));
}

}  // namespace

std::string number_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  const double size = std::abs(value);
  const auto format = size != 0 && (size < 0.1 || size >= 1e15) ? std::chars_format::scientific
                                                                : std::chars_format::fixed;
  std::array<char, 64> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, format);
  return std::string(buffer.data(), end.ptr);
}

std::string value_text(const Value& value) {
  switch (value.type) {
    case Value::Type::null:
      return "–";
    case Value::Type::integer:
      return std::to_string(value.integer);
    case Value::Type::real:
      return number_text(value.real);
    case Value::Type::text:
    case Value::Type::blob:
      return value.text;
  }
  return "–";
}

std::string escape_markdown(std::string_view text) { return visible(text, Markup::escape); }
std::string visible_text(std::string_view text) { return visible(text, Markup::keep); }

std::string code_span(std::string_view text) {
  size_t longest = 0, run = 0;
  for (const char c : text) {
    run = c == '`' ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  const std::string fence(longest + 1, '`');
  const std::string pad = longest > 0 ? " " : "";
  std::string line(text);
  std::replace(line.begin(), line.end(), '\n', ' ');
  return fence + pad + line + pad + fence;
}

std::string to_markdown(const MarkdownTable& table, TableStyle style) {
  const size_t columns = table.headers.size();
  std::vector<size_t> widths(columns, 0);
  if (style == TableStyle::padded) {
    for (size_t i = 0; i < columns; ++i) widths[i] = std::max<size_t>(4, width(table.headers[i]));
    for (const auto& row : table.rows) {
      for (size_t i = 0; i < columns; ++i) widths[i] = std::max(widths[i], width(row[i]));
    }
  }
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string out = "|";
    for (size_t i = 0; i < columns; ++i) {
      const std::string pad(widths[i] - std::min(widths[i], width(cells[i])), ' ');
      const bool right = table.aligns[i] == Align::right;
      out += " " + (right ? pad + cells[i] : cells[i] + pad) + " |";
    }
    return out + "\n";
  };
  std::string out = line(table.headers) + "|";
  for (size_t i = 0; i < columns; ++i) {
    const bool right = table.aligns[i] == Align::right;
    const std::string dashes(std::max<size_t>(widths[i], right ? 4 : 3) - (right ? 1 : 0), '-');
    out += " " + dashes + (right ? ": |" : " |");
  }
  out += "\n";
  for (const auto& row : table.rows) out += line(row);
  return out;
}

std::string query_command(std::string_view run, std::string_view sql) {
  std::string quoted;
  for (const char c : sql) {
    if (std::string_view("\\\"$`").find(c) != std::string_view::npos) quoted += '\\';
    quoted += c;
  }
  const std::string scope = run.empty() ? "" : "--run " + std::string(run) + " ";
  return "greta query " + scope + "\"" + quoted + "\"";
}

std::string query_note(std::string_view run, std::string_view sql) {
  const std::string command = query_command(run, sql);
  if (command.find('\n') == std::string::npos) return "<sub>" + code_span(command) + "</sub>\n";
  return "~~~sh\n" + command + "\n~~~\n";
}

}  // namespace greta::store
