#include "care/check_records.h"

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "care/stored_source.h"
#include "contract/text.h"
#include "ingest/pieces.h"
#include "tables/typed_tables.h"

namespace greta::store {
namespace {

// ── one for one
// ───────────────────────────────────────────────────────────────────────────────────

// Adds a trouble for what a query counts, where it counts any: (count, an example).
Result<> none_of(Database& db, const std::string& where, const std::string& sql,
                 const std::string& what, std::vector<Trouble>& troubles) {
  TRY_ASSIGN(Statement row, db.prepare(sql));
  TRY_ASSIGN(const bool found, row.step());
  if (found && row.integer(0) > 0)
    troubles.push_back({where, row.string(0) + " " + what + ", first " + row.string(1)});
  return {};
}

Result<> check_columns(Database& db, const KindColumns& kind, std::vector<Trouble>& troubles) {
  TRY_ASSIGN(Statement columns,
             db.prepare("SELECT name FROM pragma_table_info(?) WHERE cid > 1 ORDER BY cid"));
  columns.bind_all(kind.table_name);
  std::vector<std::string> here;
  while (true) {
    TRY_ASSIGN(const bool row, columns.step());
    if (!row) break;
    here.push_back(columns.string(0));
  }
  if (here != kind.columns)
    troubles.push_back({"table " + kind.table_name, "its columns are not those of `fields`"});
  return {};
}

// ── against the bytes
// ─────────────────────────────────────────────────────────────────────────────

// The columns that may hold a field, in the row that `SELECT *` gives.
struct KindRow {
  Statement row;
  std::multimap<std::string, int, std::less<>> columns;  // by field
  int extra = -1;  // the column of what found no column of its own
};

Result<KindRow> row_of_kind(Database& db, int64_t kind) {
  KindRow out;
  TRY_ASSIGN(Statement fields,
             db.prepare("SELECT name, name = '' AND described = 1 FROM field WHERE kind = ?"
                        " ORDER BY position"));
  fields.bind_all(kind);
  for (int column = 2;; ++column) {  // record and span come first
    TRY_ASSIGN(const bool row, fields.step());
    if (!row) break;
    if (fields.integer(1) != 0) {
      out.extra = column;
    } else {
      out.columns.emplace(fields.string(0), column);
    }
  }
  TRY_ASSIGN(const std::string table,
             db.text("SELECT table_name FROM kind WHERE id = " + std::to_string(kind)));
  TRY_ASSIGN(out.row, db.prepare("SELECT * FROM " + quoted_name(table) + " WHERE record = ?"));
  return out;
}

bool holds(const Statement& row, int column, const LineField& field) {
  switch (row.type(column)) {
    case SQLITE_INTEGER:
      return (field.type == ValueType::integer || field.type == ValueType::boolean) &&
             row.integer(column) == field.integer;
    case SQLITE_FLOAT: {
      const double real = row.real(column);
      if (std::isinf(real)) return field.text == (real > 0 ? "Infinity" : "-Infinity");
      return (field.type == ValueType::real || field.type == ValueType::integer) &&
             real == field.real;
    }
    case SQLITE_TEXT:
      return row.text(column) == field.text;
    default:
      return false;
  }
}

// Whether the field found no column, or none of its type once there could be no more.
bool is_in_extra(const KindRow& kind, std::string_view key) {
  if (kind.extra < 0 || kind.row.is_null(kind.extra)) return false;
  const std::string name =
      nlohmann::json(key).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return kind.row.text(kind.extra).find(name + ": ") != std::string_view::npos;
}

// "" or what is wrong with the row of a line.
std::string wrong_value(const KindRow& kind, std::span<const LineField> fields,
                        const LineNames& names) {
  int explained = 0;  // values of the row that the line has
  std::map<std::string_view, const LineField*> last;
  for (const LineField& field : fields) last[field.key] = &field;
  for (const auto& [key, field] : last) {
    const bool names_the_line = (key == "event" && field->text == names.event) ||
                                (key == "request" && field->text == names.request);
    const auto [begin, end] = kind.columns.equal_range(key);
    int filled = 0, equal = 0;
    for (auto at = begin; at != end; ++at) {
      if (kind.row.is_null(at->second)) continue;
      ++filled;
      equal += holds(kind.row, at->second, *field) ? 1 : 0;
    }
    const int wanted = field->type == ValueType::null ? 0 : 1;
    const bool left_out = filled == 0 && (names_the_line || is_in_extra(kind, key));
    if (!left_out && (filled != wanted || equal != wanted))
      return "the row's `" + printable(key) + "` is not the line's";
    explained += filled;
  }
  int values = 0;
  for (const auto& [field, column] : kind.columns) values += kind.row.is_null(column) ? 0 : 1;
  return values == explained ? "" : "the row has a value that the line does not have";
}

class LineChecker {
 public:
  LineChecker(Database& db, int64_t file, std::string where, std::vector<Trouble>& troubles)
      : db_(db), file_(file), where_(std::move(where)), troubles_(troubles) {}

