#pragma once
// What differed before any number did, and what that means for the numbers.

#include <string>
#include <vector>

#include "gates/compare.h"
#include "store/diff.h"

namespace greta::store {

inline constexpr std::string_view kNotRecorded = "not recorded";
inline constexpr std::string_view kNone = "none";  // recorded, and empty

// The arms of two runs that belong together, one to one.
std::vector<VariantPair> match_variants(const RunInfo& a, const RunInfo& b);

// In the order in which a person should ask: provenance, model, device, backend, ISA, commit,
// build, image, numerics, KV type, threads, flags, prompts, variants, everything else that was
// written down.
std::vector<Confounder> confounders(const RunInfo& a, const RunInfo& b,
                                    const std::vector<VariantPair>& pairs);

struct Reason {
  std::string en, es;
  bool empty() const { return en.empty(); }
};
// Why figures of the two runs cannot be judged against each other: another model, or a model that
// one side did not record. Empty when they can.
Reason other_model(const RunInfo& a, const RunInfo& b);
// The same for one prompt: other bytes.
bool other_prompt(const RunInfo& a, const RunInfo& b, const std::string& prompt);

}  // namespace greta::store
