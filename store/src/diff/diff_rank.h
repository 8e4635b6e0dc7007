#pragma once
// Which figures a reader sees first.

#include <tuple>

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

}  // namespace greta::store
