#include "diff/diff_query.h"

#include <algorithm>

#include "contract/text.h"
#include "db/sqlite.h"

namespace greta::store {
namespace {

std::string run_list(const std::vector<RunSummary>& runs) {
  std::vector<std::string> names;
  for (const RunSummary& run : runs) names.push_back(quoted_text(run.run));
  return joined(names, ", ");
}

bool is_number_text(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789.-+eE") == std::string::npos &&
         text.find_first_of("0123456789") != std::string::npos;
}

}  // namespace

std::string key_with_variant(const Diff& diff, size_t pair, const std::string& key) {
  const VariantPair& variants = diff.variants[pair];
  if (diff.variants.size() == 1 && variants.same) return key;
  return "variant=" + variants.label + (key.empty() ? "" : ", ") + key;
}

DiffTable table_of(const KindInfo& kind) {
  std::vector<std::string> columns = {"run", "variant", "prompt", "repeat"};
  for (const std::string& key : kind.keys()) columns.push_back(key);
  if (kind.find("bound") != nullptr) columns.emplace_back("bound");
  return {sql_name(kind.view), joined(sql_names(columns), ", ")};
}

std::string condition_of(const KindInfo& kind, const DiffRecord& record) {
  std::vector<std::string> parts;
  if (!record.prompt.empty()) parts.push_back("prompt = " + quoted_text(record.prompt));
  for (const auto& [column, value] : record.parts) {
    // The phase says which step it is; recorded figures give no step.
    if (column == "step" && record.parts.contains("phase")) continue;
    const FieldInfo* const field = kind.find(column);
    const bool text = field == nullptr || field->type == "text" || field->type == "hash";
    const bool bare = !text && is_number_text(value);
    parts.push_back(sql_name(column) + " = " + (bare ? value : quoted_text(value)));
  }
  return joined(parts, " AND ");
}

std::string query_of(const Diff& diff, size_t place, const std::string& metric) {
  const DiffPlace& at = diff.places[place];
  const DiffTable& table = diff.tables[at.table];
  const VariantPair& variants = diff.variants[at.variants];
  const std::string a = run_list(diff.runs_a), b = run_list(diff.runs_b);
  const std::string of_a = "variant = " + quoted_text(variants.a);
  const std::string of_b = "variant = " + quoted_text(variants.b);
  const std::string all = a == b ? a : a + ", " + b;
  std::string condition = "run IN (" + all + ") AND ";
  if (of_a == of_b) {
    condition += of_a;
  } else if (a == b) {
    condition += "(" + of_a + " OR " + of_b + ")";
  } else {
    condition += "(run IN (" + a + ") AND " + of_a + " OR run IN (" + b + ") AND " + of_b + ")";
  }
  if (!at.condition.empty()) condition += " AND " + at.condition;
  const bool has_bound = metric == "bound" && table.columns.ends_with("bound");
  return "SELECT " + table.columns + (has_bound ? "" : ", " + sql_name(metric)) + " FROM " +
         table.view + " WHERE " + condition;
}

}  // namespace greta::store
