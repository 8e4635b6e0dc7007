#pragma once
// One JSONL record under construction: a flat writer without an object tree, because traces write
// many thousands of lines. Field order is the order of the calls, so that equal runs give equal
// bytes.
//
// Reals are written in the shortest form that reads back bit for bit. JSON has no NaN or infinity;
// they are written as the strings "NaN", "Infinity", "-Infinity", never as null, so that nothing is
// lost. 64-bit hashes are strings of 16 hex digits.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace greta {

struct Hash64 {
  uint64_t value = 0;
  bool operator==(const Hash64&) const = default;
  std::string hex() const;
};

class JsonLine {
 public:
  JsonLine() { text_ = "{"; }
  JsonLine& field(std::string_view name, std::string_view value);
  JsonLine& field(std::string_view name, const std::string& value) {
    return field(name, std::string_view(value));
  }
  JsonLine& field(std::string_view name, const char* value) {
    return field(name, std::string_view(value));
  }
  JsonLine& field(std::string_view name, bool value);
  JsonLine& field(std::string_view name, int64_t value);
  JsonLine& field(std::string_view name, double value);
  JsonLine& field(std::string_view name, Hash64 value);
  JsonLine& field(std::string_view name, const std::vector<int64_t>& values);
  JsonLine& field(std::string_view name, const std::vector<double>& values);
  JsonLine& field(std::string_view name, const std::vector<std::string>& values);
  // The finished line, newline included. The writer is spent.
  std::string finish() &&;

 private:
  void key(std::string_view name);
  void string(std::string_view value);
  void real(double value);
  std::string text_;
};

}  // namespace greta
