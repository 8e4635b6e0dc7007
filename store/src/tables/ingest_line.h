#pragma once
// One JSONL line taken apart: the top-level fields in order, each with its value as written.
// simdjson judges whether the line is JSON (grammar, UTF-8, depth ≤ 1024); what it accepts is then
// cut into fields without changing a byte of the values.
//
// Wider than JSON on purpose, because engines print with printf and with Python: bare nan, inf and
// infinity (any case, with a sign) as values, a byte order mark before the first line, and numbers
// too large for 64 bits or for a double. The first two make the line `nonstandard`.

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace greta::store {

enum class LineState {  // the numbers are those of span.state
  ok = 0,
  duplicate_keys = 1,  // one key twice in the object: the last wins
  nonstandard = 2,     // see above
  blank = 3,           // white space only
  torn = 4,            // the last line of a file, without its newline, and no whole object
  invalid = 5,         // no JSON object
};
std::string_view to_string(LineState state);

enum class ValueType {
  null,
  text,
  integer,      // fits int64
  big_integer,  // does not
  real,         // a finite double
  big_real,     // beyond the range of a double, either way
  nonfinite,    // bare nan or inf; `text` is "NaN", "Infinity" or "-Infinity"
  boolean,
  json,  // object or array
};

struct LineField {
  std::string_view key;
  ValueType type = ValueType::null;
  std::string_view text;  // the value: a text decoded, anything else as written
  int64_t integer = 0;    // integer, boolean
  double real = 0;        // real; integers too
};

// What a line says of itself: the values of `event` (a text) and `request` (a text or a whole
// number); of equal keys the last counts. "" where it says nothing of the kind.
struct LineNames {
  std::string_view event, request;
};
LineNames names_of(std::span<const LineField> fields);

// The fields of some lines, one line's behind the other's. Valid as long as the lines are.
struct LineValues {
  std::vector<LineField> fields;
  std::deque<std::string> decoded;  // texts that had escapes; their addresses must not move
  void clear() {
    fields.clear();
    decoded.clear();
  }
};

class LineParser {
 public:
  LineParser();
  ~LineParser();
  // `line` has no newline, and kPadding readable bytes behind its end. Its fields come behind those
  // that are there. Returns ok, nonstandard, blank or invalid (the last two without a field);
  // duplicate keys are for the caller to see.
  LineState parse(std::string_view line, LineValues& values);
  // Whether the line that was parsed last had the keys of the one before, in their order.
  bool same_keys() const;
  static const size_t kPadding;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// "NaN", "Infinity", "-Infinity" for a token that C, C++ or Python print for such a value, else "".
std::string_view nonfinite_name(std::string_view token);

}  // namespace greta::store
