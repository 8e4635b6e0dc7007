// Store::query: SQL of people over the documented views, on a connection of its own.

#include "runs/query_guard.h"
#include "tables/store_impl.h"
#include "tables/views.h"

namespace greta::store {
namespace {

// Opened when the first query comes; it sees what is committed.
Result<Database*> reader_of(Store::Impl& impl) {
  if (!impl.reader) {
    TRY_ASSIGN(Database db, open_reading(impl.file));
    TRY(make_reader(db));
    impl.reader = std::move(db);
  }
  return &*impl.reader;
}

// TEMP views with the names of the stored ones: a name without a schema means them.
Result<> show_run(Store::Impl& impl, Database& db, int64_t run) {
  TRY_ASSIGN(const int64_t schema, db.integer("PRAGMA main.schema_version"));
  if (impl.reader_scope == run && (run < 0 || impl.reader_schema == schema)) return {};
  std::string sql;
  TRY_ASSIGN(Statement old, db.prepare("SELECT name FROM temp.sqlite_master WHERE type = 'view'"));
  while (true) {
    TRY_ASSIGN(const bool row, old.step());
    if (!row) break;
    sql += "DROP VIEW temp." + quoted_name(old.text(0)) + ";";
  }
  if (run >= 0) {
    TRY_ASSIGN(const auto kinds, all_kinds(db));
    sql += fixed_views_sql(run) + table_scopes_sql(kinds, run);
    for (const KindColumns& kind : kinds) sql += kind_view_sql(kind, run);
  }
  TRY(db.execute(sql));
  impl.reader_scope = run;
  impl.reader_schema = schema;
  return {};
}

Value value_of(const Statement& row, int column) {
  Value value;
  switch (row.type(column)) {
    case SQLITE_INTEGER:
      value.type = Value::Type::integer;
      value.integer = row.integer(column);
      break;
    case SQLITE_FLOAT:
      value.type = Value::Type::real;
      value.real = row.real(column);
      break;
    case SQLITE_TEXT:
    case SQLITE_BLOB:
      value.type = row.type(column) == SQLITE_TEXT ? Value::Type::text : Value::Type::blob;
      value.text = row.string(column);
      break;
    default:
      break;
  }
  return value;
}

}  // namespace

Result<> Store::query(std::string_view sql, int64_t run, const RowSink& sink) {
  TRY_ASSIGN(Database* const db, reader_of(*impl_));
  TRY(show_run(*impl_, *db, run));
  TRY_ASSIGN(Statement statement,
             prepare_reading(*db, sql, run < 0 ? Sees::every_run : Sees::one_run));
  std::vector<std::string> names;
  for (int i = 0; i < statement.columns(); ++i) names.emplace_back(statement.column_name(i));
  if (!sink.columns(names)) return {};
  std::vector<Value> values(names.size());
  while (true) {
    auto row = statement.step();
    if (!row) {
      row.error().message = sqlite3_errmsg(db->handle());
      return tl::unexpected(std::move(row.error()));
    }
    if (!*row) return {};
    for (size_t i = 0; i < values.size(); ++i) values[i] = value_of(statement, static_cast<int>(i));
    if (!sink.row(values)) return {};
  }
}

Result<Table> Store::query(std::string_view sql, int64_t run) {
  Table table;
  const RowSink sink{.columns =
                         [&](const std::vector<std::string>& names) {
                           table.columns = names;
                           return true;
                         },
                     .row =
                         [&](const std::vector<Value>& values) {
                           table.rows.push_back(values);
                           return true;
                         }};
  TRY(query(sql, run, sink));
  return table;
}

}  // namespace greta::store
