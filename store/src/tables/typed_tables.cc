#include "tables/typed_tables.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "tables/views.h"

namespace greta::store {
namespace {

constexpr ColumnType kLastColumnType = ColumnType::json;
constexpr size_t kNowhere = static_cast<size_t>(-1);  // a null: no column needed
constexpr size_t kExtra = static_cast<size_t>(-2);    // the kind is full
constexpr size_t kUnknown = static_cast<size_t>(-3);
constexpr size_t kValueTypes = 9;
constexpr std::string_view kExtraColumn = "extra";
constexpr std::string_view kOverflowKind = "other_kinds";

std::string ascii_lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

// Printable and of sane length; SQLite takes any other name in quotes.
std::string clean_name(std::string_view name) {
  constexpr size_t kMaxBytes = 120;
  std::string out;
  for (const char c : name.substr(0, kMaxBytes))
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '_' : c;
  if (name.size() > kMaxBytes)  // not in the middle of a UTF-8 sequence
    while (!out.empty() && (static_cast<unsigned char>(name[out.size()]) & 0xc0) == 0x80)
      out.pop_back();
  return out.empty() ? "_" : out;
}

// Letters, digits and _ only: a table that needs no quotes.
std::string clean_table_name(std::string_view kind) {
  std::string out;
  for (const char c : kind.substr(0, 60))
    out += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return out.empty() ? "_" : out;
}

bool is_reserved(std::string_view column) {
  // SQLite takes a bare `true` or `false` for the truth value, and gives a view no such column.
  const bool is_truth_value = column == "true" || column == "false";
  return is_truth_value || column == kSpanColumn ||
         std::find(std::begin(kContextColumns), std::end(kContextColumns), column) !=
             std::end(kContextColumns);
}

}  // namespace

struct TypedTables::Kind {
  // What has been found out about one JSON key of this kind: indices into `columns`.
  struct Slot {
    size_t base = kUnknown;
    std::array<size_t, kValueTypes> misfits;  // by ValueType, for values that `base` cannot hold
    int64_t last_record = -1;                 // to see a key that stands twice
    bool is_event = false, is_request = false;
    explicit Slot(std::string_view key) : is_event(key == "event"), is_request(key == "request") {
      misfits.fill(kUnknown);
    }
  };
  struct KeyHash {
    using is_transparent = void;
    size_t operator()(std::string_view key) const { return std::hash<std::string_view>{}(key); }
  };

  int64_t id = 0;
  std::string name, table_name, view_name;
  std::vector<Column> columns;
  std::set<std::string> taken;  // column names, lower case
  size_t made = 0;              // columns that the table has already
  bool has_table = false;
  bool changed = false;  // its view is older than its columns
  const greta::Kind* description = nullptr;
  InsertRows insert;
  std::unordered_map<std::string, Slot, KeyHash, std::equal_to<>> slots;
  std::vector<std::pair<std::string_view, Slot*>> guesses;  // keys of the last line, in order
  int64_t last_record = -1;                                 // that was placed
  bool last_duplicates = false;
  std::vector<size_t> targets;     // of the line at hand: a column for each field
  std::vector<size_t> placed;      // those of the line before, …
  int64_t places = 0;              // … and the number of this list: equal lists have equal ones
  size_t extra_column = kNowhere;  // of the line at hand, where a field found no column

  struct Row {  // a line that waits to be written
    int64_t record = 0, span = 0;
    std::span<const LineField> fields;
    std::vector<size_t> targets;
    int64_t places = -1;  // the number of `targets`
    size_t extra_column = kNowhere;
    std::string extra;
  };
  std::vector<Row> rows;  // the first `waiting` of them wait
  size_t waiting = 0;
  std::array<int64_t, InsertRows::kRows> bound{};  // `places` of the last sixteen

