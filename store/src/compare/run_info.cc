#include "compare/run_info.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "contract/text.h"
#include "tables/store_impl.h"
#include "tables/views.h"
#include "text/markdown.h"

namespace greta::store {

namespace {

// What greta's own kinds call their keys, for kinds that nobody described.
constexpr std::string_view kUsualKeys[] = {"phase", "step",      "point",    "tensor",    "layer",
                                           "head",  "index",     "position", "token_idx", "context",
                                           "batch", "prompt_id", "test"};

FieldRole role_of(std::string_view name) {
  for (const FieldRole role : {FieldRole::key, FieldRole::hash, FieldRole::context,
                               FieldRole::address, FieldRole::timing}) {
    if (to_string(role) == name) return role;
  }
  return FieldRole::value;
}

Result<std::vector<std::string>> texts(Database& db, std::string_view sql, int64_t run) {
  std::vector<std::string> out;
  TRY_ASSIGN(Statement statement, db.prepare(sql));
  statement.bind(1, run);
  while (true) {
    TRY_ASSIGN(const bool row, statement.step());
    if (!row) return out;
    out.push_back(statement.string(0));
  }
}

// A condition on cells: those of these variants, or all where none is named.
std::string among(const std::set<std::string>& variants) {
  std::vector<std::string> names;
  for (const std::string& variant : variants) names.push_back(quoted_text(variant));
  return names.empty() ? "" : " AND variant IN (" + joined(names, ", ") + ")";
}

Result<> load_variants(Database& db, const std::string& condition, RunInfo& info) {
  TRY_ASSIGN(auto names, texts(db,
                               "SELECT variant FROM cell WHERE run = ?" + condition +
                                   " GROUP BY variant ORDER BY min(id)",
                               info.id));
  for (std::string& name : names) {
    VariantInfo variant;
    TRY_ASSIGN(Statement axes, db.prepare("SELECT DISTINCT a.axis, a.value FROM cell_axis a"
                                          " JOIN cell c ON c.id = a.cell"
                                          " WHERE c.run = ? AND c.variant = ?"));
    axes.bind_all(info.id, name);
    while (true) {
      TRY_ASSIGN(const bool row, axes.step());
      if (!row) break;
      variant.axes[axes.string(0)] = axes.string(1);
    }
    // A flag counts as read when any process of the variant read it.
    TRY_ASSIGN(Statement flags,
               db.prepare("SELECT f.name, min(f.value), min(f.source), max(f.read)"
                          " FROM bundle_flag f WHERE f.bundle IN"
                          " (SELECT bundle FROM cell WHERE run = ? AND variant = ?)"
                          " GROUP BY f.name"));
    flags.bind_all(info.id, name);
    while (true) {
      TRY_ASSIGN(const bool row, flags.step());
      if (!row) break;
      FlagUse use{flags.string(1), flags.string(2), std::nullopt};
      if (!flags.is_null(3)) use.read = flags.integer(3) != 0;
      variant.flags[flags.string(0)] = use;
    }
    TRY_ASSIGN(Statement kernels,
               db.prepare("SELECT DISTINCT k.code_hash FROM bundle_kernel k"
                          " WHERE k.code_hash IS NOT NULL AND k.bundle IN"
                          " (SELECT bundle FROM cell WHERE run = ? AND variant = ?)"));
    kernels.bind_all(info.id, name);
    while (true) {
      TRY_ASSIGN(const bool row, kernels.step());
      if (!row) break;
      variant.kernels.insert(kernels.string(0));
    }
    // The arms of a past report share one list of flags; an axis says which value is this arm's.
    for (const auto& [axis, value] : variant.axes) {
      if (const auto flag = variant.flags.find(axis); flag != variant.flags.end()) {
        flag->second.value = value;
      }
    }
    variant.label = name;
    variant.name = std::move(name);
    info.variants.push_back(std::move(variant));
  }
  return {};
}

Result<> load_surroundings(Database& db, const std::string& condition, RunInfo& info) {
  TRY_ASSIGN(Statement environment,
             db.prepare("SELECT DISTINCT e.key, e.value FROM bundle_environment e WHERE e.bundle IN"
                        " (SELECT bundle FROM cell WHERE run = ?" +
                        condition + ")"));
  environment.bind(1, info.id);
  while (true) {
    TRY_ASSIGN(const bool row, environment.step());
    if (!row) break;
    if (environment.text(1).empty()) {
      info.environment_empty.insert(environment.string(0));
    } else {
      info.environment[environment.string(0)].insert(environment.string(1));
    }
  }
  TRY_ASSIGN(Statement prompts,
             db.prepare("SELECT c.prompt, max(p.sha256), max(p.text) FROM cell c"
                        " LEFT JOIN bundle_prompt p ON p.bundle = c.bundle AND p.id = c.prompt"
                        " WHERE c.run = ? AND c.prompt IS NOT NULL" +
                        condition + " GROUP BY c.prompt"));
  prompts.bind(1, info.id);
  while (true) {
    TRY_ASSIGN(const bool row, prompts.step());
    if (!row) break;
    info.prompts[prompts.string(0)] = PromptInfo{prompts.string(1), prompts.string(2)};
  }
  return {};
}

}  // namespace

const FieldInfo* KindInfo::find(std::string_view column) const {
  const auto at = std::find_if(fields.begin(), fields.end(),
                               [&](const FieldInfo& f) { return f.column == column; });
  return at == fields.end() ? nullptr : &*at;
}

std::vector<std::string> KindInfo::field_names() const {
  std::vector<std::string> out;
  for (const FieldInfo& field : fields) out.push_back(field.column);
  return out;
}

std::vector<std::string> KindInfo::keys() const {
  std::vector<std::string> out;
  for (const FieldInfo& field : fields) {
    const bool usual = !field.described && std::find(std::begin(kUsualKeys), std::end(kUsualKeys),
                                                     field.column) != std::end(kUsualKeys);
    if (field.role == FieldRole::key || usual) out.push_back(field.column);
  }
  return out;
}

std::string KindInfo::source() const { return view.starts_with('(') ? view : sql_name(view); }

// No GROUP BY, so that conditions on the run reach the cells.
const KindInfo& cells_kind() {
  static const KindInfo kCells = [] {
    const std::string with_prompt =
        "EXISTS (SELECT 1 FROM cells AS d WHERE d.run = c.run AND d.bundle = c.bundle AND d.status"
        " = 'ok' AND d.prompt ";
    KindInfo kind;
    kind.name = "cells";
    kind.view =
        "(SELECT c.run, c.milestone, r.provenance, r.\"commit\", c.variant, CASE WHEN NOT " +
        with_prompt +
        "> c.prompt) THEN c.prompt END AS prompt, c.repeat, c.request, NULL AS record,"
        " c.wall_s FROM cells AS c JOIN runs AS r ON r.run = c.run WHERE c.status = 'ok'"
        " AND c.cached = 0 AND NOT " +
        with_prompt + "< c.prompt))";
    kind.fields = {FieldInfo{"wall_s", "real", FieldRole::timing, true}};
    return kind;
  }();
  return kCells;
}

Result<std::vector<KindInfo>> load_kinds(Store& store) {
  Database& db = store.impl().db;
  std::vector<KindInfo> out;
  TRY_ASSIGN(
      Statement statement,
      db.prepare(
          "SELECT k.name, k.view_name, f.column_name, f.type, f.role, f.described, f.unit, f.name"
          " FROM kind k LEFT JOIN field f ON f.kind = k.id"
          " ORDER BY k.id, f.position"));
  while (true) {
    TRY_ASSIGN(const bool row, statement.step());
    if (!row) return out;
    if (out.empty() || out.back().name != statement.text(0)) {
      out.push_back(KindInfo{statement.string(0), statement.string(1), {}});
    }
    if (statement.is_null(2)) continue;
    out.back().fields.push_back(FieldInfo{statement.string(2), statement.string(3),
                                          role_of(statement.text(4)), statement.integer(5) != 0,
                                          statement.string(6), statement.string(7)});
  }
}

Result<std::vector<KindInfo>> kinds_of_run(Store& store, int64_t run) {
  TRY_ASSIGN(auto kinds, load_kinds(store));
  std::vector<KindInfo> out;
  for (KindInfo& kind : kinds) {
    TRY_ASSIGN(const Table found,
               select(store, run, "SELECT 1 FROM " + sql_name(kind.view) + " LIMIT 1"));
    if (!found.rows.empty()) out.push_back(std::move(kind));
  }
  return out;
}

Result<RunInfo> load_run(Store& store, int64_t run) { return load_run(store, run, {}); }

Result<RunInfo> load_run(Store& store, int64_t run, const std::set<std::string>& variants) {
  Database& db = store.impl().db;
  const std::string condition = among(variants);
  const std::string cells = "(SELECT count(*) FROM cell WHERE run = r.id" + condition;
  TRY_ASSIGN(Statement statement,
             db.prepare("SELECT name, milestone, title, prose, provenance, " +
                        std::string(kRunStatusSql) + ", started_at, ended_at, note, " +
                        (variants.empty() ? " max(cells_planned, " + cells + "))," : cells + "),") +
                        cells + " AND status <> 'ok')," + cells +
                        " AND cached)"
                        " FROM run r WHERE id = ?"));
  statement.bind(1, run);
  TRY_ASSIGN(const bool found, statement.step());
  if (!found) return fail(Exit::usage, "there is no run with the number " + std::to_string(run));
  RunInfo info;
  info.id = run;
  info.name = statement.string(0);
  info.milestone = statement.string(1);
  info.title = statement.string(2);
  info.prose = statement.string(3);
  info.provenance = statement.string(4);
  info.status = statement.string(5);
  info.started_at = statement.string(6);
  info.ended_at = statement.string(7);
  info.note = statement.string(8);
  info.cells = statement.integer(9);
  info.failed = statement.integer(10);
  info.cached = statement.integer(11);
  TRY_ASSIGN(info.baseline, texts(db,
                                  "SELECT value FROM run, json_each(run.baseline)"
                                  " WHERE run.id = ? ORDER BY json_each.key",
                                  run));
  TRY(load_variants(db, condition, info));
  TRY(load_surroundings(db, condition, info));
  return info;
}

Result<Table> select(Store& store, int64_t run, const std::string& sql) {
  auto table = store.query(sql, run);
  if (!table) table.error().message = printable(sql, 400) + ": " + table.error().message;
  return table;
}

bool is_result(FieldRole role) { return role == FieldRole::value || role == FieldRole::hash; }

bool is_number(const Value& value) {
  return value.type == Value::Type::integer ||
         (value.type == Value::Type::real && std::isfinite(value.real));
}

double to_double(const Value& value) {
  if (value.type == Value::Type::integer) return static_cast<double>(value.integer);
  if (value.type == Value::Type::real) return value.real;
  return std::numeric_limits<double>::quiet_NaN();
}

bool same_value(const Value& a, const Value& b) {
  if (is_number(a) && is_number(b)) {
    if (a.type == Value::Type::integer && b.type == a.type) return a.integer == b.integer;
    return to_double(a) == to_double(b);
  }
  return a.type == b.type && value_text(a) == value_text(b);
}

double distance(const Value& a, const Value& b) {
  if (a.type == Value::Type::integer && b.type == a.type) {
    const auto high = static_cast<uint64_t>(std::max(a.integer, b.integer));
    return static_cast<double>(high - static_cast<uint64_t>(std::min(a.integer, b.integer)));
  }
  const bool numbers = is_number(a) && is_number(b);
  return numbers ? std::abs(to_double(a) - to_double(b)) : std::numeric_limits<double>::quiet_NaN();
}

std::string sql_name(std::string_view name) {
  const bool plain = !name.empty() && name != "true" && name != "false" &&
                     !(name[0] >= '0' && name[0] <= '9') &&
                     std::all_of(name.begin(), name.end(),
                                 [](char c) {
                                   return c == '_' || (c >= '0' && c <= '9') ||
                                          (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
                                 }) &&
                     sqlite3_keyword_check(name.data(), static_cast<int>(name.size())) == 0;
  return plain ? std::string(name) : quoted_name(name);
}

std::vector<std::string> sql_names(const std::vector<std::string>& names) {
  std::vector<std::string> out;
  for (const std::string& name : names) out.push_back(sql_name(name));
  return out;
}

std::string row_place(const Table& table, size_t row, const std::vector<std::string>& columns) {
  std::vector<std::string> parts;
  for (size_t i = 0; i < table.columns.size(); ++i) {
    const Value& value = table.rows[row][i];
    if (value.type == Value::Type::null) continue;
    if (std::find(columns.begin(), columns.end(), table.columns[i]) == columns.end()) continue;
    parts.push_back(table.columns[i] + "=" + value_text(value));
  }
  return joined(parts, ", ");
}

}  // namespace greta::store
