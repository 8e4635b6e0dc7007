#include "runs/query_guard.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "contract/text.h"
#include "db/greta_line.h"

namespace greta::store {
namespace {

constexpr std::array<std::string_view, 6> kReadingPragmas = {
    "table_info", "table_xinfo", "table_list", "index_list", "index_info", "function_list"};

constexpr const char* kReadsOnly = "a query can only read: SELECT, WITH, VALUES, EXPLAIN";

struct Guard {
  std::string refusal;
  std::set<std::string>* readers = nullptr;

  int refuse(std::string why) {
    if (refusal.empty()) refusal = std::move(why);
    return SQLITE_DENY;
  }
};

int authorize(void* data, int action, const char* first, const char* second, const char*,
              const char* inside) {
  auto& guard = *static_cast<Guard*>(data);
  const std::string_view name = first == nullptr ? "" : first;
  switch (action) {
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE:
      return SQLITE_OK;
    case SQLITE_READ:
      if (guard.readers != nullptr && inside != nullptr) guard.readers->insert(inside);
      return SQLITE_OK;
    case SQLITE_FUNCTION: {
      const std::string_view function = second == nullptr ? "" : second;
      if (function == "load_extension") return guard.refuse("extensions cannot be loaded");
      return SQLITE_OK;
    }
    case SQLITE_PRAGMA:
      if (std::find(kReadingPragmas.begin(), kReadingPragmas.end(), name) != kReadingPragmas.end())
        return SQLITE_OK;
      return guard.refuse("PRAGMA " + printable(name) + " is not available here");
    default:
      return guard.refuse(kReadsOnly);
  }
}

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '$' ||
         (static_cast<unsigned char>(c) & 0x80) != 0;
}

// One past a quoted or commented part of SQL that opens at `i`, or `i` when none does.
size_t skip_quoted(std::string_view sql, size_t i) {
  const auto past = [&](std::string_view end, size_t from) {
    const size_t at = sql.find(end, from);
    return at == std::string_view::npos ? sql.size() : at + end.size();
  };
  if (sql.substr(i).starts_with("--")) return past("\n", i);
  if (sql.substr(i).starts_with("/*")) return past("*/", i + 2);
  if (sql[i] == '[') return past("]", i);
  if (sql[i] == '\'' || sql[i] == '"' || sql[i] == '`') return past(sql.substr(i, 1), i + 1);
  return i;
}

// Whether the SQL says `main.` anywhere outside of texts and comments, quoted or not.
bool names_main(std::string_view sql) {
  bool after_main = false;
  for (size_t i = 0; i < sql.size();) {
    if (std::isspace(static_cast<unsigned char>(sql[i])) != 0) {
      ++i;
      continue;
    }
    size_t end = skip_quoted(sql, i);
    const bool is_comment = end > i && (sql[i] == '-' || sql[i] == '/');
    if (end == i)
      while (end < sql.size() && is_word(sql[end])) ++end;
    if (end == i) {
      if (after_main && sql[i] == '.') return true;
      end = i + 1;
    }
    if (!is_comment) {
      std::string_view word = sql.substr(i, end - i);
      if (word.size() == 6) word = word.substr(1, 4);  // "main", [main], `main`
      after_main = word.size() == 4 && sqlite3_strnicmp(word.data(), "main", 4) == 0;
    }
    i = end;
  }
  return false;
}

std::vector<std::string> first_column(Database& db, std::string_view sql) {
  std::vector<std::string> out;
  auto rows = db.prepare(sql);
  if (!rows) return out;
  while (true) {
    const auto row = rows->step();
    if (!row || !*row) return out;
    out.push_back(rows->string(0));
  }
}

// " (did you mean `layer`?)" for a message of SQLite that names what it does not know.
std::string suggestion(Database& db, std::string_view message, std::string_view sql) {
  const auto after = [&](std::string_view prefix) -> std::string {
    if (!message.starts_with(prefix)) return {};
    std::string_view name = message.substr(prefix.size());
    if (const size_t dot = name.rfind('.'); dot != std::string_view::npos)
      name.remove_prefix(dot + 1);
    return std::string(name);
  };
  if (const std::string table = after("no such table: "); !table.empty()) {
    return did_you_mean(table, first_column(db,
                                            "SELECT name FROM sqlite_master WHERE type IN"
                                            " ('view', 'table') ORDER BY type DESC, name"));
  }
  if (const std::string function = after("no such function: "); !function.empty())
    return did_you_mean(function,
                        first_column(db, "SELECT DISTINCT name FROM pragma_function_list"));
  std::string column = after("no such column: ");
  if (column.empty()) return {};
  // A kind with very many fields keeps the later ones together.
  const std::string path = quoted_text("$." + quoted_name(column));
  for (const std::string& view :
       first_column(db,
                    "SELECT k.view_name FROM kind k JOIN field f ON f.kind = k.id"
                    " WHERE f.column_name = 'extra' AND f.name = ''")) {
    if (sql.find(view) == std::string_view::npos) continue;
    const auto found = first_column(db, "SELECT 1 FROM (SELECT extra FROM " + quoted_name(view) +
                                            " WHERE extra IS NOT NULL LIMIT 100)"
                                            " WHERE json_type(extra, " +
                                            path + ") IS NOT NULL LIMIT 1");
    if (found.empty()) continue;
    return ": `" + view + "` has more fields than columns, and keeps this one in `extra`: " +
           "json_extract(extra, " + path + ")";
  }
  // Those of the views that the SQL names come first.
  std::vector<std::string> near, all;
  for (const std::string& view :
       first_column(db, "SELECT name FROM sqlite_master WHERE type = 'view'")) {
    const auto columns =
        first_column(db, "SELECT name FROM pragma_table_info(" + quoted_text(view) + ")");
    auto& target = sql.find(view) == std::string_view::npos ? all : near;
    target.insert(target.end(), columns.begin(), columns.end());
  }
  // Other tables may have a column of that very name: it is none of those asked about.
  std::erase(near, column);
  std::erase(all, column);
  const std::string hint = did_you_mean(column, near);
  return hint.empty() ? did_you_mean(column, all) : hint;
}

Error query_error(Database& db, std::string_view sql) {
  Error error{.message = sqlite3_errmsg(db.handle())};
  const int offset = sqlite3_error_offset(db.handle());
  if (offset >= 0 && static_cast<size_t>(offset) <= sql.size()) {
    const std::string_view before = sql.substr(0, static_cast<size_t>(offset));
    const size_t line_start = before.rfind('\n');
    error.file = "SQL";
    error.line = 1 + static_cast<int>(std::count(before.begin(), before.end(), '\n'));
    error.column = static_cast<int>(
        before.size() - (line_start == std::string_view::npos ? 0 : line_start + 1) + 1);
  }
  error.message += suggestion(db, error.message, sql);
  return error;
}

}  // namespace