  Result<> run(int64_t content) {
    TRY_ASSIGN(
        records_,
        db_.prepare("SELECT x.id, x.byte_offset, x.length, s.kind, s.state FROM bundle_file f"
                    " JOIN span s ON s.file = f.id JOIN record x ON x.span = s.id AND x.id"
                    " BETWEEN f.first_record AND f.first_record + f.lines - 1"
                    " WHERE f.id = ? ORDER BY x.id"));
    records_.bind_all(file_);
    TRY_ASSIGN(const auto bytes, read_content(db_, content));
    // The bytes come through the connection that the records come through: one thread.
    PieceReader pieces(*bytes, {.records = true, .ahead = false});
    int64_t offset = 0, line = 0;
    while (true) {
      TRY_ASSIGN(const Piece* const piece, pieces.next());
      if (piece == nullptr) break;
      for (const Piece::Line& each : piece->lines) {
        ++line;
        TRY_ASSIGN(const std::string wrong, check_line(*piece, each, offset));
        if (wrong.empty()) continue;
        troubles_.push_back({where_, "line " + std::to_string(line) + ": " + wrong});
        return {};  // one a file: the next ones mostly follow from it
      }
      offset += static_cast<int64_t>(piece->size);
    }
    TRY_ASSIGN(const bool more, records_.step());
    if (more) troubles_.push_back({where_, "has fewer lines than records"});
    return {};
  }

 private:
  Result<std::string> check_line(const Piece& piece, const Piece::Line& line, int64_t offset) {
    TRY_ASSIGN(const bool found, records_.step());
    if (!found) return std::string("has no record");
    if (records_.integer(1) != offset + static_cast<int64_t>(line.offset) ||
        records_.integer(2) != static_cast<int64_t>(line.length))
      return std::string("its record has another place in the file");
    const auto state = static_cast<LineState>(records_.integer(4));
    // An older greta took every line without a newline for torn.
    const bool same = state == line.state ||
                      (state == LineState::duplicate_keys && line.state == LineState::ok) ||
                      (state == LineState::torn && !line.ends);
    if (!same) return "its record says " + std::string(to_string(state));
    if (state >= LineState::blank) return std::string();
    const int64_t kind = records_.integer(3);
    auto at = kinds_.find(kind);
    if (at == kinds_.end()) {
      TRY_ASSIGN(KindRow row, row_of_kind(db_, kind));
      at = kinds_.emplace(kind, std::move(row)).first;
    }
    Statement& row = at->second.row;
    TRY_ASSIGN(const bool has_row, row.bind_all(records_.integer(0)).step());
    if (!has_row) return std::string("has no row in its kind's table");
    std::string wrong = wrong_value(at->second, piece.fields_of(line), line.names);
    row.reset();
    return wrong;
  }

  Database& db_;
  const int64_t file_;
  const std::string where_;
  std::vector<Trouble>& troubles_;
  Statement records_;
  std::map<int64_t, KindRow> kinds_;
};

}  // namespace

Result<> check_rows(Database& db, std::vector<Trouble>& troubles) {
  TRY(none_of(db, "table record",
              "SELECT count(*), min(id) FROM record WHERE span NOT IN (SELECT id FROM span)",
              "records have no span", troubles));
  TRY(none_of(db, "table span",
              "SELECT count(*), min(id) FROM span s WHERE lines <> (SELECT count(*) FROM record x"
              " WHERE x.id BETWEEN s.first_record AND s.last_record AND x.span = s.id)",
              "spans have other records than they count", troubles));
  TRY(none_of(db, "table bundle_file",
              "SELECT count(*), min(id) FROM bundle_file f WHERE first_record IS NOT NULL AND lines"
              " <> (SELECT ifnull(sum(lines), 0) FROM span s WHERE s.file = f.id)",
              "files have other lines than their spans", troubles));
  TRY_ASSIGN(const auto kinds, all_kinds(db));
  for (const KindColumns& kind : kinds) {
    const std::string table = quoted_name(kind.table_name), id = std::to_string(kind.kind);
    TRY(check_columns(db, kind, troubles));
    TRY(none_of(db, "table " + kind.table_name,
                "SELECT count(*), min(record) FROM " + table +
                    " t WHERE NOT EXISTS (SELECT 1 FROM"
                    " span s WHERE s.id = t.span AND s.kind = " +
                    id +
                    " AND s.state < 3 AND t.record"
                    " BETWEEN s.first_record AND s.last_record)",
                "rows belong to no record", troubles));
    TRY(none_of(db, "table " + kind.table_name,
                "SELECT count(*), min(id) FROM span s WHERE kind = " + id +
                    " AND state < 3 AND"
                    " lines <> (SELECT count(*) FROM " +
                    table +
                    " t WHERE t.record BETWEEN"
                    " s.first_record AND s.last_record AND t.span = s.id)",
                "spans have other rows than they count", troubles));
  }
  return {};
}

Result<> check_lines_of_content(Database& db, int64_t content, const std::string& where,
                                std::vector<Trouble>& troubles) {
  TRY_ASSIGN(Statement files,
             db.prepare("SELECT id FROM bundle_file WHERE content = ? AND role = 'records'"));
  files.bind_all(content);
  while (true) {
    TRY_ASSIGN(const bool row, files.step());
    if (!row) return {};
    TRY(LineChecker(db, files.integer(0), where, troubles).run(content));
  }
}

}  // namespace greta::store
