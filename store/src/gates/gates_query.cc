#include "gates/gates_query.h"

#include <algorithm>
#include <set>

#include "contract/text.h"
#include "db/sqlite.h"

namespace greta::store {

namespace {

std::string equals(const KindInfo& kind, const std::string& column, const std::string& value) {
  const FieldInfo* const field = kind.find(column);
  const bool number = column == "repeat" ||
                      (field != nullptr && (field->type == "integer" || field->type == "real" ||
                                            field->type == "number" || field->type == "boolean"));
  const bool is_text = value.find_first_not_of("0123456789+-.e") != std::string::npos;
  return sql_name(column) + " = " + (number && !is_text ? value : quoted_text(value));
}

std::string of_run(const RunInfo& run) { return "run = " + quoted_text(run.name); }

// One record's figure. DISTINCT: heads that agree were taken together.
std::string one_record(const KindScope& scope, const RunInfo& run, const std::string& variant,
                       const DiffRecord& record, int64_t repeat, bool has_value) {
  std::vector<std::string> conditions = {of_run(run), "variant = " + quoted_text(variant)};
  if (!record.prompt.empty()) conditions.push_back("prompt = " + quoted_text(record.prompt));
  conditions.push_back("repeat = " + std::to_string(repeat));
  for (const auto& [column, value] : record.parts)
    conditions.push_back(equals(scope.kind, column, value));
  const std::string name = sql_name(scope.gate.field);
  if (has_value) conditions.push_back(name + " IS NOT NULL");
  return "(SELECT DISTINCT " + name + " AS value FROM " + scope.kind.source() + " WHERE " +
         joined(conditions, " AND ") + ")";
}

std::string two_runs(const GatePairs& pairs) {
  return pairs.other.same_run ? "" : std::string(kNamesItsRuns);
}

// The aggregate of `value` over the rows of `from`.
std::string aggregate(const std::string& agg, const std::string& from) {
  if (agg == "median") {
    return "(SELECT avg(value) FROM (SELECT value, row_number() OVER (ORDER BY value) AS "
           "value_rank,"
           " count(*) OVER () AS value_count FROM " +
           from + ") WHERE value_rank IN ((value_count + 1) / 2, (value_count + 2) / 2))";
  }
  return "(SELECT " + (agg == "mean" ? "avg" : agg) + "(value) FROM " + from + ")";
}

}  // namespace

std::string pair_query(const KindScope& scope, const GatePairs& pairs, const RecordPair& pair,
                       const std::string& what) {
  const VariantPair& variant = pairs.other.variants[pair.variant];
  const auto known = [&](const std::vector<Value>& values) {
    return values[pairs.field].type != Value::Type::null;
  };
  return two_runs(pairs) + "SELECT a.value AS " + sql_name(scope.gate.field) +
         ", b.value AS partner, " + what + " FROM " +
         one_record(scope, pairs.run, variant.a, *pair.a, pair.repeat_a, known(*pair.values_a)) +
         " AS a, " + one_record(scope, pairs.other.run, variant.b, *pair.b, pair.repeat_b, true) +
         " AS b";
}

std::string ratio_query(const KindScope& scope, const GatePairs& pairs,
                        const std::vector<size_t>& variants,
                        const std::vector<std::pair<std::string, std::string>>& group) {
  const std::string figure = ", " + sql_name(scope.gate.field) + " AS value FROM ";
  std::vector<std::string> keys = {"prompt"}, named, variants_a, variants_b;
  for (const std::string& key : scope.kind.keys()) keys.push_back(key);
  const auto grouped = [&](const std::string& column) {
    return std::any_of(group.begin(), group.end(),
                       [&](const auto& one) { return one.first == column; });
  };
  for (const size_t i : variants) {
    const std::string a = quoted_text(pairs.other.variants[i].a);
    const std::string b = quoted_text(pairs.other.variants[i].b);
    named.push_back("(" + a + ", " + b + ")");
    variants_a.push_back(a);
    variants_b.push_back(b);
  }
  std::string on = "(a.variant, b.variant) IN (VALUES " + joined(named, ", ") + ")";
  for (const std::string& key : keys) {
    // What one side does not tell apart: figures of single heads, the step beside the phase.
    const bool heads = key == "head" && std::any_of(pairs.records.begin(), pairs.records.end(),
                                                    [](const PairRecords& records) {
                                                      return records.single_heads != 0;
                                                    });
    if (heads) continue;
    const bool has_phase = std::find(keys.begin(), keys.end(), "phase") != keys.end();
    const std::string same = "a." + sql_name(key) + " IS b." + sql_name(key);
    on += " AND " + (key == "step" && has_phase ? "(a.phase IS NOT NULL OR " + same + ")" : same);
  }
  if (grouped("repeat")) on += " AND a.repeat IS b.repeat";
  std::set<std::string> other_prompts;
  for (const PairRecords& records : pairs.records) {
    for (const auto& [key, record] : records.a) {
      if (!pairs.other.same_run && other_prompt(pairs.run, pairs.other.run, record.prompt))
        other_prompts.insert(quoted_text(record.prompt));
    }
  }
  const std::string columns = "SELECT variant, repeat, " + joined(sql_names(keys), ", ") + figure +
                              scope.kind.source() + " WHERE ";
  std::string a =
      columns + of_run(pairs.run) + " AND variant IN (" + joined(variants_a, ", ") + ")";
  if (!scope.gate.where.empty()) a += " AND (" + scope.gate.where + ")";
  for (const auto& [column, value] : group) {
    a += " AND " +
         (value.empty() ? sql_name(column) + " IS NULL" : equals(scope.kind, column, value));
  }
  if (!other_prompts.empty()) {
    a += " AND prompt NOT IN (" + joined({other_prompts.begin(), other_prompts.end()}, ", ") + ")";
  }
  const std::string b = columns + of_run(pairs.other.run) + " AND variant IN (" +
                        joined(variants_b, ", ") + ") AND " + sql_name(scope.gate.field) +
                        " IS NOT NULL";
  return two_runs(pairs) + "WITH a AS (" + a + "), b AS (" + b + ") SELECT this AS " +
         sql_name(scope.gate.agg) + ", partner, this * 1.0 / partner AS ratio FROM (SELECT " +
         aggregate(scope.gate.agg, "a WHERE EXISTS (SELECT 1 FROM b WHERE " + on + ")") +
         " AS this, " +
         aggregate(scope.gate.agg, "b WHERE EXISTS (SELECT 1 FROM a WHERE " + on + ")") +
         " AS partner)";
}

}  // namespace greta::store