  // Binds a row behind the first `base` values.
  void bind(Statement& statement, size_t base, Row& row) const;
  void reserve_names() {
    for (const std::string_view column : kContextColumns) taken.emplace(column);
    taken.emplace(kSpanColumn);
  }
};

TypedTables::TypedTables(Database& db, const Schema* description)
    : db_(db), description_(description) {}
TypedTables::~TypedTables() = default;

int64_t TypedTables::id(const Kind& kind) { return kind.id; }

Result<TypedTables::Kind*> TypedTables::kind(std::string_view name) {
  if (const auto it = kinds_.find(name); it != kinds_.end()) return it->second.get();
  TRY_ASSIGN(Statement find,
             db_.prepare("SELECT id, table_name, view_name FROM kind WHERE name = ?"));
  TRY_ASSIGN(const bool known, find.bind_all(name).step());
  auto made = std::make_unique<Kind>();
  made->name = name;
  const bool described = (description_ != nullptr && description_->find(name) != nullptr) ||
                         builtin_schema().find(name) != nullptr;
  if (description_ != nullptr) made->description = description_->find(name);
  if (known) {
    made->id = find.integer(0);
    made->table_name = find.string(1);
    made->view_name = find.string(2);
    find.reset();
    TRY(load(*made));
  } else {
    TRY_ASSIGN(const int64_t count, db_.integer("SELECT count(*) FROM kind"));
    if (!described && count >= kMaxUndescribedKinds && name != kOverflowKind)
      return this->kind(kOverflowKind);
    // Distinct kinds may differ only in what a table name cannot hold: number them.
    const std::string base = clean_table_name(name);
    TRY_ASSIGN(Statement taken, db_.prepare("SELECT count(*) FROM kind WHERE table_name IN (?1, ?2)"
                                            " OR view_name IN (?1, ?2)"));
    for (int n = 1;; ++n) {
      const std::string word = n == 1 ? base : base + "_" + std::to_string(n);
      made->table_name = "rec_" + word;
      made->view_name = view_name_of(word);
      TRY_ASSIGN(bool row, taken.bind_all(made->table_name, made->view_name).step());
      const int64_t clashes = row ? taken.integer(0) : 0;
      taken.reset();
      if (clashes == 0) break;
    }
    TRY_ASSIGN(Statement add, db_.prepare("INSERT INTO kind (name, table_name, view_name, doc) "
                                          "VALUES (?, ?, ?, ?)"));
    const std::string doc = made->description == nullptr ? "" : made->description->doc;
    TRY(add.bind_all(name, made->table_name, made->view_name, doc).run());
    made->id = db_.last_insert_id();
    made->reserve_names();
    made->changed = true;
  }
  if (made->description != nullptr) TRY(describe(*made, *made->description));
  return kinds_.emplace(std::string(name), std::move(made)).first->second.get();
}

Result<> TypedTables::load(Kind& kind) {
  kind.has_table = true;
  kind.reserve_names();
  TRY_ASSIGN(Statement fields,
             db_.prepare("SELECT column_name, name, type, role, optional, unit, doc, version, "
                         "described, misfit FROM field WHERE kind = ? ORDER BY position"));
  fields.bind_all(kind.id);
  while (true) {
    TRY_ASSIGN(const bool row, fields.step());
    if (!row) break;
    Column column{.name = fields.string(0),
                  .field = fields.string(1),
                  .unit = fields.string(5),
                  .doc = fields.string(6),
                  .version = fields.integer(7)};
    bool known_type = false;
    for (int type = 0; type <= static_cast<int>(kLastColumnType); ++type) {
      if (to_string(static_cast<ColumnType>(type)) != fields.text(2)) continue;
      column.type = static_cast<ColumnType>(type);
      known_type = true;
    }
    if (!known_type)
      return fail(Exit::infrastructure,
                  "the store is damaged: column type `" + fields.string(2) + "`");
    for (int role = 0; role <= static_cast<int>(FieldRole::timing); ++role)
      if (to_string(static_cast<FieldRole>(role)) == fields.text(3))
        column.role = static_cast<FieldRole>(role);
    column.optional = fields.integer(4) != 0;
    column.described = fields.integer(8) != 0;
    column.misfit = fields.integer(9) != 0;
    kind.taken.insert(ascii_lower(column.name));
    kind.columns.push_back(std::move(column));
  }
  kind.made = kind.columns.size();
  return {};
}

Result<> TypedTables::describe(Kind& kind, const greta::Kind& description) {
  for (const Field& field : description.fields) {
    if (kind.columns.size() >= kMaxDescribedColumns) break;  // the others' values go into `extra`
    const auto type = static_cast<ColumnType>(field.type);
    int64_t versions = 0;
    bool known = false;
    for (const Column& column : kind.columns) {
      if (column.field != field.name || column.misfit) continue;
      known |= column.type == type;
      versions = std::max(versions, column.version);
    }
    if (known) continue;
    add_column(kind,
               Column{.name = versions == 0 ? field.name
                                            : field.name + "__v" + std::to_string(versions + 1),
                      .field = field.name,
                      .type = type,
                      .role = field.role,
                      .optional = field.optional,
                      .unit = field.unit,
                      .doc = field.doc,
                      .version = versions + 1,
                      .described = true});
  }
  return create_missing_columns(kind);
}

Result<> TypedTables::describe(const Schema& schema) {
  for (const greta::Kind& description : schema.kinds) {
    TRY_ASSIGN(Kind* const made, kind(description.name));
    TRY(describe(*made, description));
  }
  return {};
}

size_t TypedTables::add_column(Kind& kind, Column column) {
  std::string base = clean_name(column.name);
  if (is_reserved(ascii_lower(base))) base += "__field";
  column.name = base;
  for (int n = 2; !kind.taken.insert(ascii_lower(column.name)).second; ++n)
    column.name = base + "__" + std::to_string(n);
  kind.columns.push_back(std::move(column));
  return kind.columns.size() - 1;
}

Result<> TypedTables::create_missing_columns(Kind& kind) {
  if (kind.has_table && kind.made == kind.columns.size()) return {};
  TRY(write_waiting(kind));  // they know the table as it is
  const std::string table = quoted_name(kind.table_name);
  if (!kind.has_table) {
    std::string sql =
        "CREATE TABLE " + table + " (record INTEGER PRIMARY KEY, span INTEGER NOT NULL";
    for (const Column& column : kind.columns)
      sql += ", " + quoted_name(column.name) + std::string(declared_type(column.type));
    TRY(db_.execute(sql + ")"));
  }
  TRY_ASSIGN(
      Statement add,
      db_.prepare("INSERT INTO field (kind, position, column_name, name, type, role, optional,"
                  " unit, doc, version, described, misfit)"
                  " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  for (size_t i = kind.made; i < kind.columns.size(); ++i) {
    const Column& column = kind.columns[i];
    if (kind.has_table)
      TRY(db_.execute("ALTER TABLE " + table + " ADD COLUMN " + quoted_name(column.name) +
                      std::string(declared_type(column.type))));
    TRY(add.bind_all(kind.id, i, column.name, column.field, to_string(column.type),
                     to_string(column.role), column.optional, column.unit, column.doc,
                     column.version, column.described, column.misfit)
            .run());
  }
  kind.made = kind.columns.size();
  kind.has_table = true;
  kind.changed = true;
  kind.insert = InsertRows();
  kind.bound.fill(-1);
  return {};
}

// The column of a field: the one of the engine's own description, else the newest, else a new one
// that holds such values.
size_t TypedTables::base_column(Kind& kind, const LineField& value) {
  const Field* described =
      kind.description == nullptr ? nullptr : kind.description->find(value.key);
  size_t base = kNowhere;
  for (size_t i = 0; i < kind.columns.size(); ++i) {
    const Column& column = kind.columns[i];
    if (column.field != value.key || column.misfit) continue;
    if (described != nullptr && column.type != static_cast<ColumnType>(described->type)) continue;
    if (base == kNowhere || column.version > kind.columns[base].version) base = i;
  }
  if (base != kNowhere) return base;
  if (kind.columns.size() >= kMaxColumns) return kExtra;
  const ColumnType type = type_of_new_field(value);
  return add_column(kind, Column{.name = std::string(value.key),
                                 .field = std::string(value.key),
                                 .type = type,
                                 .role = role_by_name(value.key, type)});
}

// The column for values of this JSON type that the field's own column cannot hold.
size_t TypedTables::misfit_column(Kind& kind, size_t base, const LineField& value) {
  const ColumnType type = type_of_misfit(value);
  for (size_t i = 0; i < kind.columns.size(); ++i) {
    const Column& column = kind.columns[i];
    if (column.misfit && column.field == value.key && column.type == type) return i;
  }
  if (kind.columns.size() >= kMaxColumns) return kExtra;
  const Column& own = kind.columns[base];
  return add_column(kind, Column{.name = own.name + "__" + std::string(to_string(type)),
                                 .field = own.field,
                                 .type = type,
                                 .role = own.role,
                                 .unit = own.unit,
                                 .doc = own.doc,
                                 .version = own.version,
                                 .misfit = true});
}

Result<bool> TypedTables::place(Kind& kind, int64_t record, const LineNames& said, bool same_keys,
                                std::span<const LineField> fields) {
  kind.targets.assign(fields.size(), kNowhere);
  // The guesses are right, and no key stands twice.
  const bool known = same_keys && kind.last_record == record - 1 && !kind.last_duplicates;
  if (kind.guesses.size() < fields.size()) kind.guesses.resize(fields.size());
  bool duplicates = false;
  for (size_t i = 0; i < fields.size(); ++i) {
    const LineField& field = fields[i];
    auto& [guessed_key, slot] = kind.guesses[i];
    if (!known && (slot == nullptr || guessed_key != field.key)) {
      auto it = kind.slots.find(field.key);
      if (it == kind.slots.end())
        it = kind.slots.emplace(std::string(field.key), Kind::Slot(field.key)).first;
      guessed_key = it->first;  // node-based: the address stays
      slot = &it->second;
    }
    if (!known) duplicates |= std::exchange(slot->last_record, record) == record;
    if (field.type == ValueType::null) continue;
    if (slot->is_event && field.text == said.event && said.event == kind.name) continue;
    if (slot->is_request && field.text == said.request && !said.request.empty()) continue;
    if (slot->base == kUnknown) slot->base = base_column(kind, field);
    kind.targets[i] = slot->base;
    if (slot->base == kExtra || fits(kind.columns[slot->base].type, field)) continue;
    size_t& misfit = slot->misfits[static_cast<size_t>(field.type)];
    if (misfit == kUnknown) misfit = misfit_column(kind, slot->base, field);
    kind.targets[i] = misfit;
  }
  kind.last_record = record;
  kind.last_duplicates = duplicates;
  if (duplicates) {
    // The last value of a key wins; an earlier one leaves no trace in the columns.
    std::set<std::string_view> later;
    for (size_t i = fields.size(); i-- > 0;)
      if (!later.insert(fields[i].key).second) kind.targets[i] = kNowhere;
  }
  kind.extra_column = kNowhere;
  if (std::find(kind.targets.begin(), kind.targets.end(), kExtra) != kind.targets.end()) {
    for (size_t i = 0; i < kind.columns.size(); ++i)
      if (kind.columns[i].field.empty() && kind.columns[i].described) kind.extra_column = i;
    if (kind.extra_column == kNowhere)
      kind.extra_column =
          add_column(kind, Column{.name = std::string(kExtraColumn),
                                  .field = "",
                                  .type = ColumnType::json,
                                  .role = FieldRole::context,
                                  .doc = "fields beyond the widest table that is kept",
                                  .described = true});
  }
  TRY(create_missing_columns(kind));
  return duplicates;
}

Result<> TypedTables::insert(Kind& kind, int64_t record, int64_t span,
                             std::span<const LineField> fields) {
  if (kind.waiting == kind.rows.size()) kind.rows.emplace_back();
  Kind::Row& row = kind.rows[kind.waiting++];
  row.record = record;
  row.span = span;
  row.fields = fields;
  if (kind.targets != kind.placed) {
    kind.placed = kind.targets;
    ++kind.places;
  }
  if (row.places != kind.places) row.targets = kind.targets;
  row.places = kind.places;
  row.extra_column = kind.extra_column;
  return kind.waiting == InsertRows::kRows ? write_waiting(kind) : Result<>();
}

Result<> TypedTables::write_waiting(Kind& kind) {
  if (kind.waiting == 0) return {};
  if (kind.insert.one.handle() == nullptr) {
    // The table has its columns in the order of `columns`: they were only ever added at the end.
    TRY_ASSIGN(kind.insert,
               InsertRows::prepare(db_, "INSERT INTO " + quoted_name(kind.table_name) + " VALUES ",
                                   kind.made + 2));
  }
  const size_t waiting = std::exchange(kind.waiting, 0);
  if (waiting < InsertRows::kRows) {
    for (size_t i = 0; i < waiting; ++i) {
      kind.insert.one.clear_bindings();
      kind.bind(kind.insert.one, 0, kind.rows[i]);
      TRY(kind.insert.one.run());
    }
    return {};
  }
  bool same = true;  // the same places are filled as in the last sixteen
  for (size_t i = 0; i < waiting; ++i)
    same &= std::exchange(kind.bound[i], kind.rows[i].places) == kind.rows[i].places;
  if (!same) kind.insert.many.clear_bindings();
  for (size_t i = 0; i < waiting; ++i)
    kind.bind(kind.insert.many, i * (kind.made + 2), kind.rows[i]);
  return kind.insert.many.run();
}

void TypedTables::Kind::bind(Statement& statement, size_t base, Row& row) const {
  const int first = static_cast<int>(base) + 1;
  statement.bind(first, row.record).bind(first + 1, row.span);
  row.extra.clear();
  for (size_t i = 0; i < row.fields.size(); ++i) {
    const size_t target = row.targets[i];
    const LineField& field = row.fields[i];
    if (target == kNowhere) continue;
    if (target == kExtra) {
      const auto as_json = [](std::string_view text) {
        return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
      };
      const bool is_text = field.type == ValueType::text || field.type == ValueType::nonfinite;
      row.extra += (row.extra.empty() ? "{" : ", ") + as_json(field.key) + ": " +
                   (is_text ? as_json(field.text) : std::string(field.text));
      continue;
    }
    const int index = first + 2 + static_cast<int>(target);
    const ColumnType type = columns[target].type;
    const bool numeric = type == ColumnType::real || type == ColumnType::number;
    if (type == ColumnType::hash) {
      statement.bind_static(index, field.text);
    } else if (field.type == ValueType::integer && type == ColumnType::real) {
      statement.bind(index, field.real);
    } else if (field.type == ValueType::integer || field.type == ValueType::boolean) {
      statement.bind(index, field.integer);
    } else if (field.type == ValueType::real) {
      statement.bind(index, field.real);
    } else if (numeric && field.text != "NaN") {
      statement.bind(index, field.text == "Infinity" ? HUGE_VAL : -HUGE_VAL);
    } else {
      statement.bind_static(index, field.text);
    }
  }
  if (row.extra_column != kNowhere)
    statement.bind_static(first + 2 + static_cast<int>(row.extra_column), row.extra += "}");
}

Result<> TypedTables::write_waiting() {
  for (const auto& [name, kind] : kinds_) TRY(write_waiting(*kind));
  return {};
}

Result<> TypedTables::finish() {
  for (const auto& [name, kind] : kinds_) {
    TRY(create_missing_columns(*kind));
    if (!kind->changed) continue;
    KindColumns columns{.kind = kind->id,
                        .name = kind->name,
                        .table_name = kind->table_name,
                        .view_name = kind->view_name,
                        .columns = {}};
    for (const Column& column : kind->columns) columns.columns.push_back(column.name);
    TRY(db_.execute("DROP VIEW IF EXISTS " + quoted_name(kind->view_name)));
    TRY(db_.execute(kind_view_sql(columns)));
    kind->changed = false;
  }
  return {};
}

Result<std::vector<KindColumns>> all_kinds(Database& db) {
  std::vector<KindColumns> out;
  TRY_ASSIGN(Statement rows,
             db.prepare("SELECT k.id, k.name, k.table_name, k.view_name, f.column_name FROM kind k"
                        " LEFT JOIN field f ON f.kind = k.id ORDER BY k.id, f.position"));
  while (true) {
    TRY_ASSIGN(const bool row, rows.step());
    if (!row) return out;
    if (out.empty() || out.back().kind != rows.integer(0)) {
      out.push_back({.kind = rows.integer(0),
                     .name = rows.string(1),
                     .table_name = rows.string(2),
                     .view_name = rows.string(3),
                     .columns = {}});
    }
    if (!rows.is_null(4)) out.back().columns.push_back(rows.string(4));
  }
}

}  // namespace greta::store
