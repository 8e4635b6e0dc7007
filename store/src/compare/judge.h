#pragma once
// Two values of one figure against the floors: identical, within the floor, or diverged.

#include <vector>

#include "compare/floors.h"
#include "compare/run_info.h"
#include "store/diff.h"

namespace greta::store {

// What the environments of two runs promise of the order of their sums and the digits that they
// print.
FloorContext floor_context(const RunInfo& a, const RunInfo& b);

struct Judgement {
  Verdict verdict = Verdict::diverged;  // identical, within_floor or diverged
  double difference = 0;                // |a - b|; NaN where it has no meaning (texts, hashes)
  double floor = 0;                     // larger of repeat floor and numeric floor
};

// The figures of one kind in two arms.
class FigureJudge {
 public:
  // The repeat floor is that of both sides' records.
  FigureJudge(const KindInfo& kind, const RecordSet::Records& a, const RecordSet::Records& b,
              const FloorContext& context);

  // `field` is an index into the kind's fields; a, b: the values of all of them. Whole numbers,
  // booleans and texts have no numeric floor.
  Judgement judge(size_t field, const std::vector<Value>& a, const std::vector<Value>& b) const;

 private:
  Judgement judge_value(size_t field, const std::vector<Value>& a,
                        const std::vector<Value>& b) const;
  bool is_place_of_noise(size_t field, const std::vector<Value>& a,
                         const std::vector<Value>& b) const;
  bool explained(size_t field, const std::vector<Value>& a, const std::vector<Value>& b) const;

  const KindInfo& kind_;
  FloorContext context_;
  std::vector<double> repeat_floor_;  // by field
};

}  // namespace greta::store
