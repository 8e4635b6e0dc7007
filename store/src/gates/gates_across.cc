#include "gates/gates_across.h"

#include <algorithm>
#include <map>
#include <set>

#include "contract/text.h"
#include "db/sqlite.h"
#include "tables/views.h"
#include "text/markdown.h"

namespace greta::store {

namespace {

constexpr std::string_view kCellColumns[] = {"variant", "prompt", "repeat"};

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// The axes of a variant parted into those that `across` names and the rest, each as text.
struct Arm {
  std::string side, rest;
};
Arm arm_of(const VariantInfo& variant, const std::vector<std::string>& across) {
  Arm arm;
  for (const auto& [axis, value] : variant.axes) {
    std::string& text = contains(across, axis) ? arm.side : arm.rest;
    text += (text.empty() ? "" : ",") + axis + "=" + value;
  }
  return arm;
}

Result<std::map<std::string, Arm>> arms(const KindScope& scope) {
  TRY_ASSIGN(const RunInfo run, load_run(scope.input.store, scope.input.run));
  std::set<std::string> axes;
  std::map<std::string, Arm> out;
  for (const VariantInfo& variant : run.variants) {
    for (const auto& [axis, value] : variant.axes) axes.insert(axis);
    out[variant.name] = arm_of(variant, scope.gate.across);
  }
  for (const std::string& axis : scope.gate.across) {
    if (!axes.contains(axis)) {
      return fail(Exit::usage, "`" + axis + "` is no axis of this run's matrix" +
                                   did_you_mean(axis, {axes.begin(), axes.end()}));
    }
  }
  return out;
}

}  // namespace

Result<const KindInfo*> find_kind(const GateInput& input, const std::string& name) {
  std::vector<std::string> names;
  for (const KindInfo& kind : input.kinds) {
    if (kind.name == name || kind.view == name) return &kind;
    names.push_back(kind.name);
  }
  for (const Kind& kind : builtin_schema().kinds) {
    if (kind.name == name) return nullptr;
    names.push_back(kind.name);
  }
  return fail(Exit::usage,
              "there is no record kind `" + printable(name) + "`" + did_you_mean(name, names));
}

Result<KindScope> KindScope::make(const GateInput& input, const KindInfo& kind, const Gate& gate) {
  KindScope scope{input, kind, gate, {}};
  for (const std::string_view column : kContextColumns) scope.columns.emplace_back(column);
  for (const FieldInfo& field : kind.fields) scope.columns.push_back(field.column);
  for (const std::string& column : gate.per) {
    if (!contains(scope.columns, column)) {
      return fail(Exit::usage, "`per`: " + kind.name + " has no `" + printable(column) + "`" +
                                   did_you_mean(column, scope.columns));
    }
  }
  if (!gate.where.empty()) {
    // In brackets, as every query has it, and bare: what closes a bracket of ours is no condition.
    const std::string bare = "SELECT 1 FROM " + kind.source() + " WHERE " + gate.where;
    if (const auto checked = scope.prepare("SELECT 1" + scope.from()); !checked) {
      if (!scope.prepare(bare + "\n"))
        return fail(Exit::usage, "`where`: " + checked.error().message);
      return fail(Exit::usage, "`where`: it must be one condition, and nothing after it");
    }
    if (const auto checked = scope.prepare(bare); !checked) {
      return fail(Exit::usage,
                  "`where`: it must be one condition by itself: " + checked.error().message);
    }
  }
  return scope;
}

Result<Table> KindScope::select(const std::string& sql) const {
  return input.store.query(sql, input.run);
}

Result<> KindScope::prepare(const std::string& sql) const {
  const RowSink nothing{.columns = [](const std::vector<std::string>&) { return false; },
                        .row = [](const std::vector<Value>&) { return false; }};
  return input.store.query(sql, input.run, nothing);
}

std::string KindScope::from(const std::string& also) const {
  std::string sql = " FROM " + kind.source();
  if (!gate.where.empty()) sql += " WHERE (" + gate.where + ")";
  if (!also.empty()) sql += (gate.where.empty() ? " WHERE (" : " AND (") + also + ")";
  return sql;
}

std::vector<std::string> KindScope::place_columns() const {
  std::vector<std::string> out(std::begin(kCellColumns), std::end(kCellColumns));
  for (const std::string& key : kind.keys()) out.push_back(key);
  return out;
}

Result<> KindScope::check_field(const std::string& field) const {
  if (kind.find(field) != nullptr) return {};
  if (auto named = select("SELECT " + sql_name(field) + from() + " LIMIT 0");
      !named && named.error().message.find("in `extra`") != std::string::npos) {
    return fail(Exit::usage, named.error().message + " in a gate with `sql`");
  }
  return fail(Exit::usage, "the records of " + kind.name + " have no field `" + printable(field) +
                               "`" + did_you_mean(field, kind.field_names()));
}

std::string KindScope::missing_cells_sql() const {
  // Greta itself times every cell that ends ok; which of them ran again is said by the message.
  const std::string has =
      kind.name == cells_kind().name ? "cells WHERE status = 'ok'" : kind.source();
  std::string empty_row = "variant, prompt, repeat";
  for (const std::string& column : columns) {
    if (std::find(std::begin(kCellColumns), std::end(kCellColumns), column) ==
        std::end(kCellColumns)) {
      empty_row += ", NULL AS " + sql_name(column);
    }
  }
  const std::string missing =
      "SELECT variant, prompt, repeat FROM cells EXCEPT SELECT variant, prompt, repeat FROM " + has;
  if (gate.where.empty()) return missing;
  return "SELECT variant, prompt, repeat FROM (SELECT " + empty_row + " FROM (" + missing +
         ")) WHERE (" + gate.where + ") IS NOT FALSE";
}

Result<GateOutcome> measure_across(const KindScope& scope, const std::vector<std::string>& fields) {
  const Gate& gate = scope.gate;
  if (fields.size() != 1) return fail(Exit::usage, "`across` takes one field");
  const std::string& field = fields.front();
  TRY(scope.check_field(field));
  TRY_ASSIGN(const auto arm_by_variant, arms(scope));

  std::vector<std::string> columns = {"variant", "prompt"};
  for (const std::string& column : gate.per) {
    if (!contains(columns, column)) columns.push_back(column);
  }
  const std::string names = joined(sql_names(columns), ", ");
  GateOutcome outcome{.id = gate.id, .limit = "distinct across " + joined(gate.across, ", ")};
  outcome.query = "SELECT " + names + ", " + sql_name(field) + ", count(*) AS records" +
                  scope.from() + " GROUP BY " + names + ", " + sql_name(field);
  TRY_ASSIGN(const Table table, scope.select(outcome.query));

  // group → value → sides that have it
  struct Group {
    std::set<std::string> sides;
    std::map<std::string, std::set<std::string>> sides_by_value;
  };
  std::map<std::string, Group> groups;
  std::string missing_at;
  for (size_t i = 0; i < table.rows.size(); ++i) {
    const auto& row = table.rows[i];
    outcome.rows += row.back().integer;
    const Value& value = row[columns.size()];
    if (value.type == Value::Type::null && missing_at.empty()) {
      missing_at = row_place(table, i, columns);
    }
    const auto arm = arm_by_variant.find(value_text(row[0]));
    if (arm == arm_by_variant.end()) continue;
    std::vector<std::string> key;
    if (!arm->second.rest.empty()) key.push_back(arm->second.rest);
    const std::vector<std::string> rest(columns.begin() + 1, columns.end());
    key.push_back(row_place(table, i, rest));
    Group& group = groups[joined(key, ", ")];
    group.sides.insert(arm->second.side);
    group.sides_by_value[value_text(value)].insert(arm->second.side);
  }
  if (outcome.rows == 0) {
    outcome.message = "no " + scope.kind.name + " record: nothing was measured";
    return outcome;
  }
  if (!missing_at.empty()) {
    outcome.status = GateStatus::fail;
    outcome.failed = 1;
    outcome.where = missing_at;
    outcome.message = field + " is missing in a record, so nothing shows which arm ran";
    return outcome;
  }
  int64_t compared = 0;
  for (const auto& [key, group] : groups) {
    if (group.sides.size() < 2) continue;
    ++compared;
    for (const auto& [value, sides] : group.sides_by_value) {
      if (sides.size() < 2) continue;
      if (outcome.failed++ > 0) continue;
      outcome.measured = value;
      outcome.where = key;
      outcome.message = field + " is " + value +
                        " on both sides: " + joined({sides.begin(), sides.end()}, " and ");
    }
  }
  if (compared == 0) {
    outcome.message = "nothing to tell apart: every group of records has one value of " +
                      joined(gate.across, ", ");
    return outcome;
  }
  outcome.status = outcome.failed == 0 ? GateStatus::pass : GateStatus::fail;
  if (outcome.failed == 0) {
    outcome.measured = "disjoint";
    outcome.message =
        field + " differs between the arms in all " + std::to_string(compared) + " groups";
  }
  return outcome;
}

}  // namespace greta::store
