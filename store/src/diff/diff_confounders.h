#pragma once
// What differed before any number did, and what that means for the numbers.

#include <string>
#include <vector>

#include "compare/pairing.h"
#include "store/diff.h"

namespace greta::store {

inline constexpr std::string_view kNotRecorded = "not recorded";
inline constexpr std::string_view kNotInThisRun = "not in this run";  // a prompt
inline constexpr std::string_view kNone = "none";                     // recorded, and empty

// In the order in which a person should ask: provenance, model, device, backend, ISA, commit,
// build, image, numerics, KV type, threads, flags, prompts, variants, everything else that was
// written down.
std::vector<Confounder> confounders(const RunInfo& a, const RunInfo& b,
                                    const std::vector<VariantPair>& pairs);

}  // namespace greta::store
