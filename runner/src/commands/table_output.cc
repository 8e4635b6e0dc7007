#include "commands/table_output.h"
#include "system/json.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <set>

namespace greta::runner {
namespace {

using store::Value;
bool is_number(const Value& value) {
  return value.type == Value::Type::integer || value.type == Value::Type::real;
}

// One line, nothing that a terminal would obey.
std::string one_line(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      std::array<char, 8> escaped{};
      std::snprintf(escaped.data(), escaped.size(), "\\x%02x", byte);
      out += escaped.data();
    } else {
      out += c;
    }
  }
  return out;
}

// Code points, as a terminal shows most of them.
size_t width(std::string_view text) {
  size_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xc0) != 0x80 ? 1 : 0;
  return count;
}

// Where a table for people ends a text: what is longer would push every other row out of sight.
constexpr size_t kMostShown = 200, kShortened = 160;

// The first bytes of so many code points.
size_t bytes_of(std::string_view text, size_t code_points) {
  size_t at = 0;
  for (size_t count = 0; at < text.size(); ++at)
    if ((static_cast<unsigned char>(text[at]) & 0xc0) != 0x80 && ++count > code_points) break;
  return at;
}

std::string for_a_cell(const std::string& text) {
  const size_t length = width(text);
  if (length <= kMostShown) return one_line(text);
  return one_line(std::string_view(text).substr(0, bytes_of(text, kShortened))) + "… (" +
         std::to_string(length) + " characters)";
}

// Aligned columns need all rows before the first is written.
class TextWriter : public TableWriter {
 public:
  explicit TextWriter(Write write) : write_(std::move(write)) {}
  bool columns(const std::vector<std::string>& names) override {
    for (const std::string& name : names) header_.push_back(for_a_cell(name));
    return true;
  }
  bool row(const std::vector<Value>& values) override {
    std::vector<std::string> cells;
    for (size_t i = 0; i < values.size(); ++i) {
      cells.push_back(for_a_cell(to_text(values[i])));
      if (!is_number(values[i]) && values[i].type != Value::Type::null) texts_.insert(i);
    }
    rows_.push_back(std::move(cells));
    return true;
  }
  bool finish() override {
    std::vector<size_t> widths;
    for (size_t i = 0; i < header_.size(); ++i) {
      widths.push_back(width(header_[i]));
      for (const auto& cells : rows_) widths[i] = std::max(widths[i], width(cells[i]));
    }
    if (!line(header_, widths)) return false;
    std::vector<std::string> rule;
    for (const size_t w : widths) {
      rule.emplace_back();
      for (size_t i = 0; i < w; ++i) rule.back() += "─";
    }
    if (!line(rule, widths)) return false;
    for (const auto& cells : rows_)
      if (!line(cells, widths)) return false;
    return true;
  }

 private:
  bool line(const std::vector<std::string>& cells, const std::vector<size_t>& widths) {
    std::string out;
    for (size_t i = 0; i < cells.size(); ++i) {
      const std::string pad(widths[i] - width(cells[i]), ' ');
      out += (i == 0 ? "" : "  ") + (texts_.contains(i) ? cells[i] + pad : pad + cells[i]);
    }
    out.erase(out.find_last_not_of(' ') + 1);
    return write_(out + "\n");
  }

  Write write_;
  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
  std::set<size_t> texts_;  // columns with a text in them: aligned left
};

class CsvWriter : public TableWriter {
 public:
  explicit CsvWriter(Write write) : write_(std::move(write)) {}
  bool columns(const std::vector<std::string>& names) override {
    std::string out;
    for (const std::string& name : names) out += (out.empty() ? "" : ",") + quoted(name);
    return write_(out + "\n");
  }
  bool row(const std::vector<Value>& values) override {
    std::string out;
    for (size_t i = 0; i < values.size(); ++i) {
      if (i > 0) out += ',';
      if (values[i].type != Value::Type::null) out += quoted(to_text(values[i]));
    }
    return write_(out + "\n");
  }
  bool finish() override { return true; }

 private:
  static std::string quoted(const std::string& text) {
    if (!text.empty() && text.find_first_of(",\"\n") == std::string::npos) return text;
    std::string out = "\"";
    for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
    return out + '"';
  }
  Write write_;
};

