#pragma once
// Which kernels the arms of a run used: what shows that two arms were two.

#include <map>
#include <set>
#include <string>

#include "compare/run_info.h"

namespace greta::store {

class ArmKernels {
 public:
  static Result<ArmKernels> load(Store& store, int64_t run);

  // The kernels' code hashes, where both variants are known to have used the same ones; else null.
  // Records say which kernels the attention used; where neither arm has any, what the processes
  // launched must do. An arm that crashed before its first record is no evidence.
  const std::set<std::string>* same(const std::string& a, const std::string& b) const;
  // The query over the run that shows it.
  std::string query(const std::string& a) const;

 private:
  using Sets = std::map<std::string, std::set<std::string>>;  // variant -> code hashes
  Sets records_, launches_;
};

// The one GRETA_FORCE_* axis in which two variants differ; "" when they differ in more, or else.
std::string forced_axis(const VariantInfo& a, const VariantInfo& b);

}  // namespace greta::store
