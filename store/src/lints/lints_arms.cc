#include "lints/lints_arms.h"

#include <algorithm>

#include "compare/arm_kernels.h"
#include "contract/text.h"
#include "text/markdown.h"

namespace greta::store {

namespace {

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
  TRY_ASSIGN(const ArmKernels kernels, ArmKernels::load(run.store, run.info.id));
  const auto& variants = run.info.variants;
  for (size_t i = 0; i < variants.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      const std::string axis = forced_axis(variants[j], variants[i]);
      if (axis.empty()) continue;
      const std::set<std::string>* const same = kernels.same(variants[j].name, variants[i].name);
      if (same == nullptr) continue;
      const std::string values =
          axis + "=" + variants[j].axes.at(axis) + " / " + variants[i].axes.at(axis);
      const std::string hash = *same->begin();
      run.add_once(
          "arms_same_kernel", kernels.query(variants[j].name),
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
    TRY_ASSIGN(const Table table, select(run.store, run.info.id, sql));
    std::set<std::string> has;
    for (const auto& row : table.rows) has.insert(value_text(row[0]));
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