Result<> make_reader(Database& db) {
  TRY(add_greta_line(db));
  // The table-valued functions declare themselves at first use, which the guard would take for a
  // CREATE TABLE of the person who queries.
  return db.execute(
      "PRAGMA temp_store = MEMORY; SELECT 1 FROM json_each('[]'), json_tree('[]'),"
      " pragma_table_info('run'), pragma_table_xinfo('run'), pragma_table_list,"
      " pragma_index_list('run'), pragma_index_info('run'), pragma_function_list");
}

Result<Statement> prepare_reading(Database& db, std::string_view sql, Sees sees,
                                  std::set<std::string>* readers) {
  if (sees == Sees::one_run && names_main(sql))
    return fail(Exit::usage, "`main.` holds every run and this query sees one: leave it out");
  Guard guard{.refusal = {}, .readers = readers};
  struct Guarded {
    sqlite3* db;
    ~Guarded() { sqlite3_set_authorizer(db, nullptr, nullptr); }
  };
  sqlite3_stmt* handle = nullptr;
  sqlite3_stmt* second = nullptr;
  int code = SQLITE_OK;
  int rest_code = SQLITE_OK;
  {
    // Only while preparing: what it does when it runs is decided then.
    const Guarded guarded{db.handle()};
    sqlite3_set_authorizer(db.handle(), authorize, &guard);
    const char* rest = nullptr;
    code =
        sqlite3_prepare_v2(db.handle(), sql.data(), static_cast<int>(sql.size()), &handle, &rest);
    if (code == SQLITE_OK && handle != nullptr) {
      rest_code = sqlite3_prepare_v2(
          db.handle(), rest, static_cast<int>(sql.data() + sql.size() - rest), &second, nullptr);
    }
  }
  Statement statement = Statement::own(handle);
  const Statement more = Statement::own(second);
  if (code != SQLITE_OK) {
    if (std::string_view(sqlite3_errmsg(db.handle())).starts_with("cannot modify "))
      guard.refuse(kReadsOnly);
    if (guard.refusal.empty()) return tl::unexpected(query_error(db, sql));
    return fail(Exit::usage, guard.refusal);
  }
  if (handle == nullptr) return fail(Exit::usage, "the query is empty");
  if (rest_code != SQLITE_OK || second != nullptr)
    return fail(Exit::usage, "one statement at a time: something follows the first `;`");
  if (sqlite3_stmt_readonly(handle) == 0) return fail(Exit::usage, kReadsOnly);
  return statement;
}

}  // namespace greta::store
