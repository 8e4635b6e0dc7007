#include "tables/typed_tables_types.h"

#include <array>
#include <set>
#include <string>

namespace greta::store {
namespace {

constexpr std::array<std::string_view, 8> kTypeNames = {"text", "integer", "real",   "boolean",
                                                        "hash", "list",    "number", "json"};
constexpr int64_t kExactInDouble = int64_t{1} << 53;

bool is_nonfinite_text(std::string_view text) {
  return text == "NaN" || text == "Infinity" || text == "-Infinity";
}

bool is_hash_name(std::string_view field) {
  return field == "hash" || field.ends_with("_hash") || field.starts_with("hash_");
}

}  // namespace

std::string_view to_string(ColumnType type) { return kTypeNames[static_cast<size_t>(type)]; }

std::string_view declared_type(ColumnType type) {
  switch (type) {
    case ColumnType::integer:
      return " INTEGER";
    case ColumnType::real:
      return " REAL";
    case ColumnType::boolean:
      return " BOOLEAN";
    case ColumnType::number:
      return "";
    default:
      return " TEXT";
  }
}

bool fits(ColumnType column, const LineField& value) {
  switch (column) {
    case ColumnType::text:
      return value.type == ValueType::text;
    case ColumnType::integer:
      return value.type == ValueType::integer;
    case ColumnType::real:
      if (value.type == ValueType::integer)
        return value.integer >= -kExactInDouble && value.integer <= kExactInDouble;
      [[fallthrough]];
    case ColumnType::number:
      return value.type == ValueType::real || value.type == ValueType::nonfinite ||
             value.type == ValueType::integer ||
             (value.type == ValueType::text && is_nonfinite_text(value.text));
    case ColumnType::boolean:
      return value.type == ValueType::boolean;
    case ColumnType::hash:
      return value.type == ValueType::text || value.type == ValueType::integer ||
             value.type == ValueType::big_integer;
    case ColumnType::list:
      return value.type == ValueType::json && value.text.starts_with('[');
    case ColumnType::json:
      return value.type == ValueType::json;
  }
  return false;
}

ColumnType type_of_new_field(const LineField& value) {
  switch (value.type) {
    case ValueType::text:
      if (is_nonfinite_text(value.text)) return ColumnType::number;
      return is_hash_name(value.key) ? ColumnType::hash : ColumnType::text;
    case ValueType::integer:
    case ValueType::big_integer:
      return is_hash_name(value.key) ? ColumnType::hash : ColumnType::number;
    case ValueType::boolean:
      return ColumnType::boolean;
    case ValueType::json:
      return ColumnType::json;
    default:
      return ColumnType::number;
  }
}

ColumnType type_of_misfit(const LineField& value) {
  switch (value.type) {
    case ValueType::integer:
      return ColumnType::integer;
    case ValueType::real:
      return ColumnType::real;
    case ValueType::nonfinite:
      return ColumnType::number;
    case ValueType::boolean:
      return ColumnType::boolean;
    case ValueType::json:
      return ColumnType::json;
    default:
      return ColumnType::text;
  }
}

FieldRole role_by_name(std::string_view field, ColumnType type) {
  static const std::set<std::string, std::less<>> keys = [] {
    std::set<std::string, std::less<>> out;
    for (const greta::Kind& kind : builtin_schema().kinds)
      for (const Field& f : kind.fields)
        if (f.role == FieldRole::key) out.insert(f.name);
    return out;
  }();
  if (keys.contains(field)) return FieldRole::key;
  if (field.ends_with("_ptr") || field.ends_with("_addr")) return FieldRole::address;
  return type == ColumnType::hash ? FieldRole::hash : FieldRole::value;
}

}  // namespace greta::store
