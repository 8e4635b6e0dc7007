#include "tables/views.h"

#include <algorithm>

namespace greta::store {
namespace {

struct View {
  std::string_view name;
  std::string_view scope;   // condition that limits it to run `?`; "" : the same for every run
  std::string_view select;  // without a WHERE where a scope may follow; kOfRun: see there
};
// In a select: " AND m.run = …" where the view shows one run, else nothing.
constexpr std::string_view kOfRun = "{of run}";
constexpr std::string_view kStatus = "{status}";  // kRunStatusSql

// A bundle belongs to a run through its cells. Every bundle has one request named '', and every run
// that uses the bundle is a member of it: that join gives each pair (run, bundle) once.
#define BUNDLE_OF_RUN                                       \
  " JOIN main.bundle b ON b.id = e.bundle"                  \
  " JOIN main.request q ON q.bundle = b.id AND q.name = ''" \
  " JOIN main.member m ON m.request = q.id JOIN main.run r ON r.id = m.run"
#define RUN_AND_BUNDLE "SELECT r.name AS run, r.milestone, b.hash AS bundle, b.variant, b.repeat,"

// The rows of a span stand near each other: a range finds them without an index. The views of kinds
// say CROSS JOIN and `+span`, or SQLite would rather start at the rows of all runs, or index them
// all for one query. The view of all lines is asked for single ones as well: {rows} is CROSS JOIN
// only where a run has chosen the spans.
constexpr std::string_view kRows = "{rows}";

constexpr std::string_view kBundleScope = "b.id IN (SELECT bundle FROM main.cell WHERE run = ?)";

constexpr View kViews[] = {
    {"runs", "r.id = ?",
     "SELECT r.name AS run, r.milestone, r.title, r.provenance, {status} AS status, r.accepted,"
     " r.started_at, r.ended_at, r.note,"
     " coalesce(r.\"commit\", (SELECT min(b.\"commit\") FROM main.cell c"
     " JOIN main.bundle b ON b.id = c.bundle WHERE c.run = r.id)) AS \"commit\","
     " max(r.cells_planned, (SELECT count(*) FROM main.cell c WHERE c.run = r.id)) AS cells,"
     " (SELECT count(*) FROM main.cell c WHERE c.run = r.id AND c.status = 'ok') AS cells_ok,"
     " (SELECT count(*) FROM main.gate g WHERE g.run = r.id AND g.status = 'pass') AS gates_passed,"
     " (SELECT count(*) FROM main.gate g WHERE g.run = r.id) AS gates,"
     " r.purpose, r.replay_of, r.baseline, r.prose, r.spec_path, r.spec_text, r.resolved, r.id AS "
     "run_id"
     " FROM main.run r"},
    {"cells", "r.id = ?",
     "SELECT r.name AS run, r.milestone, c.variant, c.prompt, c.repeat, c.status, c.reason,"
     " c.cached, b.wall_s, b.exit_code, b.signal, b.hash AS bundle, nullif(c.request, '') AS "
     "request,"
     " nullif(c.identity, '') AS identity, c.variant_json"
     " FROM main.cell c JOIN main.run r ON r.id = c.run LEFT JOIN main.bundle b ON b.id = "
     "c.bundle"},
    {"axes", "r.id = ?",
     "SELECT r.name AS run, r.milestone, c.variant, c.prompt, c.repeat, a.axis, a.value"
     " FROM main.cell_axis a JOIN main.cell c ON c.id = a.cell JOIN main.run r ON r.id = c.run"},
    {"gates", "r.id = ?",
     "SELECT r.name AS run, r.milestone, g.position, g.id, g.status, g.row_count, g.failed,"
     " g.measured, g.limit_value, g.worst, g.message, g.query"
     " FROM main.gate g JOIN main.run r ON r.id = g.run"},
    {"bundles", kBundleScope,
     "SELECT b.hash AS bundle, b.milestone, b.provenance, b.status, b.exit_code, b.signal, "
     "b.reason,"
     " b.started_at, b.ended_at, b.wall_s, b.executor, b.argv, b.variant, b.variant_json, b.repeat,"
     " b.\"commit\", b.contract_version FROM main.bundle b"},
    {"files", kBundleScope,
     "SELECT b.hash AS bundle, f.name, f.role, f.kind, c.bytes, c.sha256,"
     " (SELECT sum(length(p.zstd)) FROM main.content_chunk p WHERE p.content = c.id) AS "
     "stored_bytes"
     " FROM main.bundle_file f JOIN main.bundle b ON b.id = f.bundle"
     " JOIN main.content c ON c.id = f.content"},
    {"environment", "m.run = ?",
     RUN_AND_BUNDLE " e.key, e.value FROM main.bundle_environment e" BUNDLE_OF_RUN},
    {"flags", "m.run = ?",
     RUN_AND_BUNDLE " e.name, e.value, e.source, e.read FROM main.bundle_flag e" BUNDLE_OF_RUN},
    {"kernels", "m.run = ?",
     RUN_AND_BUNDLE " e.id, e.op, e.variant AS kernel_variant, e.code_hash, e.launches"
                    " FROM main.bundle_kernel e" BUNDLE_OF_RUN},
    {"prompts", "m.run = ?",
     RUN_AND_BUNDLE " e.id, e.sha256, e.text FROM main.bundle_prompt e" BUNDLE_OF_RUN},
    {"records", "s.request IN (SELECT request FROM main.member WHERE run = ?)",
     "SELECT x.id AS record, b.hash AS bundle, b.milestone, f.name AS file,"
     " x.id - f.first_record + 1 AS line, x.byte_offset, x.length,"
     " k.name AS kind, nullif(q.name, '') AS request,"
     " CASE s.state WHEN 0 THEN 'ok' WHEN 1 THEN 'duplicate_keys' WHEN 2 THEN 'nonstandard'"
     " WHEN 3 THEN 'blank' WHEN 4 THEN 'torn' ELSE 'invalid' END AS state,"
     " s.state < 3 AND EXISTS (SELECT 1 FROM main.member m WHERE m.request = s.request"
     " AND m.is_result = 1{of run}) AS is_result"
     " FROM main.span s {rows} main.record x"
     " ON x.id BETWEEN s.first_record AND s.last_record AND x.span = s.id"
     " JOIN main.bundle_file f ON f.id = s.file JOIN main.bundle b ON b.id = f.bundle"
     " JOIN main.kind k ON k.id = s.kind JOIN main.request q ON q.id = s.request"},
    {"kinds", "",
     "SELECT k.name AS kind, k.view_name AS \"view\", k.table_name AS \"table\", k.doc"
     " FROM main.kind k"},
    {"fields", "",
     "SELECT k.name AS kind, f.column_name AS \"column\", f.name AS field, f.type, f.role,"
     " f.optional, f.unit, f.version, f.described, f.misfit, f.doc"
     " FROM main.field f JOIN main.kind k ON k.id = f.kind ORDER BY k.name, f.position"},
};
#undef BUNDLE_OF_RUN
#undef RUN_AND_BUNDLE

// Of `record` and rec_<kind> alike: the rows that belong to run `?`.
std::string of_spans(std::string_view table, std::string_view id, int64_t run) {
  return "SELECT t.* FROM main.span s CROSS JOIN main." + quoted_name(table) + " t ON t." +
         std::string(id) + " BETWEEN s.first_record AND s.last_record AND +t.span = s.id" +
         " WHERE s.request IN (SELECT request FROM main.member WHERE run = " + std::to_string(run) +
         ")";
}

// The tables, and which of their rows belong to run `?`: a query over one run finds TEMP views of
// these names as well.
struct Scope {
  std::string_view table;
  std::string_view scope;  // "" : the same for every run
};
#define BUNDLES "(SELECT bundle FROM main.cell WHERE run = ?)"
#define REQUESTS "(SELECT request FROM main.member WHERE run = ?)"
constexpr Scope kTables[] = {
    {"meta", ""},
    {"migration", ""},
    {"kind", ""},
    {"field", ""},
    {"run", "id = ?"},
    {"cell", "run = ?"},
    {"cell_axis", "cell IN (SELECT id FROM main.cell WHERE run = ?)"},
    {"gate", "run = ?"},
    {"member", "run = ?"},
    {"bundle", "id IN " BUNDLES},
    {"content", "id IN (SELECT content FROM main.bundle_file WHERE bundle IN " BUNDLES ")"},
    {"content_chunk",
     "content IN (SELECT content FROM main.bundle_file WHERE bundle IN " BUNDLES ")"},
    {"bundle_file", "bundle IN " BUNDLES},
    {"bundle_environment", "bundle IN " BUNDLES},
    {"bundle_flag", "bundle IN " BUNDLES},
    {"bundle_kernel", "bundle IN " BUNDLES},
    {"bundle_prompt", "bundle IN " BUNDLES},
    {"request", "id IN " REQUESTS},
    {"span", "request IN " REQUESTS},
};
#undef BUNDLES
#undef REQUESTS

std::string scoped(std::string_view scope, int64_t run) {
  std::string out(scope);
  out.replace(out.find('?'), 1, std::to_string(run));
  return out;
}

std::string select_of(const View& view, int64_t run) {
  std::string out(view.select);
  if (const size_t at = out.find(kOfRun); at != std::string::npos)
    out.replace(at, kOfRun.size(), run < 0 ? "" : " AND m.run = " + std::to_string(run));
  if (const size_t at = out.find(kStatus); at != std::string::npos)
    out.replace(at, kStatus.size(), kRunStatusSql);
  if (const size_t at = out.find(kRows); at != std::string::npos)
    out.replace(at, kRows.size(), run < 0 ? "JOIN" : "CROSS JOIN");
  if (run >= 0 && !view.scope.empty()) out += " WHERE " + scoped(view.scope, run);
  return out;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return out;
}

// A stored view must not name its schema: the file may be attached under another name. A TEMP view
// must, or it would find the TEMP views instead of the tables.
std::string without_schema(std::string sql) {
  constexpr std::string_view kMain = "main.";
  for (size_t at = sql.find(kMain); at != std::string::npos; at = sql.find(kMain, at))
    sql.erase(at, kMain.size());
  return sql;
}

std::string create(std::string_view name, std::string select, int64_t run) {
  return (run < 0 ? "CREATE VIEW " : "CREATE TEMP VIEW ") + quoted_name(name) + " AS " +
         (run < 0 ? without_schema(std::move(select)) : std::move(select)) + ";\n";
}

}  // namespace

namespace {

std::string kind_view(const KindColumns& kind, int64_t run) {
  std::string select =
      "SELECT r.name AS run, r.milestone, b.provenance, b.\"commit\", m.variant, m.prompt, "
      "m.repeat,"
      " nullif(q.name, '') AS request, t.record";
  for (const std::string& column : kind.columns) {
    const std::string name = quoted_name(column);
    select += ", t." + name + " AS " + name;
  }
  select += " FROM main.member m JOIN main.span s ON s.request = m.request AND s.kind = " +
            std::to_string(kind.kind);
  select += " CROSS JOIN main." + quoted_name(kind.table_name) +
            " t ON t.record BETWEEN s.first_record AND s.last_record AND +t.span = s.id"
            " JOIN main.run r ON r.id = m.run"
            " JOIN main.request q ON q.id = s.request JOIN main.bundle b ON b.id = q.bundle"
            " WHERE m.is_result = 1";
  if (run >= 0) select += " AND m.run = " + std::to_string(run);
  return create(kind.view_name, std::move(select), run);
}

}  // namespace

std::string fixed_views_sql() {
  std::string sql;
  for (const View& view : kViews) sql += create(view.name, select_of(view, -1), -1);
  return sql;
}

std::string kind_view_sql(const KindColumns& kind) { return kind_view(kind, -1); }

std::vector<RunView> run_views(const std::vector<KindColumns>& kinds, int64_t run) {
  std::vector<RunView> out;
  const auto add = [&](std::string_view name, std::string select) {
    out.push_back({std::string(name), create(name, std::move(select), run)});
  };
  for (const View& view : kViews) add(view.name, select_of(view, run));
  for (const Scope& table : kTables) {
    if (table.scope.empty()) continue;
    add(table.table,
        "SELECT * FROM main." + quoted_name(table.table) + " WHERE " + scoped(table.scope, run));
  }
  add("record", of_spans("record", "id", run));
  for (const KindColumns& kind : kinds) {
    out.push_back({kind.view_name, kind_view(kind, run)});
    add(kind.table_name, of_spans(kind.table_name, "record", run));
  }
  return out;
}

const std::vector<std::string>& fixed_view_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> out;
    for (const View& view : kViews) out.emplace_back(view.name);
    return out;
  }();
  return names;
}

