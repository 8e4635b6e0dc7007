#include "contract/schema.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>

#include "contract/text.h"
#include "records_json.inc"  // constexpr char kRecordsJson[]: made from records.json at build time

namespace greta {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 6> kTypes = {"text",    "integer", "real",
                                                    "boolean", "hash",    "list"};
constexpr std::array<std::string_view, 6> kRoles = {"key",     "value",   "hash",
                                                    "context", "address", "timing"};

template <size_t N>
int index_of(const std::array<std::string_view, N>& names, std::string_view name) {
  const auto it = std::find(names.begin(), names.end(), name);
  return it == names.end() ? -1 : static_cast<int>(it - names.begin());
}

Error schema_error(const std::string& where, const std::string& what) {
  return Error{.message = "record description: " + where + ": " + what};
}

Result<Field> parse_field(const json& j, const std::string& where) {
  if (!j.is_object() || !j.contains("name") || !j["name"].is_string())
    return tl::unexpected(schema_error(where, "a field needs a `name`"));
  Field field;
  field.name = j["name"];
  const std::string here = where + "." + printable(field.name);
  for (const auto& [key, value] : j.items()) {
    if (key == "optional") {
      if (!value.is_boolean())
        return tl::unexpected(schema_error(here, "`optional` is true or false"));
      field.optional = value;
      continue;
    }
    if (!value.is_string())
      return tl::unexpected(schema_error(here, "`" + printable(key) + "` must be text"));
    const std::string text = value;
    if (key == "name") {
    } else if (key == "type") {
      const int i = index_of(kTypes, text);
      if (i < 0)
        return tl::unexpected(schema_error(here, "unknown type `" + printable(text) + "`"));
      field.type = static_cast<FieldType>(i);
    } else if (key == "role") {
      const int i = index_of(kRoles, text);
      if (i < 0)
        return tl::unexpected(schema_error(here, "unknown role `" + printable(text) + "`"));
      field.role = static_cast<FieldRole>(i);
    } else if (key == "unit") {
      field.unit = text;
    } else if (key == "doc") {
      field.doc = text;
    } else {
      return tl::unexpected(schema_error(here, "unknown key `" + printable(key) + "`"));
    }
  }
  return field;
}

}  // namespace

const Field* Kind::find(std::string_view field) const {
  const auto it =
      std::find_if(fields.begin(), fields.end(), [&](const Field& f) { return f.name == field; });
  return it == fields.end() ? nullptr : &*it;
}

const Kind* Schema::find(std::string_view kind) const {
  const auto it =
      std::find_if(kinds.begin(), kinds.end(), [&](const Kind& k) { return k.name == kind; });
  return it == kinds.end() ? nullptr : &*it;
}

std::string_view builtin_schema_text() { return kRecordsJson; }

const Schema& builtin_schema() {
  static const Schema schema = parse_schema(kRecordsJson).value();
  return schema;
}

Result<Schema> parse_schema(std::string_view text) {
  const json j = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!j.is_object()) return tl::unexpected(schema_error("top level", "not a JSON object"));
  Schema schema;
  if (!j.contains("version") || !j["version"].is_number_integer())
    return tl::unexpected(schema_error("top level", "`version` must be a whole number"));
  schema.version = j["version"];
  if (!j.contains("kinds") || !j["kinds"].is_object())
    return tl::unexpected(schema_error("top level", "`kinds` must be an object"));
  for (const auto& [name, body] : j["kinds"].items()) {
    const std::string where = printable(name);
    if (!body.is_object() || !body.contains("fields") || !body["fields"].is_array())
      return tl::unexpected(schema_error(where, "a kind needs a list of `fields`"));
    Kind kind{.name = name,
              .doc = body.value("doc", json("")).is_string() ? body.value("doc", "") : "",
              .fields = {}};
    std::set<std::string> seen;
    for (const auto& f : body["fields"]) {
      TRY_ASSIGN(Field field, parse_field(f, where));
      if (!seen.insert(field.name).second)
        return tl::unexpected(schema_error(where + "." + printable(field.name), "named twice"));
      kind.fields.push_back(std::move(field));
    }
    schema.kinds.push_back(std::move(kind));
  }
  return schema;
}

std::string_view to_string(FieldType type) { return kTypes[static_cast<size_t>(type)]; }
std::string_view to_string(FieldRole role) { return kRoles[static_cast<size_t>(role)]; }

}  // namespace greta
