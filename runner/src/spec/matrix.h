#pragma once
// The matrix unrolled. expand_variants (plan.h) is the way in; this holds what it is made of.

#include <map>
#include <string>

#include "spec/plan.h"

namespace greta::runner {

inline constexpr size_t kMostCells = 1'000'000;

// "GRETA_X=a,GRETA_Y=b" of the axes that have more than one value (all of them when none has), in
// the order of the spec; "default" without a matrix.
std::string variant_name(const Spec& spec, const std::map<std::string, std::string>& axes);

// Does the point agree with every axis that `pattern` names?
bool point_matches(const std::map<std::string, std::string>& point,
                   const std::map<std::string, std::string>& pattern);

}  // namespace greta::runner
