#include "history/metric_notes.h"

#include <algorithm>

#include "compare/run_info.h"
#include "contract/text.h"
#include "db/sqlite.h"
#include "history/metric_asked.h"
#include "text/markdown.h"

namespace greta::store {
namespace {

constexpr size_t kMostNamed = 4;

// A field whose values are in more than one column: of another type, or as another engine
// describes it.
struct Divided {
  std::string kind, field, column;
  bool misfit = false;
};
Result<std::vector<Divided>> divided_fields(Store& store, const Cancelled& cancelled) {
  TRY_ASSIGN(const Table found,
             table_of(store,
                      "SELECT kind, field, \"column\", misfit FROM fields WHERE (kind, field) IN"
                      " (SELECT kind, field FROM fields WHERE misfit OR version > 1)",
                      cancelled));
  std::vector<Divided> out;
  for (const auto& row : found.rows)
    out.push_back({row[0].text, row[1].text, row[2].text, row[3].integer != 0});
  return out;
}

// The other columns of the field that this one is of; none of a misfit, which is asked for by name.
std::vector<std::string> other_columns(const std::vector<Divided>& divided, const std::string& kind,
                                       const std::string& column) {
  const auto own = std::find_if(divided.begin(), divided.end(), [&](const Divided& one) {
    return one.kind == kind && one.column == column;
  });
  std::vector<std::string> out;
  if (own == divided.end() || own->misfit) return out;
  for (const Divided& one : divided)
    if (one.kind == kind && one.field == own->field && one.column != column)
      out.push_back(one.column);
  return out;
}

// "2 records of readout hold gap otherwise: gap__text"
std::string otherwise_text(int64_t records, const std::string& kind, const std::string& column,
                           const std::string& other) {
  return std::to_string(records) + (records == 1 ? " record of " : " records of ") +
         printable(kind) + (records == 1 ? " holds " : " hold ") + printable(column) +
         " otherwise: " + printable(other);
}

// The columns of filters and `by` that are fields of the kind.
std::vector<std::string> asked_fields(const MetricQuestion& question, const MetricSource& source) {
  std::vector<std::string> names, out;
  for (const MetricFilter& filter : question.filters) names.push_back(filter.column);
  names.insert(names.end(), question.by.begin(), question.by.end());
  for (const std::string& name : names) {
    const bool field = std::any_of(source.columns.begin(), source.columns.end(),
                                   [&](const auto& column) { return column.first == name; });
    const bool known = name == source.field || std::find(out.begin(), out.end(), name) != out.end();
    if (field && !known) out.push_back(name);
  }
  return out;
}

Result<int64_t> count_of(Store& store, const std::string& from, const Cancelled& cancelled) {
  TRY_ASSIGN(const Table found, table_of(store, "SELECT count(*)" + from, cancelled));
  return found.rows[0][0].integer;
}

}  // namespace

Result<std::vector<std::string>> held_otherwise(Store& store, const Asked& asked,
                                                const Cancelled& cancelled) {
  TRY_ASSIGN(const auto divided, divided_fields(store, cancelled));
  std::vector<std::string> out;
  for (const AskedKind& kind : asked.kinds) {
    const MetricSource& source = kind.source;
    const auto every = [](size_t) { return true; };
    for (const std::string& other : other_columns(divided, source.kind, source.field)) {
      TRY_ASSIGN(const int64_t records, count_of(store, asked.from(kind, other, every), cancelled));
      if (records > 0) out.push_back(otherwise_text(records, source.kind, source.field, other));
    }
    for (const std::string& column : asked_fields(asked.question, source)) {
      const auto rest = [&](size_t i) {
        return i >= asked.question.filters.size() || asked.question.filters[i].column != column;
      };
      for (const std::string& other : other_columns(divided, source.kind, column)) {
        TRY_ASSIGN(const int64_t records,
                   count_of(store,
                            asked.from(kind, source.field, rest) + " AND t." + sql_name(column) +
                                " IS NULL AND t." + sql_name(other) + " IS NOT NULL",
                            cancelled));
        if (records > 0) out.push_back(otherwise_text(records, source.kind, column, other));
      }
    }
  }
  return out;
}

namespace {

// Milestones with more than one recorded run, as a list in SQL; "" where there are none. They are
// looked for by their bundles: these have short rows, runs have specs in them.
Result<std::string> milestones_recorded_twice(Store& store, const Cancelled& cancelled) {
  TRY_ASSIGN(const Table found,
             table_of(store,
                      "SELECT c.milestone FROM bundles AS b CROSS JOIN cells AS c ON c.bundle ="
                      " b.bundle WHERE b.provenance = 'recorded' GROUP BY c.milestone HAVING"
                      " count(DISTINCT c.run) > 1",
                      cancelled));
  std::vector<std::string> milestones;
  for (const auto& row : found.rows) milestones.push_back(quoted_text(row[0].text));
  return joined(milestones);
}

// "more than one recorded run of B3.21 (2): …"; "" where none has.
Result<std::string> recorded_twice(Store& store, const Asked& asked, const Cancelled& cancelled) {
  const auto& filters = asked.question.filters;
  if (std::any_of(filters.begin(), filters.end(),
                  [](const MetricFilter& filter) { return filter.column == "run"; }))
    return std::string();
  TRY_ASSIGN(const std::string milestones, milestones_recorded_twice(store, cancelled));
  if (milestones.empty()) return std::string();
  Asked recorded = asked;
  recorded.further = "t.run IN (SELECT run FROM runs WHERE milestone IN (" + milestones +
                     ") AND provenance = 'recorded')" +
                     (asked.further.empty() ? "" : " AND " + asked.further);
  const std::string records =
      recorded.select("t.milestone AS milestone, t.run AS run", [](size_t) { return true; });
  TRY_ASSIGN(const Table found,
             table_of(store,
                      "SELECT milestone, count(DISTINCT run) FROM (" + records +
                          ") GROUP BY 1 HAVING count(DISTINCT run) > 1 ORDER BY 1",
                      cancelled));
  if (found.rows.empty()) return std::string();
  std::vector<std::string> names;
  for (size_t i = 0; i < found.rows.size() && i < kMostNamed; ++i)
    names.push_back(printable(found.rows[i][0].text) + " (" + value_text(found.rows[i][1]) + ")");
  const size_t more = found.rows.size() - names.size();
  return "more than one recorded run of " + joined(names) +
         (more == 0 ? "" : " and " + std::to_string(more) + " more milestones") +
         ": the same figure may count twice (--milestone MILESTONE@recorded takes the latest,"
         " --run any)";
}

}  // namespace

Result<std::vector<std::string>> notes_of(Store& store, const Asked& asked,
                                          const Cancelled& cancelled) {
  TRY_ASSIGN(std::vector<std::string> notes, held_otherwise(store, asked, cancelled));
  TRY_ASSIGN(std::string twice, recorded_twice(store, asked, cancelled));
  if (!twice.empty()) notes.push_back(std::move(twice));
  return notes;
}

Result<std::vector<std::string>> metric_notes(Store& store, const MetricQuestion& question,
                                              const std::vector<MetricSource>& sources,
                                              const Cancelled& cancelled) {
  TRY_ASSIGN(const Asked asked, asked_of(sources, question));
  return notes_of(store, asked, cancelled);
}

}  // namespace greta::store
