#pragma once
// rec_<kind>: one table a record kind, one column a field. Tables and columns come from
// descriptions (contract/schema.h) and, for what nobody described, from the values. Nothing is
// coerced: a value that its column cannot hold goes into a column of its own, `<field>__<type>`.
// SCHEMA.md has the rules.
//
// An object of this class belongs to one write transaction: it remembers what the tables look like.

#include <map>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "contract/schema.h"
#include "db/insert_rows.h"
#include "db/sqlite.h"
#include "tables/ingest_line.h"
#include "tables/typed_tables_types.h"

namespace greta::store {

inline constexpr size_t kMaxColumns = 400;  // a kind's; what comes later goes into `extra`
inline constexpr size_t kMaxDescribedColumns =
    1500;  // the same for described ones: SQLite ends at 2000
inline constexpr int64_t kMaxUndescribedKinds = 1000;  // a store's; later ones share `other_kinds`

struct Column {
  std::string name;   // in the table
  std::string field;  // in the JSON line
  ColumnType type = ColumnType::text;
  FieldRole role = FieldRole::value;
  bool optional = true;
  std::string unit = {}, doc = {};
  int64_t version = 1;
  bool described = false;
  bool misfit = false;  // `<field>__<type>`
};

class TypedTables {
 public:
  // `description`: what the engine of this bundle says of its records; may be null, must outlive
  // this.
  TypedTables(Database& db, const Schema* description);
  ~TypedTables();

  // Makes tables, columns and views of every kind of `schema`, so that a kind without a record is
  // an empty view and not an unknown name.
  Result<> describe(const Schema& schema);

  struct Kind;
  // The kind of that name, made when there is none. Valid as long as this object.
  Result<Kind*> kind(std::string_view name);
  static int64_t id(const Kind& kind);

  // A line becomes a row in two steps. `place` chooses a column for every field, making those that
  // are missing, and returns whether a key stood twice in `fields` (the last one wins). `event` and
  // `request` are left out where they have said the record's kind and request. `insert` takes the
  // line that was placed last; it may wait for others, so `fields` must live until `write_waiting`.
  // same_keys: the record before has the same keys in the same order.
  Result<bool> place(Kind& kind, int64_t record, const LineNames& said, bool same_keys,
                     std::span<const LineField> fields);
  Result<> insert(Kind& kind, int64_t record, int64_t span, std::span<const LineField> fields);
  Result<> write_waiting();

  // Remakes the views of the kinds that changed; before the commit.
  Result<> finish();

 private:
  Result<> load(Kind& kind);
  Result<> describe(Kind& kind, const greta::Kind& description);
  Result<> create_missing_columns(Kind& kind);
  Result<> write_waiting(Kind& kind);
  size_t add_column(Kind& kind, Column column);
  size_t base_column(Kind& kind, const LineField& value);
  size_t misfit_column(Kind& kind, size_t base, const LineField& value);

  Database& db_;
  const Schema* description_;
  std::map<std::string, std::unique_ptr<Kind>, std::less<>> kinds_;
};

// What a person can say of a kind: columns in order. For the views.
struct KindColumns {
  int64_t kind = 0;
  std::string name, table_name, view_name;
  std::vector<std::string> columns;
};
Result<std::vector<KindColumns>> all_kinds(Database& db);

}  // namespace greta::store
