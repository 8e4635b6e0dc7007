#pragma once
// Which value may stand in which column: the rules of SCHEMA.md as pure functions.

#include <cstdint>
#include <string_view>

#include "contract/schema.h"
#include "tables/ingest_line.h"

namespace greta::store {

// field.type: those of FieldType in its order, and two for fields that nobody described.
enum class ColumnType { text, integer, real, boolean, hash, list, number, json };
std::string_view to_string(ColumnType type);

// The column's declared type in SQL, with a leading space. SQLite would turn the text "1" into a
// number in a column of numeric affinity; only values of the right type are bound, and text only as
// NaN. `number` declares nothing, so that 1 and 1.0 stay what they are.
std::string_view declared_type(ColumnType type);

// Whether the column can hold the value as it is.
bool fits(ColumnType column, const LineField& value);

// For a field that nobody described, by its first value; and for a value that does not fit.
ColumnType type_of_new_field(const LineField& value);
ColumnType type_of_misfit(const LineField& value);

// What a field that nobody described is for, from its name: the contract's key fields are keys
// wherever they turn up, addresses are never compared.
FieldRole role_by_name(std::string_view field, ColumnType type);

}  // namespace greta::store
