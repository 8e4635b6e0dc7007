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

// The status of run `r`: complete is only what has all the cells of its plan.
inline constexpr std::string_view kRunStatusSql =
    "CASE WHEN r.status = 'complete' AND r.cells_planned > (SELECT count(*) FROM main.cell"
    " WHERE run = r.id) THEN 'partial' ELSE r.status END";

// CREATE [TEMP] VIEW statements. `run` < 0: stored views over all runs.
std::string fixed_views_sql(int64_t run);
std::string kind_view_sql(const KindColumns& kind, int64_t run);
// TEMP views in front of the tables themselves, so that a query over one run sees nothing else by
// any name but `main.…`, which query_guard.h refuses there.
std::string table_scopes_sql(const std::vector<KindColumns>& kinds, int64_t run);
const std::vector<std::string>& fixed_view_names();
// The name of the view of a kind called `word`: the same, unless a table, a view or SQL has it.
std::string view_name_of(std::string_view word);

}  // namespace greta::store
