#include "db/sqlite.h"

#include "contract/text.h"

namespace greta::store {
namespace {

// What is wrong with the file, whatever statement met it first; "" when it is the statement.
std::string file_trouble(int code) {
  switch (code & 0xff) {
    case SQLITE_NOTADB:
      return "is not a database, so no greta store";
    case SQLITE_READONLY:
      return "is read-only: nothing can be written to it";
    case SQLITE_CANTOPEN:
      return "the store cannot be opened";
    case SQLITE_PERM:
      return "no permission to open the store";
    case SQLITE_FULL:
      return "the disk is full";
    case SQLITE_IOERR:
      return "cannot be read or written";
    case SQLITE_CORRUPT:
      return "the store is damaged";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return "another process has held the store for " + std::to_string(kBusyTimeoutMs / 1000) +
             " s";
    default:
      return "";
  }
}

Error sqlite_error(sqlite3* db, std::string_view what) {
  const int code = sqlite3_extended_errcode(db);
  Error error{.message = std::string(what) + ": " + sqlite3_errmsg(db)};
  if (const std::string trouble = file_trouble(code); !trouble.empty()) {
    const bool said = (code & 0xff) == SQLITE_NOTADB || (code & 0xff) == SQLITE_READONLY;
    error.message = said ? trouble : trouble + " (" + sqlite3_errmsg(db) + ")";
    if (const char* name = sqlite3_db_filename(db, "main"); name != nullptr) error.file = name;
  }
  if (!file_trouble(code).empty() || (code & 0xff) == SQLITE_NOMEM)
    error.exit_code = static_cast<int>(Exit::infrastructure);
  return error;
}

}  // namespace

Statement& Statement::bind(int index, int64_t value) {
  sqlite3_bind_int64(statement_.get(), index, value);
  return *this;
}
Statement& Statement::bind(int index, double value) {
  sqlite3_bind_double(statement_.get(), index, value);
  return *this;
}
Statement& Statement::bind(int index, std::string_view text) {
  // A null pointer would bind NULL: an empty view must stay an empty text.
  sqlite3_bind_text64(statement_.get(), index, text.data() == nullptr ? "" : text.data(),
                      text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  return *this;
}
Statement& Statement::bind_static(int index, std::string_view text) {
  sqlite3_bind_text64(statement_.get(), index, text.data() == nullptr ? "" : text.data(),
                      text.size(), SQLITE_STATIC, SQLITE_UTF8);
  return *this;
}
Statement& Statement::bind_null(int index) {
  sqlite3_bind_null(statement_.get(), index);
  return *this;
}
Statement& Statement::bind_blob(int index, std::string_view bytes) {
  sqlite3_bind_blob64(statement_.get(), index, bytes.data() == nullptr ? "" : bytes.data(),
                      bytes.size(), SQLITE_TRANSIENT);
  return *this;
}

Result<bool> Statement::step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) {
    sqlite3_reset(statement_.get());
    return false;
  }
  sqlite3* db = sqlite3_db_handle(statement_.get());
  const char* sql = sqlite3_sql(statement_.get());
  Error error = sqlite_error(db, printable(sql == nullptr ? "store" : sql, 160));
  sqlite3_reset(statement_.get());
  return tl::unexpected(std::move(error));
}

Result<> Statement::run() {
  while (true) {
    TRY_ASSIGN(const bool row, step());
    if (!row) return {};
  }
}

void Statement::reset() { sqlite3_reset(statement_.get()); }
void Statement::clear_bindings() { sqlite3_clear_bindings(statement_.get()); }
int Statement::columns() const { return sqlite3_column_count(statement_.get()); }
std::string_view Statement::column_name(int column) const {
  return sqlite3_column_name(statement_.get(), column);
}
int Statement::type(int column) const { return sqlite3_column_type(statement_.get(), column); }
int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}
double Statement::real(int column) const { return sqlite3_column_double(statement_.get(), column); }
std::string_view Statement::text(int column) const {
  const void* bytes = type(column) == SQLITE_BLOB ? sqlite3_column_blob(statement_.get(), column)
                                                  : sqlite3_column_text(statement_.get(), column);
  if (bytes == nullptr) return {};
  const auto size = static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column));
  return {static_cast<const char*>(bytes), size};
}

