#include "gates/gates_measure.h"

#include <algorithm>
#include <cmath>

#include "contract/text.h"
#include "gates/gates_across.h"
#include "gates/gates_bounds.h"
#include "gates/gates_ratio.h"
#include "runs/query.h"
#include "text/markdown.h"

namespace greta::store {

namespace {

GateOutcome not_measured(const Gate& gate, std::string message, std::string query) {
  return GateOutcome{.id = gate.id,
                     .status = GateStatus::not_measured,
                     .message = std::move(message),
                     .query = std::move(query)};
}

std::string no_rows_message(const KindScope& scope) {
  std::string message = "no " + scope.kind.name + " record";
  if (!scope.gate.where.empty()) message += " where " + printable(scope.gate.where);
  return message + ": nothing was measured";
}

// Every record against its limits.
Result<GateOutcome> measure_records(const KindScope& scope, const GateBounds& bounds) {
  const std::string& field = scope.gate.field;
  const std::string name = sql_name(field);
  const bool limit_is_column = bounds.has_field();
  const std::string holds = bounds.holds_sql(name);
  std::vector<std::string> columns = sql_names(scope.place_columns());
  columns.push_back(name);
  if (limit_is_column) columns.push_back(sql_name(bounds.only().limit_field));

  TRY_ASSIGN(const Table counts,
             scope.select("SELECT count(*), sum(NOT " + holds + ")" + scope.from()));
  GateOutcome outcome{.id = scope.gate.id};
  outcome.rows = counts.rows[0][0].integer;
  outcome.query = "SELECT " + joined(columns, ", ") + scope.from() + " ORDER BY " + holds + ", " +
                  bounds.order_sql(name) + " LIMIT 10";
  if (outcome.rows == 0) return not_measured(scope.gate, no_rows_message(scope), outcome.query);
  outcome.failed = counts.rows[0][1].integer;

  TRY_ASSIGN(const Table worst, scope.select(outcome.query));
  const auto& row = worst.rows.front();
  const size_t at = columns.size() - (limit_is_column ? 2 : 1);
  outcome.measured = value_text(row[at]);
  outcome.limit = bounds.text() + (limit_is_column ? " = " + value_text(row[at + 1]) : "");
  outcome.where = row_place(worst, 0, scope.place_columns());
  outcome.status = outcome.failed == 0 ? GateStatus::pass : GateStatus::fail;
  std::string what = field + " = " + outcome.measured;
  if (!is_number(row[at])) {
    what += ", which is no finite number";
  } else if (limit_is_column && !is_number(row[at + 1])) {
    what += ", and its limit `" + bounds.only().limit_field + "` = " + value_text(row[at + 1]) +
            " is no finite number";
  }
  outcome.message = outcome.failed == 0
                        ? "all " + std::to_string(outcome.rows) + " records hold; nearest: " + what
                        : std::to_string(outcome.failed) + " of " + std::to_string(outcome.rows) +
                              " records do not hold; worst: " + what;
  return outcome;
}

// An aggregate over all records, or over each group of `per`.
Result<GateOutcome> measure_aggregate(const KindScope& scope, const GateBounds& bounds) {
  const Gate& gate = scope.gate;
  const std::string name = sql_name(gate.field);
  const bool extreme = gate.agg == "max" || gate.agg == "min", counts = gate.agg == "count";
  const std::string groups = joined(sql_names(gate.per), ", ");
  std::string value = (gate.agg == "mean" ? "avg" : gate.agg) + "(" + name + ")";
  std::string from = scope.from();
  if (gate.agg == "median") {
    const std::string middle =
        "(CASE WHEN value_rank IN ((value_count + 1) / 2, (value_count + 2) / 2) THEN " + name +
        " END)";
    // One in the middle stays as it is: a mean of whole numbers is a double.
    value = "CASE WHEN min" + middle + " = max" + middle + " THEN max" + middle + " ELSE avg" +
            middle + " END";
    const std::string parted = groups.empty() ? "" : "PARTITION BY " + groups;
    from = " FROM (SELECT *, row_number() OVER (" + parted + " ORDER BY " + name +
           ") AS value_rank, count(*) OVER (" + parted + ") AS value_count" + from + ")";
  }
  // The limit of a group is its tightest one.
  std::string limit_columns;
  const Bound& bound = bounds.only();
  if (bounds.has_field()) {
    const std::string column = sql_name(bound.limit_field);
    limit_columns = std::string(bounds.upper() ? ", min(" : ", max(") + column + ") AS " +
                    sql_name("limit_value") + ", count(DISTINCT " + column + "), sum(NOT " +
                    is_number_sql(column) + ")";
  }
  GateOutcome outcome{.id = gate.id};
  std::string sql = "SELECT " + (groups.empty() ? "" : groups + ", ") + value +
                    " AS value, count(*), sum(NOT " + is_number_sql(name) + ")" + limit_columns;
  // With max() or min() the bare columns are those of the row that has it.
  std::vector<std::string> bare;
  for (const std::string& column : scope.place_columns()) {
    if (extreme && limit_columns.empty() &&
        std::find(gate.per.begin(), gate.per.end(), column) == gate.per.end()) {
      bare.push_back(column);
      sql += ", " + sql_name(column);
    }
  }
  const std::string order = bounds.has_field()
                                ? std::string("value") + (bounds.upper() ? " DESC" : "")
                                : bounds.order_sql("value");
  outcome.query = sql + from + (groups.empty() ? "" : " GROUP BY " + groups) + " ORDER BY " + order;
  TRY_ASSIGN(const Table table, scope.select(outcome.query));

  const size_t value_at = gate.per.size(), limit_at = value_at + 3;
  std::vector<std::string> place = gate.per;
  place.insert(place.end(), bare.begin(), bare.end());
  bool found = false, worst_holds = true;
  int64_t unusable = 0, counted = 0;
  std::string nothing_counted_in;
  for (size_t i = 0; i < table.rows.size(); ++i) {
    const auto& row = table.rows[i];
    outcome.rows += row[value_at + 1].integer;
    if (row[value_at + 1].integer == 0) continue;
    const Exact measured = exact(row[value_at]);
    if (counts) {
      counted += row[value_at].integer;
      if (measured == 0 && nothing_counted_in.empty())
        nothing_counted_in = row_place(table, i, gate.per);
    } else {
      unusable += row[value_at + 2].integer;
    }
    bool holds = bounds.holds(measured);
    std::string limit = bounds.text();
    if (bounds.has_field()) {
      unusable += row[limit_at + 2].integer;
      if ((bound.compare == "eq" || bound.compare == "ne") && row[limit_at + 1].integer > 1) {
        return fail(Exit::usage, "`" + bound.limit_field + "` has several values in one group (" +
                                     row_place(table, i, gate.per) + "): use `per` to part them");
      }
      holds = std::isfinite(measured) && compares(measured, bound.compare, exact(row[limit_at]));
      limit = compare_sign(bound.compare) + " " + value_text(row[limit_at]);
    }
    outcome.failed += holds ? 0 : 1;
    if (found && (holds || !worst_holds)) continue;  // the first failed one is the worst
    found = true;
    worst_holds = holds;
    outcome.measured = value_text(row[value_at]);
    outcome.limit = limit;
    outcome.where = row_place(table, i, place);
  }
  if (outcome.rows == 0) {
    return not_measured(gate,
                        no_rows_message(scope) + (counts ? "; to expect that none is wrong, let "
                                                           "every record hold instead of counting"
                                                         : ""),
                        outcome.query);
  }
  if (counts && counted == 0) {
    return not_measured(gate,
                        "none of " + std::to_string(outcome.rows) + " " + scope.kind.name +
                            " records has a value of " + gate.field + ": nothing was counted",
                        outcome.query);
  }
  const std::string what = gate.agg + "(" + gate.field + ")";
  if (unusable > 0) {
    std::vector<std::string> judged;
    if (!counts) judged.push_back(gate.field);
    if (bounds.has_field()) judged.push_back(bound.limit_field);
    std::vector<std::string> are_numbers;
    for (const std::string& one : sql_names(judged)) are_numbers.push_back(is_number_sql(one));
    const auto place_columns = scope.place_columns();
    std::vector<std::string> columns = place_columns;
    columns.insert(columns.end(), judged.begin(), judged.end());
    outcome.query = "SELECT " + joined(sql_names(columns), ", ") +
                    scope.from("NOT (" + joined(are_numbers, " AND ") + ")") + " ORDER BY " +
                    joined(are_numbers, ", ") + " LIMIT 10";
    TRY_ASSIGN(const Table bad_rows, scope.select(outcome.query));
    size_t bad = place_columns.size();
    while (is_number(bad_rows.rows.at(0).at(bad))) ++bad;
    outcome.status = GateStatus::fail;
    outcome.failed = unusable;
    outcome.measured = value_text(bad_rows.rows[0][bad]);
    outcome.where = row_place(bad_rows, 0, place_columns);
    outcome.message = std::to_string(unusable) + " of " + std::to_string(outcome.rows) +
                      " records hold no finite number, so " + what +
                      " has no meaning; first: " + columns[bad] + " = " + outcome.measured;
    return outcome;
  }
  outcome.status = outcome.failed == 0 ? GateStatus::pass : GateStatus::fail;
  outcome.message =
      what + " = " + outcome.measured + " over " + std::to_string(outcome.rows) + " records";
  if (outcome.failed == 0 && !nothing_counted_in.empty()) {
    outcome.status = GateStatus::not_measured;
    outcome.where = nothing_counted_in;
    outcome.message += "; nothing was counted in " + nothing_counted_in;
  }
  if (!gate.per.empty()) {
    outcome.message += " in " + std::to_string(table.rows.size()) + " groups, of which " +
                       std::to_string(outcome.failed) + " do not hold";
  }
  return outcome;
}

Result<> check_aggregate(const Gate& gate) {
  const auto& known = gate_aggregates();
  if (gate.agg.empty() || std::find(known.begin(), known.end(), gate.agg) != known.end()) return {};
  return fail(Exit::usage, "unknown aggregate `" + gate.agg + "`" + did_you_mean(gate.agg, known));
}

Result<GateOutcome> measure_metric(const KindScope& scope) {
  const Gate& gate = scope.gate;
  TRY(scope.check_field(gate.field));
  TRY(check_aggregate(gate));
  TRY_ASSIGN(const GateBounds bounds, GateBounds::of(gate));
  if (gate.partner.what != Partner::What::none) return measure_ratio(scope, bounds);
  const Bound& bound = bounds.only();
  if (bounds.has_field()) TRY(scope.check_field(bound.limit_field));
  // max <= bound with a bound in every record means that every record is within its own.
  const bool own_limit = bounds.has_field() &&
                         ((gate.agg == "max" && (bound.compare == "le" || bound.compare == "lt")) ||
                          (gate.agg == "min" && (bound.compare == "ge" || bound.compare == "gt")));
  return gate.agg.empty() || own_limit ? measure_records(scope, bounds)
                                       : measure_aggregate(scope, bounds);
}

Result<GateOutcome> measure_all(const KindScope& scope) {
  const Gate& gate = scope.gate;
  TRY(scope.check_field(gate.field));
  const std::string name = sql_name(gate.field);
  TRY_ASSIGN(const Table counts,
             scope.select("SELECT count(*), sum(" + name + " IS NOT 1)" + scope.from()));
  GateOutcome outcome{.id = gate.id};
  outcome.rows = counts.rows[0][0].integer;
  outcome.query = "SELECT " + joined(sql_names(scope.place_columns()), ", ") + ", " + name +
                  scope.from() + " ORDER BY " + name + " IS 1 LIMIT 10";
  if (outcome.rows == 0) return not_measured(gate, no_rows_message(scope), outcome.query);
  outcome.failed = counts.rows[0][1].integer;
  TRY_ASSIGN(const Table worst, scope.select(outcome.query));
  const Value& value = worst.rows.front().back();
  outcome.measured = value.type == Value::Type::integer && value.integer <= 1 && value.integer >= 0
                         ? (value.integer == 1 ? "true" : "false")
                         : value_text(value);
  outcome.limit = "true";
  outcome.where = row_place(worst, 0, scope.place_columns());
  outcome.status = outcome.failed == 0 ? GateStatus::pass : GateStatus::fail;
  outcome.message =
      outcome.failed == 0
          ? gate.field + " is true in all " + std::to_string(outcome.rows) + " records"
          : gate.field + " is not true in " + std::to_string(outcome.failed) + " of " +
                std::to_string(outcome.rows) + " records";
  return outcome;
}

Result<GateOutcome> measure_distinct(const KindScope& scope,
                                     const std::vector<std::string>& fields) {
  const Gate& gate = scope.gate;
  if (fields.size() < 2) return fail(Exit::usage, "`distinct` needs two fields, or `across`");
  std::vector<std::string> conditions;
  for (size_t i = 0; i < fields.size(); ++i) {
    TRY(scope.check_field(fields[i]));
    for (size_t j = 0; j < i; ++j) {
      if (fields[i] == fields[j]) {
        return fail(Exit::usage, "`" + fields[i] + "` is compared with itself");
      }
      conditions.push_back(sql_name(fields[j]) + " <> " + sql_name(fields[i]));
    }
  }
  const std::string holds = "(" + joined(conditions, " AND ") + ")";
  std::vector<std::string> columns = sql_names(scope.place_columns());
  for (const std::string& field : fields) columns.push_back(sql_name(field));
  TRY_ASSIGN(const Table counts,
             scope.select("SELECT count(*), sum(" + holds + " IS NOT 1)" + scope.from()));
  GateOutcome outcome{.id = gate.id};
  outcome.rows = counts.rows[0][0].integer;
  outcome.query =
      "SELECT " + joined(columns, ", ") + scope.from() + " ORDER BY " + holds + " IS 1 LIMIT 10";
  if (outcome.rows == 0) return not_measured(gate, no_rows_message(scope), outcome.query);
  outcome.failed = counts.rows[0][1].integer;
  TRY_ASSIGN(const Table worst, scope.select(outcome.query));
  std::vector<std::string> values;
  for (size_t i = columns.size() - fields.size(); i < columns.size(); ++i) {
    values.push_back(value_text(worst.rows.front()[i]));
  }
  outcome.measured = joined(values, ", ");
  outcome.limit = "distinct";
  outcome.where = row_place(worst, 0, scope.place_columns());
  outcome.status = outcome.failed == 0 ? GateStatus::pass : GateStatus::fail;
  outcome.message = joined(fields, ", ") +
                    (outcome.failed == 0
                         ? " differ in all "
                         : " are equal or missing in " + std::to_string(outcome.failed) + " of ") +
                    std::to_string(outcome.rows) + " records";
  return outcome;
}

// The record kinds that the SQL reads, where it reads nothing else of the run and none of them has
// a record: that such a query finds nothing wrong says nothing. "" where that is not so.
Result<std::string> kinds_without_records(const GateInput& input, const std::string& sql) {
  TRY_ASSIGN(const auto views, views_read(input.store, sql, input.run));
  std::vector<std::string> kinds;
  for (const std::string& view : views) {
    const auto kind = std::find_if(input.kinds.begin(), input.kinds.end(),
                                   [&](const KindInfo& one) { return one.view == view; });
    if (kind == input.kinds.end()) return std::string();
    TRY_ASSIGN(const Table any,
               input.store.query("SELECT 1 FROM " + kind->source() + " LIMIT 1", input.run));
    if (!any.rows.empty()) return std::string();
    kinds.push_back(kind->name);
  }
  return joined(kinds, " or ");
}

Result<GateOutcome> measure_sql(const GateInput& input, const Gate& gate) {
  GateOutcome outcome{.id = gate.id, .limit = "true", .query = gate.sql};
  TRY_ASSIGN(const Table table, input.store.query(gate.sql, input.run));
  if (table.rows.empty() || table.columns.empty()) {
    return not_measured(gate, "the query gave no row: nothing was measured", gate.sql);
  }
  TRY_ASSIGN(const std::string kinds, kinds_without_records(input, gate.sql));
  if (!kinds.empty()) {
    return not_measured(gate,
                        "no " + kinds +
                            " record: nothing was measured; to expect that there is none, ask the "
                            "view `records`",
                        gate.sql);
  }
  outcome.rows = static_cast<int64_t>(table.rows.size());
  size_t shown = 0;
  for (size_t i = 0; i < table.rows.size(); ++i) {
    const Value& first = table.rows[i][0];
    if (is_number(first) && to_double(first) != 0) continue;
    if (outcome.failed++ == 0) shown = i;
  }
  outcome.measured = value_text(table.rows[shown][0]);
  const std::vector<std::string> others(table.columns.begin() + 1, table.columns.end());
  outcome.where = row_place(table, shown, others);
  outcome.status = outcome.failed == 0 ? GateStatus::pass : GateStatus::fail;
  outcome.message = outcome.failed == 0 ? "true in all " + std::to_string(outcome.rows) + " rows"
                                        : "not true in " + std::to_string(outcome.failed) + " of " +
                                              std::to_string(outcome.rows) + " rows";
  return outcome;
}

// Cells without any record of the kind, unless `where` cannot hold for them whatever their records
// would say (a condition on variant, prompt or repeat that is false).
Result<> add_missing_cells(const KindScope& scope, GateOutcome& outcome) {
  if (scope.kind.name == cells_kind().name) {
    TRY_ASSIGN(const Table cached, scope.select("SELECT count(*) FROM cells WHERE cached = 1"));
    if (const int64_t count = cached.rows[0][0].integer; count > 0) {
      outcome.message += "; " + std::to_string(count) +
                         " cells were taken from the cache and have no time here"
                         " (--force runs them again)";
    }
  }
  const std::string sql = scope.missing_cells_sql();
  TRY_ASSIGN(const Table missing, scope.select(sql));
  if (missing.rows.empty() || outcome.rows == 0) return {};
  TRY_ASSIGN(const Table cells, scope.select("SELECT count(*) FROM cells"));
  outcome.message += "; " + std::to_string(missing.rows.size()) + " of " +
                     std::to_string(cells.rows[0][0].integer) + " cells gave no " +
                     scope.kind.name + " record, first: " + row_place(missing, 0, missing.columns);
  if (outcome.status == GateStatus::pass) {
    outcome.status = GateStatus::not_measured;
    outcome.where = row_place(missing, 0, missing.columns);
    outcome.query = sql;
  }
  return {};
}

// "kind.field" of `distinct` → field; all must be of one kind.
Result<std::string> common_kind(const Gate& gate, std::vector<std::string>& fields) {
  std::string kind = gate.kind;
  for (const std::string& path : gate.fields) {
    const size_t dot = path.find('.');
    if (dot == std::string::npos) {
      return fail(Exit::usage, "`" + path + "` is not of the form kind.field");
    }
    const std::string its_kind = path.substr(0, dot);
    if (!kind.empty() && its_kind != kind) {
      return fail(Exit::usage, "`distinct` compares fields of one record: `" + kind + "` and `" +
                                   its_kind + "` are two kinds");
    }
    kind = its_kind;
    fields.push_back(path.substr(dot + 1));
  }
  return kind;
}

// How the cells of the run ended: the records of those that did not end ok are no results.
struct CellsEnded {
  int64_t all = 0, ok = 0;
  std::string failed_text() const {
    return std::to_string(all - ok) + " of " + std::to_string(all) + " cells did not end ok";
  }
};
Result<CellsEnded> cells_of(const GateInput& input) {
  TRY_ASSIGN(const Table table,
             input.store.query("SELECT count(*), count(*) FILTER (WHERE status = 'ok') FROM cells",
                               input.run));
  return CellsEnded{table.rows[0][0].integer, table.rows[0][1].integer};
}

// "`x`", with the suggestion of the error, where its reason is a record kind that the store has
// never seen; else "".
std::string unknown_kind(const GateInput& input, const Gate& gate, const Error& error) {
  std::string name = gate.kind;
  if (gate.form == Gate::Form::sql) {
    constexpr std::string_view kNoTable = "no such table: ";
    if (!error.message.starts_with(kNoTable)) return "";
    name = error.message.substr(kNoTable.size());
    name = name.substr(0, name.find(" (did you mean"));
  } else if (name.empty() && !gate.fields.empty()) {
    name = gate.fields[0].substr(0, gate.fields[0].find('.'));
  }
  if (gate.form != Gate::Form::sql && find_kind(input, name)) return "";
  const size_t hint = error.message.find(" (did you mean");
  return "`" + printable(name) + "`" +
         (hint == std::string::npos ? "" : error.message.substr(hint));
}

// Where the spec says what the error is about: "experiments/x.yaml:5:26: ", or "".
std::string place_of(const Gate& gate, const Error& error) {
  const auto& says = error.message;
  std::string key = gate.form == Gate::Form::sql        ? "sql"
                    : gate.form == Gate::Form::distinct ? "distinct"
                                                        : "metric";
  for (const std::string known : {"where", "per"})
    if (says.starts_with("`" + known + "`: ")) key = known;
  for (const Bound& bound : gate.bounds) {
    if (!bound.limit_field.empty() &&
        says.find("no field `" + printable(bound.limit_field) + "`") != std::string::npos) {
      key = bound.compare;
    }
  }
  auto at = gate.places.find(key);
  if (at == gate.places.end()) at = gate.places.find("");
  return at == gate.places.end() ? "" : at->second + ": ";
}

Result<GateOutcome> measure(const GateInput& input, const Gate& gate) {
  if (gate.form == Gate::Form::sql) return measure_sql(input, gate);
  std::vector<std::string> fields;
  std::string kind_name = gate.kind;
  if (gate.form == Gate::Form::distinct) {
    TRY_ASSIGN(kind_name, common_kind(gate, fields));
    if (fields.empty()) fields.push_back(gate.field);
  }
  TRY_ASSIGN(const KindInfo* kind, find_kind(input, kind_name));
  if (kind == nullptr) {
    return not_measured(gate, "no " + kind_name + " record: nothing was measured", "");
  }
  TRY_ASSIGN(const KindScope scope, KindScope::make(input, *kind, gate));
  GateOutcome outcome;
  if (gate.form == Gate::Form::metric) {
    TRY_ASSIGN(outcome, measure_metric(scope));
  } else if (gate.form == Gate::Form::floor) {
    TRY_ASSIGN(outcome, measure_floor(scope));
  } else if (gate.form == Gate::Form::all) {
    TRY_ASSIGN(outcome, measure_all(scope));
  } else if (gate.across.empty()) {
    TRY_ASSIGN(outcome, measure_distinct(scope, fields));
  } else {
    TRY_ASSIGN(outcome, measure_across(scope, fields));
  }
  TRY(add_missing_cells(scope, outcome));
  return outcome;
}

}  // namespace

GateOutcome measure_gate(const GateInput& input, const Gate& gate) {
  const auto cells = cells_of(input);
  auto outcome = cells ? measure(input, gate) : tl::unexpected(cells.error());
  const bool any_failed = cells && cells->ok < cells->all;
  if (!outcome) {
    // What nobody described is known from its first record, which a failed cell may never have
    // given.
    const std::string unknown = any_failed ? unknown_kind(input, gate, outcome.error()) : "";
    if (!unknown.empty()) {
      return not_measured(gate, "no cell gave a record " + unknown + ": " + cells->failed_text(),
                          "");
    }
    return GateOutcome{.id = gate.id,
                       .status = GateStatus::error,
                       .message = place_of(gate, outcome.error()) + outcome.error().message,
                       .query = gate.sql};
  }
  const bool judged = outcome->status == GateStatus::pass || outcome->status == GateStatus::fail;
  if (judged && any_failed && cells->ok == 0) {  // SQL over views that are empty for that reason
    outcome->status = GateStatus::not_measured;
    outcome->message = "no cell ended ok, so nothing was measured (" + outcome->message + ")";
  } else if (judged && any_failed && gate.form == Gate::Form::sql) {
    outcome->message += "; " + cells->failed_text() + " and give no records";
  } else if (!judged && any_failed && outcome->rows == 0) {
    outcome->message += "; " + cells->failed_text();
  }
  return *outcome;
}

}  // namespace greta::store
