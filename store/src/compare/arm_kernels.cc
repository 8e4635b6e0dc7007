#include "compare/arm_kernels.h"

#include <algorithm>

#include "text/markdown.h"

namespace greta::store {

namespace {

constexpr const char* kByRecord =
    "SELECT variant, kernel_hash, kernel_ids, count(*) AS records FROM attn_decode_verify"
    " WHERE kernel_hash IS NOT NULL GROUP BY 1, 2, 3";
constexpr const char* kByLaunch =
    "SELECT DISTINCT c.variant, k.code_hash, k.id FROM cells c JOIN kernels k"
    " ON k.bundle = c.bundle WHERE c.status = 'ok' ORDER BY 1, 3";

Result<std::map<std::string, std::set<std::string>>> sets_of(Store& store, int64_t run,
                                                             const std::string& sql) {
  TRY_ASSIGN(const Table table, select(store, run, sql));
  std::map<std::string, std::set<std::string>> out;
  for (const auto& row : table.rows) {
    if (row[1].type != Value::Type::null) out[value_text(row[0])].insert(value_text(row[1]));
  }
  return out;
}

}  // namespace

Result<ArmKernels> ArmKernels::load(Store& store, int64_t run) {
  ArmKernels out;
  TRY_ASSIGN(const auto kinds, load_kinds(store));
  const bool has_hash = std::any_of(kinds.begin(), kinds.end(), [](const KindInfo& kind) {
    return kind.name == "attn_decode_verify" && kind.find("kernel_hash") != nullptr;
  });
  if (has_hash) {
    TRY_ASSIGN(out.records_, sets_of(store, run, kByRecord));
  }
  TRY_ASSIGN(out.launches_, sets_of(store, run, kByLaunch));
  return out;
}

const std::set<std::string>* ArmKernels::same(const std::string& a, const std::string& b) const {
  const bool recorded = records_.contains(a);
  if (recorded != records_.contains(b)) return nullptr;
  const Sets& sets = recorded ? records_ : launches_;
  const auto of_a = sets.find(a), of_b = sets.find(b);
  if (of_a == sets.end() || of_b == sets.end() || of_a->second != of_b->second) return nullptr;
  return &of_a->second;
}

std::string ArmKernels::query(const std::string& a) const {
  return records_.contains(a) ? kByRecord : kByLaunch;
}

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

}  // namespace greta::store
