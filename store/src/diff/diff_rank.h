#pragma once
// Which values of two records stand for a figure, and which figures a reader sees first.

#include <tuple>
#include <utility>
#include <vector>

#include "compare/run_records.h"
#include "store/diff.h"

namespace greta::store {

// What a reader wants to see first where several figures diverge.
enum class Sort {
  not_finite,   // on one side
  truth,        // what is true on one side alone
  answer,       // the token that was chosen
  measured,     // has a size, and a floor for it
  yardstick,    // what others are measured by: their bound, the size of the reference
  counted,      // whole numbers: equal, or as far apart as they are
  no_distance,  // texts and hashes
};
Sort sort_of(const FieldInfo& field, const Value& a, const Value& b);

struct Judged {
  MetricDiff metric;
  Place place;
  Sort sort = Sort::measured;
  std::tuple<int, int, double, double> badness = {};
};

// By what a reader wants to see first; of one sort, multiples of the floor, then the relative
// difference.
std::tuple<int, int, double, double> badness(const Judged& judged);

// The values of a field in two records, each with all values of its line; null where a side has
// none. A side whose runs mix things has one a group: those two are judged that are farthest apart,
// or, where not all are numbers, two that differ.
using Values = std::vector<Value>;
std::pair<const Values*, const Values*> values_to_judge(const DiffRecord& a, const DiffRecord& b,
                                                        size_t field);

}  // namespace greta::store
