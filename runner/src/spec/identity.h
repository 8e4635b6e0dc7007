#pragma once
// The identity of a cell: SHA-256 over the canonical JSON (sorted keys, no spaces) of everything
// that can change its result, and of nothing else. Titles, prose, gates, baselines, limits and file
// names are not in it.

#include <string>

#include "spec/plan.h"

namespace greta::runner {

class IdentityMaker {
 public:
  IdentityMaker(const Spec& spec, const ResolvedInputs& inputs, const Variant& variant);
  // Fills identity and identity_json of one cell of that variant.
  void fill(Cell& cell) const;

 private:
  const Spec& spec_;
  std::string head_;  // the JSON before prompt and repeat, which alone differ within a variant
};

}  // namespace greta::runner
