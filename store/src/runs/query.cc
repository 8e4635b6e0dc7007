// Store::query: SQL of people over the documented views, on a connection of its own.

#include "runs/query.h"

#include <algorithm>
#include <cctype>

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

// Whether the SQL could mean it: a view can only be meant by its name, which is ASCII.
bool mentions(std::string_view sql, std::string_view name) {
  return std::search(sql.begin(), sql.end(), name.begin(), name.end(), [](char a, char b) {
           return std::tolower(static_cast<unsigned char>(a)) ==
                  std::tolower(static_cast<unsigned char>(b));
         }) != sql.end();
}

// TEMP views with the names of the stored ones: a name without a schema means them. Only those that
// the query may mean: there are a hundred, and a diff goes from run to run.
Result<> show_run(Store::Impl& impl, Database& db, int64_t run, std::string_view query) {
  TRY_ASSIGN(const int64_t schema, db.integer("PRAGMA main.schema_version"));
  if (impl.reader_scope != run || (run >= 0 && impl.reader_schema != schema)) {
    std::string drop;
    TRY_ASSIGN(Statement old,
               db.prepare("SELECT name FROM temp.sqlite_master WHERE type = 'view'"));
    while (true) {
      TRY_ASSIGN(const bool row, old.step());
      if (!row) break;
      drop += "DROP VIEW temp." + quoted_name(old.text(0)) + ";";
    }
    TRY(db.execute(drop));
    impl.reader_views.clear();
    if (run >= 0) {
      TRY_ASSIGN(const auto kinds, all_kinds(db));
      impl.reader_views = run_views(kinds, run);
    }
    impl.reader_scope = run;
    impl.reader_schema = schema;
  }
  std::string create;
  std::erase_if(impl.reader_views, [&](const RunView& view) {
    const bool meant = mentions(query, view.name);
    if (meant) create += view.sql;
    return meant;
  });
  return create.empty() ? Result<>() : db.execute(create);
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

// While it lives, SQLite asks `cancelled` every so many of its steps, some milliseconds apart.
class CancelHandler {
 public:
  CancelHandler(Database& db, std::function<bool()> cancelled)
      : db_(db), cancelled_(std::move(cancelled)) {
    constexpr int kSteps = 10'000;
    if (cancelled_) sqlite3_progress_handler(db.handle(), kSteps, ask, this);
  }
  ~CancelHandler() { sqlite3_progress_handler(db_.handle(), 0, nullptr, nullptr); }
  CancelHandler(const CancelHandler&) = delete;
  CancelHandler& operator=(const CancelHandler&) = delete;

 private:
  static int ask(void* self) { return static_cast<CancelHandler*>(self)->cancelled_() ? 1 : 0; }
  Database& db_;
  std::function<bool()> cancelled_;
};

}  // namespace

Result<> Store::query(std::string_view sql, int64_t run, const RowSink& sink) {
  TRY_ASSIGN(Database* const db, reader_of(*impl_));
  const CancelHandler handler(*db, sink.cancelled ? sink.cancelled : impl_->cancelled);
  TRY(show_run(*impl_, *db, run, sql));
  TRY_ASSIGN(Statement statement,
             prepare_reading(*db, sql, run < 0 ? Sees::every_run : Sees::one_run));
  std::vector<std::string> names;
  for (int i = 0; i < statement.columns(); ++i) names.emplace_back(statement.column_name(i));
  if (!sink.columns(names)) return {};
  std::vector<Value> values(names.size());
  while (true) {
    auto row = statement.step();
    if (!row && sqlite3_errcode(db->handle()) == SQLITE_INTERRUPT)
      return fail(Exit::interrupted, "interrupted");
    if (!row) {
      row.error().message = sqlite3_errmsg(db->handle());
      return tl::unexpected(std::move(row.error()));
    }
    if (!*row) return {};
    for (size_t i = 0; i < values.size(); ++i) values[i] = value_of(statement, static_cast<int>(i));
    if (!sink.row(values)) return {};
  }
}

Result<std::set<std::string>> views_read(Store& store, std::string_view sql, int64_t run) {
  TRY_ASSIGN(Database* const db, reader_of(store.impl()));
  TRY(show_run(store.impl(), *db, run, sql));
  std::set<std::string> readers, out;
  TRY(prepare_reading(*db, sql, Sees::one_run, &readers));
  TRY_ASSIGN(Statement names,
             db->prepare("SELECT name FROM temp.sqlite_master WHERE type = 'view'"));
  while (true) {
    TRY_ASSIGN(const bool row, names.step());
    if (!row) return out;
    const std::string name = names.string(0);
    const bool read = std::any_of(readers.begin(), readers.end(), [&](const std::string& one) {
      return sqlite3_stricmp(one.c_str(), name.c_str()) == 0;
    });
    if (read) out.insert(name);
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
