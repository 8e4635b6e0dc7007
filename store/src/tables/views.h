#pragma once
// The views that people and gates query. Each is written once, as a template over a scope: the
// stored views see every run, the TEMP views of Store::query(sql, run) see one.

#include <string>
#include <string_view>
#include <vector>

#include "db/sqlite.h"
#include "tables/typed_tables.h"

namespace greta::store {

// The columns that stand before the fields in the view of every kind.
inline constexpr std::string_view kContextColumns[] = {
    "run", "milestone", "provenance", "commit", "variant", "prompt", "repeat", "request", "record"};

// The column of rec_<kind> that is no field and has no name of those: which row of `span` it has.
inline constexpr std::string_view kSpanColumn = "span";

// The status of run `r`: complete is only what has all the cells of its plan.
inline constexpr std::string_view kRunStatusSql =
    "CASE WHEN r.status = 'complete' AND r.cells_planned > (SELECT count(*) FROM main.cell"
    " WHERE run = r.id) THEN 'partial' ELSE r.status END";

// CREATE VIEW statements of the stored views.
std::string fixed_views_sql();
std::string kind_view_sql(const KindColumns& kind);

// CREATE TEMP VIEW for every view and, in front of them, every table, each over one run: with them
// a query sees nothing else by any name but `main.…`, which query_guard.h refuses there.
struct RunView {
  std::string name, sql;
};
std::vector<RunView> run_views(const std::vector<KindColumns>& kinds, int64_t run);
const std::vector<std::string>& fixed_view_names();
// The name of the view of a kind called `word`: the same, unless a table, a view or SQL has it.
std::string view_name_of(std::string_view word);

}  // namespace greta::store