class MarkdownWriter : public TableWriter {
 public:
  explicit MarkdownWriter(Write write) : write_(std::move(write)) {}
  bool columns(const std::vector<std::string>& names) override {
    std::string head = "|", rule = "|";
    for (const std::string& name : names) {
      head += " " + escaped(name) + " |";
      rule += " --- |";
    }
    return write_(head + "\n" + rule + "\n");
  }
  bool row(const std::vector<Value>& values) override {
    std::string out = "|";
    for (const Value& value : values) out += " " + escaped(to_text(value)) + " |";
    return write_(out + "\n");
  }
  bool finish() override { return true; }

 private:
  static std::string escaped(const std::string& text) {
    std::string out;
    for (const char c : one_line(text)) out += c == '|' ? std::string("\\|") : std::string(1, c);
    return out;
  }
  Write write_;
};

class JsonWriter : public TableWriter {
 public:
  JsonWriter(Write write, TableFormat format)
      : write_(std::move(write)), list_(format == TableFormat::json) {}
  bool columns(const std::vector<std::string>& names) override {
    std::set<std::string> taken;
    for (const std::string& name : names) {  // an object has a key only once
      std::string key = name;
      for (int n = 2; !taken.insert(key).second; ++n) key = name + "_" + std::to_string(n);
      keys_.push_back(key);
    }
    return !list_ || write_("[");
  }
  bool row(const std::vector<Value>& values) override {
    std::string out = list_ ? (first_ ? "\n  {" : ",\n  {") : "{";
    for (size_t i = 0; i < values.size(); ++i) {
      out += (i == 0 ? "" : ", ") + dump(Json(keys_[i])) + ": " + json_of(values[i]);
    }
    first_ = false;
    return write_(out + (list_ ? "}" : "}\n"));
  }
  bool finish() override { return !list_ || write_(first_ ? "]\n" : "\n]\n"); }

 private:
  static std::string dump(const Json& value) {
    return value.dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  static std::string json_of(const Value& value) {
    if (value.type == Value::Type::null) return "null";
    if (value.type == Value::Type::integer) return std::to_string(value.integer);
    if (value.type == Value::Type::real && std::isfinite(value.real)) return to_text(value);
    return dump(Json(to_text(value)));
  }
  Write write_;
  bool list_;
  bool first_ = true;
  std::vector<std::string> keys_;
};

}  // namespace

store::RowSink TableWriter::sink() {
  return {.columns = [this](const std::vector<std::string>& names) { return columns(names); },
          .row = [this](const std::vector<Value>& values) { return row(values); }};
}

std::unique_ptr<TableWriter> table_writer(TableFormat format, Write write) {
  switch (format) {
    case TableFormat::csv:
      return std::make_unique<CsvWriter>(std::move(write));
    case TableFormat::markdown:
      return std::make_unique<MarkdownWriter>(std::move(write));
    case TableFormat::json:
    case TableFormat::jsonl:
      return std::make_unique<JsonWriter>(std::move(write), format);
    case TableFormat::text:
      break;
  }
  return std::make_unique<TextWriter>(std::move(write));
}

std::string to_text(const Value& value) {
  switch (value.type) {
    case Value::Type::integer:
      return std::to_string(value.integer);
    case Value::Type::real: {
      if (std::isinf(value.real)) return value.real < 0 ? "-Infinity" : "Infinity";
      std::array<char, 40> text{};
      const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value.real);
      return {text.data(), end};
    }
    case Value::Type::blob: {
      std::string out;
      for (const char c : value.text) {
        constexpr std::string_view kDigits = "0123456789abcdef";
        out += kDigits[static_cast<unsigned char>(c) >> 4];
        out += kDigits[static_cast<unsigned char>(c) & 15];
      }
      return out;
    }
    case Value::Type::text:
      return value.text;
    case Value::Type::null:
      break;
  }
  return {};
}

std::string table_text(const store::Table& table, TableFormat format) {
  std::string out;
  const auto writer = table_writer(format, [&](std::string_view part) {
    out += part;
    return true;
  });
  writer->columns(table.columns);
  for (const auto& row : table.rows) writer->row(row);
  writer->finish();
  return out;
}

// A reader that has had enough (head) must not kill us with a signal: the write fails instead.
StandardOutput::StandardOutput() { std::signal(SIGPIPE, SIG_IGN); }

bool StandardOutput::check(bool good) {
  if (!good && errno != EPIPE) failed_ = true;
  return good;
}

bool StandardOutput::write(std::string_view bytes) {
  return check(std::fwrite(bytes.data(), 1, bytes.size(), stdout) == bytes.size());
}

bool StandardOutput::flush() { return check(std::fflush(stdout) == 0); }

}  // namespace greta::runner
