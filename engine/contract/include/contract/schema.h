#pragma once
// The description of record kinds and their fields: one owner (records.json), many readers (the
// writer structs, `describe`, the store's typed tables, the reference page). An engine that is not
// ours may describe kinds of its own in the same form.

#include "contract/result.h"

#include <string>
#include <string_view>
#include <vector>

namespace greta {

enum class FieldType { text, integer, real, boolean, hash, list };

// What a field is for; a diff treats each role in its own way.
enum class FieldRole {
  key,      // identifies the record within its request
  value,    // a result, compared with a tolerance
  hash,     // a digest of a result: equal or not
  context,  // what produced the result (route, kernel id): compared as a confounder
  address,  // differs from process to process: never compared
  timing,   // seconds, tokens per second: noise by nature
};

struct Field {
  std::string name;
  FieldType type = FieldType::text;
  FieldRole role = FieldRole::value;
  bool optional = false;  // may be absent from a record
  std::string unit;
  std::string doc;
};

struct Kind {
  std::string name;  // the record's `event`
  std::string doc;
  std::vector<Field> fields;
  const Field* find(std::string_view field) const;
};

struct Schema {
  int version = 0;
  std::vector<Kind> kinds;
  const Kind* find(std::string_view kind) const;
};

// The version that this tree was built with, and the text of its records.json.
const Schema& builtin_schema();
std::string_view builtin_schema_text();

// Reads the form of records.json (also `records` of an engine's description). Unknown types, roles,
// duplicate names or missing parts are errors.
Result<Schema> parse_schema(std::string_view json_text);

std::string_view to_string(FieldType type);
std::string_view to_string(FieldRole role);

}  // namespace greta
