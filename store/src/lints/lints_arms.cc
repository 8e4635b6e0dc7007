#include "lints/lints_arms.h"

#include <algorithm>

#include "contract/text.h"
#include "text/markdown.h"

namespace greta::store {

namespace {

using Sets = std::map<std::string, std::set<std::string>>;  // variant → what it has

Result<Sets> sets_of(LintRun& run, const std::string& sql) {
  TRY_ASSIGN(const Table table, select(run.store, run.info.id, sql));
  Sets out;
  for (const auto& row : table.rows) {
    if (row[1].type != Value::Type::null) out[value_text(row[0])].insert(value_text(row[1]));
  }
  return out;
}

// The one GRETA_FORCE_* axis in which two variants differ; "" when they differ in more, or else.
std::string forced_axis(const VariantInfo& a, const VariantInfo& b) {
  std::string axis;
  if (a.axes.size() != b.axes.size()) return "";
  for (const auto& [name, value] : a.axes) {
    const auto at = b.axes.find(name);
    if (at == b.axes.end()) return "";
    if (at->second == value) continue;
    if (!axis.empty() || !name.starts_with("GRETA_FORCE_")) return "";
    axis = name;
  }
  return axis;
}

Result<> shadow_of_itself(LintRun& run) {
  const KindInfo* shadow = run.kind("mfma_vs_valu");
  if (shadow == nullptr || shadow->find("mfma_kernel_hash") == nullptr ||
      shadow->find("valu_kernel_hash") == nullptr) {
    return {};
  }
  const std::string sql =
      "SELECT variant, prompt, mfma_kernel_hash, valu_kernel_hash, count(*) AS records"
      " FROM mfma_vs_valu WHERE mfma_kernel_hash = valu_kernel_hash GROUP BY 1, 2, 3, 4";
  TRY_ASSIGN(const Table found, select(run.store, run.info.id, sql));
  if (found.rows.empty()) return {};
  const std::string hash = value_text(found.rows[0][2]);
  run.add("arms_same_kernel", sql,
          "the MFMA and the VALU side of the shadow are one kernel (" + hash + ")",
          "los lados MFMA y VALU de la sombra son un mismo núcleo (" + hash + ")");
  return {};
}

}  // namespace

Result<> arms_that_ran_one_kernel(LintRun& run) {
  const KindInfo* verify = run.kind("attn_decode_verify");
  const bool has_hash = verify != nullptr && verify->find("kernel_hash") != nullptr;
  const std::string by_record =
      "SELECT variant, kernel_hash, kernel_ids, count(*) AS records FROM attn_decode_verify"
      " WHERE kernel_hash IS NOT NULL GROUP BY 1, 2, 3";
  const std::string by_launch =
      "SELECT DISTINCT c.variant, k.code_hash, k.id FROM cells c JOIN kernels k"
      " ON k.bundle = c.bundle WHERE c.status = 'ok' ORDER BY 1, 3";
  Sets records;
  if (has_hash) {
    TRY_ASSIGN(records, sets_of(run, by_record));
  }
  TRY_ASSIGN(const Sets launches, sets_of(run, by_launch));

  const auto& variants = run.info.variants;
  for (size_t i = 0; i < variants.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      const std::string axis = forced_axis(variants[j], variants[i]);
      if (axis.empty()) continue;
      // Records say which kernels the attention used; where neither arm has any, what the processes
      // launched must do. An arm that crashed before its first record is no evidence.
      const bool recorded = records.contains(variants[i].name);
      if (recorded != records.contains(variants[j].name)) continue;
      const Sets& sets = recorded ? records : launches;
      const auto a = sets.find(variants[j].name), b = sets.find(variants[i].name);
      if (a == sets.end() || b == sets.end() || a->second != b->second) continue;
      const std::string values =
          axis + "=" + variants[j].axes.at(axis) + " / " + variants[i].axes.at(axis);
      const std::string hash = *a->second.begin();
      run.add_once(
          "arms_same_kernel", recorded ? by_record : by_launch,
          values + " launched the same kernels (" + hash + "): there is nothing to compare",
          values + " lanzaron los mismos núcleos (" + hash + "): no hay qué comparar");
    }
  }
  return shadow_of_itself(run);
}

Result<> kinds_missing_in_an_arm(LintRun& run) {
  // A past report prints what its author chose.
  if (run.info.provenance == "recorded" || run.info.variants.size() < 2) return {};
  for (const KindInfo& kind : run.kinds) {
    const std::string sql =
        "SELECT variant, count(*) AS records FROM " + sql_name(kind.view) + " GROUP BY variant";
    TRY_ASSIGN(const Sets has, sets_of(run, sql));
    std::vector<std::string> missing;
    for (const VariantInfo& variant : run.info.variants) {
      if (!has.contains(variant.name)) missing.push_back(variant.name);
    }
    if (missing.empty()) continue;
    const std::string who = joined(missing, "; ");
    run.add("kind_missing_in_variant", sql,
            "variants without any " + kind.name + " record, which others have: " + who,
            "variantes sin ningún registro " + kind.name + ", que otras tienen: " + who);
  }
  return {};
}

}  // namespace greta::store