Result<Database> Database::open(const std::filesystem::path& file, Mode mode) {
  // Nobody asks how much memory SQLite uses; counting it costs a lock for every allocation. Without
  // effect once a connection is open.
  sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  const bool reading = mode == Mode::read_only || mode == Mode::immutable;
  flags |= reading ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
  if (mode == Mode::create) flags |= SQLITE_OPEN_CREATE;
  std::string name = file.string();
  if (mode == Mode::immutable) {
    flags |= SQLITE_OPEN_URI;
    std::string escaped;
    for (const char c : std::filesystem::absolute(file).string())
      escaped += c == '%' ? "%25" : c == '?' ? "%3f" : c == '#' ? "%23" : std::string(1, c);
    name = "file://" + escaped + "?immutable=1";
  }
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(name.c_str(), &handle, flags, nullptr);
  Database db(handle);
  if (handle == nullptr) return fail(Exit::infrastructure, "out of memory");
  if (code != SQLITE_OK) {
    Error error = db.error("cannot open the store");
    error.file = file.string();
    error.exit_code = static_cast<int>(Exit::infrastructure);
    return tl::unexpected(std::move(error));
  }
  sqlite3_busy_timeout(handle, kBusyTimeoutMs);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_FKEY, 1, nullptr);
  // Double quotes name things; a misspelt column must not turn into a text.
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DQS_DDL, 0, nullptr);
  return db;
}

Result<> Database::execute(std::string_view sql) {
  const std::string text(sql);
  if (sqlite3_exec(db_.get(), text.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
    return tl::unexpected(error(printable(sql, 160)));
  return {};
}

Result<Statement> prepare(sqlite3* db, std::string_view sql) {
  sqlite3_stmt* handle = nullptr;
  const int code =
      sqlite3_prepare_v2(db, sql.data(), static_cast<int>(sql.size()), &handle, nullptr);
  Statement statement = Statement::own(handle);
  if (code != SQLITE_OK) return tl::unexpected(sqlite_error(db, printable(sql, 160)));
  return statement;
}

Result<Statement> Database::prepare(std::string_view sql) {
  return greta::store::prepare(db_.get(), sql);
}

Result<int64_t> Database::integer(std::string_view sql) {
  TRY_ASSIGN(Statement statement, prepare(sql));
  TRY_ASSIGN(const bool row, statement.step());
  if (!row) return fail(Exit::infrastructure, "no row from " + printable(sql, 160));
  return statement.integer(0);
}

Result<std::string> Database::text(std::string_view sql) {
  TRY_ASSIGN(Statement statement, prepare(sql));
  TRY_ASSIGN(const bool row, statement.step());
  if (!row) return fail(Exit::infrastructure, "no row from " + printable(sql, 160));
  return statement.string(0);
}

int64_t Database::last_insert_id() const { return sqlite3_last_insert_rowid(db_.get()); }
int64_t Database::changes() const { return sqlite3_changes64(db_.get()); }
Error Database::error(std::string_view what) const { return sqlite_error(db_.get(), what); }

Result<Transaction> Transaction::begin(Database& db) {
  TRY(db.execute("BEGIN IMMEDIATE"));
  return Transaction(db);
}

Transaction::~Transaction() {
  // An error may have rolled back already (disk full): then there is nothing to undo.
  if (db_ != nullptr && sqlite3_get_autocommit(db_->handle()) == 0)
    sqlite3_exec(db_->handle(), "ROLLBACK", nullptr, nullptr, nullptr);
}

Result<> Transaction::commit() {
  TRY(db_->execute("COMMIT"));
  db_ = nullptr;
  return {};
}

std::string quoted_name(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + '"';
}

std::string quoted_text(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) {  // would end the statement
    std::string hex;
    for (const unsigned char c : text) {
      hex += "0123456789abcdef"[c >> 4];
      hex += "0123456789abcdef"[c & 15];
    }
    return "CAST(x'" + hex + "' AS TEXT)";
  }
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("''") : std::string(1, c);
  return out + '\'';
}

}  // namespace greta::store
