// A question that found nothing: what was looked for, and what there is instead.

#include <algorithm>

#include "compare/run_info.h"
#include "contract/text.h"
#include "db/sqlite.h"
#include "history/metric_asked.h"
#include "history/metric_notes.h"
#include "text/markdown.h"

namespace greta::store {
namespace {

constexpr size_t kMostShown = 8;
constexpr const char* kSomeValues = " LIMIT 200";

std::string range_text(int64_t low, int64_t high) {
  return low == high ? std::to_string(low) : std::to_string(low) + "–" + std::to_string(high);
}

// 0, 1, 2, 7 → "0–2, 7"; the values are in order.
std::string whole_numbers(const Table& values) {
  std::vector<std::string> out;
  for (size_t i = 0; i < values.rows.size();) {
    const int64_t low = values.rows[i][0].integer;
    int64_t high = low;
    for (++i; i < values.rows.size() && values.rows[i][0].integer == high + 1; ++i) ++high;
    out.push_back(range_text(low, high));
  }
  return joined(out);
}

std::string listed(const Table& values) {
  const bool whole = std::all_of(values.rows.begin(), values.rows.end(), [](const auto& row) {
    return row[0].type == Value::Type::integer;
  });
  if (whole) return whole_numbers(values);
  std::vector<std::string> out;
  for (size_t i = 0; i < values.rows.size() && i < kMostShown; ++i)
    out.push_back(printable(visible_text(value_text(values.rows[i][0]))));
  const size_t more = values.rows.size() - out.size();
  return joined(out) + (more == 0 ? "" : ", … " + std::to_string(more) + " more");
}

// Of texts: a number that is near another one is no slip of it.
std::string nearest_of(const std::string& word, const Table& values) {
  std::vector<std::string> names;
  for (const auto& row : values.rows)
    if (row[0].type == Value::Type::text) names.push_back(row[0].text);
  return did_you_mean(word, names);
}

Result<bool> any(Store& store, const std::string& select, const Cancelled& cancelled) {
  TRY_ASSIGN(const Table found,
             table_of(store, "SELECT 1 FROM (" + select + ") LIMIT 1", cancelled));
  return !found.rows.empty();
}

// Of the metric's records for which the conditions hold of which `use` is true.
Result<std::string> no_such_value(Store& store, const Asked& asked, const MetricFilter& filter,
                                  const Asked::Use& use, const Cancelled& cancelled) {
  std::string column = "t." + sql_name(filter.column);
  if (filter.column == "commit") column = "substr(" + column + ", 1, 10)";
  TRY_ASSIGN(const Table values,
             table_of(store,
                      "SELECT DISTINCT v FROM (" + asked.select(column + " AS v", use) +
                          ") WHERE v IS NOT NULL ORDER BY 1" + kSomeValues,
                      cancelled));
  if (values.rows.empty()) return ": the records have no " + filter.column;
  return ": there is " + filter.column + " " + listed(values) +
         nearest_of(filter.accepted[0], values);
}

Result<std::string> no_such_axis(Store& store, const Asked& asked,
                                 const std::pair<std::string, std::string>& axis,
                                 const Asked::Use& use, const Cancelled& cancelled) {
  const std::string axes = " FROM (SELECT DISTINCT run, variant FROM (" +
                           asked.select("t.run AS run, t.variant AS variant", use) +
                           ")) AS r JOIN axes AS a ON a.run = r.run AND a.variant = r.variant";
  TRY_ASSIGN(const Table values, table_of(store,
                                          "SELECT DISTINCT a.value" + axes + " WHERE a.axis = " +
                                              quoted_text(axis.first) + " ORDER BY 1" + kSomeValues,
                                          cancelled));
  if (!values.rows.empty())
    return ": there is " + axis.first + " " + listed(values) + nearest_of(axis.second, values);
  TRY_ASSIGN(
      const Table names,
      table_of(store, "SELECT DISTINCT a.axis" + axes + " ORDER BY 1" + kSomeValues, cancelled));
  if (names.rows.empty()) return std::string(": the variants have no axes");
  return (names.rows.size() == 1 ? ": there is the axis " : ": there are the axes ") +
         listed(names) + nearest_of(axis.first, names);
}

Result<std::string> instead_of(Store& store, const Asked& asked, size_t condition,
                               const Asked::Use& use, const Cancelled& cancelled) {
  const MetricQuestion& question = asked.question;
  if (condition < question.filters.size())
    return no_such_value(store, asked, question.filters[condition], use, cancelled);
  condition -= question.filters.size();
  if (condition < question.axes.size())
    return no_such_axis(store, asked, question.axes[condition], use, cancelled);
  TRY_ASSIGN(const Table all,
             table_of(store, "SELECT count(*) FROM (" + asked.select("1", use) + ")", cancelled));
  return ", of " + value_text(all.rows[0][0]);
}

// "no layer 31: there is layer 0–7", for the first condition that alone (`rest`: among the others)
// keeps anything from being found; "" when there is none.
Result<std::string> first_to_blame(Store& store, const Asked& asked, bool rest,
                                   const Cancelled& cancelled) {
  for (size_t i = 0; i < asked.conditions(); ++i) {
    const auto others = [&](size_t other) { return rest && other != i; };
    const auto with_it = [&](size_t other) { return other == i || others(other); };
    TRY_ASSIGN(const bool both, any(store, asked.select("1", with_it), cancelled));
    if (both) continue;
    TRY_ASSIGN(const bool there, any(store, asked.select("1", others), cancelled));
    if (!there) continue;
    TRY_ASSIGN(const std::string instead, instead_of(store, asked, i, others, cancelled));
    return "no " + std::string(i < asked.kinds[0].conditions.size() ? "" : "record ") +
           asked.shown(i) + (rest ? " with all the rest" : "") + instead;
  }
  return std::string();
}

// "readout.gap"; of several kinds "gap of landscape, readout".
std::string name_of(const Asked& asked) {
  const MetricSource& first = asked.kinds[0].source;
  if (asked.kinds.size() == 1) return first.kind + "." + first.field;
  std::vector<MetricSource> sources;
  for (const AskedKind& kind : asked.kinds) sources.push_back(kind.source);
  return first.field + " of " + kinds_text(sources);
}

Result<std::string> why(Store& store, const Asked& asked, const Cancelled& cancelled) {
  const auto none = [](size_t) { return false; };
  TRY_ASSIGN(const bool some, any(store, asked.select("1", none), cancelled));
  if (!some) return std::string("; no record has it at all");
  const auto every = [](size_t) { return true; };
  TRY_ASSIGN(const bool left_out, any(store, asked.select("1", every), cancelled));
  if (left_out) {
    return std::string(
        " but in runs with a fault injected on purpose, replays and probes, which"
        " --provenance or --run asks for");
  }
  for (const bool rest : {false, true}) {
    TRY_ASSIGN(const std::string blame, first_to_blame(store, asked, rest, cancelled));
    if (!blame.empty()) return "; " + blame;
  }
  return std::string("; each of these has records, but none has all");
}

}  // namespace

Result<std::string> why_nothing(Store& store, const MetricQuestion& question,
                                const Cancelled& cancelled) {
  TRY_ASSIGN(const Asked asked, asked_of(store, question));
  std::vector<std::string> wanted;
  for (const Condition& condition : asked.kinds[0].conditions) wanted.push_back(condition.shown);
  std::string out =
      "nothing found: " + name_of(asked) + (wanted.empty() ? "" : " with " + joined(wanted));
  if (!question.where.empty()) out += " " + asked.shown(wanted.size());
  TRY_ASSIGN(const std::string reason, why(store, asked, cancelled));
  TRY_ASSIGN(const auto otherwise, held_otherwise(store, asked, cancelled));
  out += reason;
  for (const std::string& other : otherwise) out += "; " + other;
  return out;
}

}  // namespace greta::store
