#pragma once
// Two values of one figure against the floors: identical, within the floor, or diverged.

#include <utility>
#include <vector>

#include "compare/floors.h"
#include "compare/run_info.h"
#include "store/diff.h"

namespace greta::store {

// What the environments of two runs, and the kernels of two of their arms, promise of the order of
// their sums and the digits that they print.
FloorContext floor_context(const RunInfo& a, const RunInfo& b, const VariantPair& arms);

// The values of a field in two records, each with all values of its line; null where a side has
// none. Of all repeats those two are judged that are farthest apart, or, where not all are numbers,
// two that differ; where repeat for repeat is equal, the first.
using Values = std::vector<Value>;
std::pair<const Values*, const Values*> farthest_values(const DiffRecord& a, const DiffRecord& b,
                                                        size_t field);

struct Judgement {
  Verdict verdict = Verdict::diverged;  // identical, within_floor or diverged
  double difference = 0;                // |a - b|; NaN where it has no meaning (texts, hashes)
  double floor = 0;                     // larger of repeat floor and numeric floor
};

// The figures of one kind in two arms.
class FigureJudge {
 public:
  FigureJudge(const KindInfo& kind, const RecordSet::Records& a, const RecordSet::Records& b,
              const FloorContext& context);

  // `field` is an index into the kind's fields; a, b: the values of all of them. Whole numbers,
  // booleans and texts have no numeric floor.
  Judgement judge(size_t field, const Values& a, const Values& b) const;
  // side: 'a' or 'b'
  const RepeatFloor& repeats(char side, size_t field) const;

 private:
  Judgement judge_value(size_t field, const Values& a, const Values& b) const;
  bool is_noise_of_error(size_t field, const Values& a, const Values& b) const;
  bool explained(size_t field, const Values& a, const Values& b) const;

  const KindInfo& kind_;
  FloorContext context_;
  std::vector<RepeatFloor> repeats_a_, repeats_b_;  // by field
};

}  // namespace greta::store