namespace {

// Tables that SQLite brings without being asked, in one build or another: no view may have the
// name.
constexpr std::string_view kSqliteTables[] = {"json_each",   "json_tree",      "jsonb_each",
                                              "jsonb_tree",  "dbstat",         "bytecode",
                                              "tables_used", "generate_series"};

// A table, a fixed view, a schema or a keyword of SQL.
bool is_reserved_name(std::string_view name) {
  const std::string word = lower(name);
  return word == "main" || word == "temp" ||  // names of schemas
         sqlite3_keyword_check(word.data(), static_cast<int>(word.size())) != 0 ||
         std::find(std::begin(kSqliteTables), std::end(kSqliteTables), word) !=
             std::end(kSqliteTables) ||
         std::any_of(std::begin(kTables), std::end(kTables),
                     [&](const Scope& table) { return table.table == word; }) ||
         word == "record" ||
         std::any_of(fixed_view_names().begin(), fixed_view_names().end(),
                     [&](const std::string& view) { return view == word; });
}

}  // namespace

std::string view_name_of(std::string_view word) {
  const std::string name = lower(word);
  // Nothing behind these would help: SQLite keeps the one for itself, the other is for tables.
  for (const std::string_view prefix : {"sqlite_", "pragma_", "rec_"})
    if (name.starts_with(prefix)) return "kind_" + std::string(word);
  return std::string(word) + (is_reserved_name(word) ? "_records" : "");
}

}  // namespace greta::store
