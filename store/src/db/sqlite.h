#pragma once
// SQLite behind RAII: the only place of the project that calls its C interface. Every call that can
// fail returns a Result with SQLite's own message; a busy database is waited for (kBusyTimeoutMs).

#include <sqlite3.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "contract/result.h"

namespace greta::store {

inline constexpr int kBusyTimeoutMs = 60'000;  // an ingest of some gigabytes may hold the lock

// A prepared statement. Binding counts from 1, columns from 0. Views stay valid until the next
// step.
class Statement {
 public:
  Statement() = default;

  Statement& bind(int index, int64_t value);
  Statement& bind(int index, double value);
  Statement& bind(int index, std::string_view text);  // copied
  Statement& bind(int index, const std::string& text) {
    return bind(index, std::string_view(text));
  }
  Statement& bind(int index, const char* text) { return bind(index, std::string_view(text)); }
  template <class T>
  requires std::is_integral_v<T> Statement& bind(int index, T value) {
    return bind(index, static_cast<int64_t>(value));
  }
  template <class T>
  Statement& bind(int index, const std::optional<T>& value) {
    return value ? bind(index, *value) : bind_null(index);
  }
  Statement& bind_null(int index);
  Statement& bind_blob(int index, std::string_view bytes);  // copied
  // Without a copy: `text` must live until the statement has run. For the hot path.
  Statement& bind_static(int index, std::string_view text);
  // bind_all(a, b, c) binds 1, 2, 3.
  template <class... Args>
  Statement& bind_all(const Args&... args) {
    int index = 0;
    (bind(++index, args), ...);
    return *this;
  }

  Result<bool> step();  // true: a row is there; false: done, and the statement is reset
  Result<> run();       // steps to the end and resets
  void reset();
  void clear_bindings();

  int columns() const;
  std::string_view column_name(int column) const;
  int type(
      int column) const;  // SQLITE_INTEGER, SQLITE_FLOAT, SQLITE_TEXT, SQLITE_BLOB, SQLITE_NULL
  bool is_null(int column) const { return type(column) == SQLITE_NULL; }
  int64_t integer(int column) const;
  double real(int column) const;
  std::string_view text(int column) const;  // text or blob; "" for NULL
  std::string string(int column) const { return std::string(text(column)); }
  sqlite3_stmt* handle() const { return statement_.get(); }
  static Statement own(sqlite3_stmt* statement) { return Statement(statement); }

 private:
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// On a connection that somebody else owns: inside SQL functions.
Result<Statement> prepare(sqlite3* db, std::string_view sql);

class Database {
 public:
  // immutable: read-only, nobody else writes, and no lock or shared memory can be had beside the
  // file.
  enum class Mode { read_only, immutable, read_write, create };
  static Result<Database> open(const std::filesystem::path& file, Mode mode);

  Result<> execute(std::string_view sql);  // any number of statements, no rows
  Result<Statement> prepare(std::string_view sql);
  // The first column of the first row; an error when there is none.
  Result<int64_t> integer(std::string_view sql);
  Result<std::string> text(std::string_view sql);
  int64_t last_insert_id() const;
  int64_t changes() const;
  Error error(std::string_view what) const;  // from the last failed call
  sqlite3* handle() const { return db_.get(); }

 private:
  explicit Database(sqlite3* db) : db_(db) {}
  struct Close {
    void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
  };
  std::unique_ptr<sqlite3, Close> db_;
};

// BEGIN IMMEDIATE … COMMIT; rolls back unless committed. Taking the write lock at once means that
// two writers wait for each other and never fail in the middle.
class Transaction {
 public:
  static Result<Transaction> begin(Database& db);
  Transaction(Transaction&& other) noexcept : db_(std::exchange(other.db_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  Result<> commit();

 private:
  explicit Transaction(Database& db) : db_(&db) {}
  Database* db_;
};

// "name" as an SQL identifier, quotes doubled; 'text' as an SQL literal.
std::string quoted_name(std::string_view name);
std::string quoted_text(std::string_view text);

}  // namespace greta::store
