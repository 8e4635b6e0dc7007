#pragma once
// The records that a gate judges, each with its partner: of another run, or of another arm of this
// one.

#include <deque>
#include <string>
#include <vector>

#include "compare/pairing.h"
#include "gates/gates_across.h"

namespace greta::store {

// What the gate's run is compared with.
struct OtherSide {
  RunInfo run;
  bool same_run = false;              // another arm of the gate's run
  std::string name;                   // for people: the run's name, or "AXIS=value"
  std::vector<VariantPair> variants;  // a: of the gate's run
};

// One repeat of a record, and its partner: its repeat of the same number, else its first.
struct RecordPair {
  size_t variant = 0;  // which of OtherSide::variants
  const DiffRecord* a = nullptr;
  const DiffRecord* b = nullptr;
  int64_t repeat_a = 0, repeat_b = 0;
  const std::vector<Value>* values_a = nullptr;
  const std::vector<Value>* values_b = nullptr;
};

struct GatePairs {
  OtherSide other;
  RunInfo run;                      // the gate's
  std::deque<PairRecords> records;  // by variant pair: what `pairs` points into
  std::vector<RecordPair> pairs;
  // Records (each repeat counts) that are not in `pairs`:
  int64_t alone = 0;         // the other side has no such record, or the figure is not in it
  int64_t reused = 0;        // taken from the cache: the partner is the record itself, or a timing
                             // was not taken in this run
  int64_t other_prompt = 0;  // the prompt of that name has other bytes there
  std::string first_alone;   // where
  // Why nothing may be compared: another model, one kernel in both arms, …; "" when it may.
  std::string refusal;

  size_t field = 0;           // of the kind: the gate's
  std::string notes() const;  // "; 3 records have no partner in …", or ""
  std::string place(const RecordPair& pair) const;
};

// As messages say a value: NULL where there is none.
std::string shown(const Value& value);

// Chooses the other side and pairs. Of several baselines the first that has the figure is taken.
Result<GatePairs> pair_records(const KindScope& scope);

}  // namespace greta::store
