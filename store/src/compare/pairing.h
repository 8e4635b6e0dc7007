#pragma once
// What of two runs belongs together, and whether it may be compared at all.

#include <string>
#include <vector>

#include "compare/run_info.h"
#include "compare/run_records.h"
#include "store/diff.h"

namespace greta::store {

// The arms of two runs that belong together, one to one.
std::vector<VariantPair> match_variants(const RunInfo& a, const RunInfo& b);

struct Reason {
  std::string en, es;
  bool empty() const { return en.empty(); }
};
// Why figures of the two runs cannot be judged against each other: another model, or a model that
// one side did not record. Empty when they can.
Reason other_model(const RunInfo& a, const RunInfo& b);
// The same for one prompt: other bytes.
bool other_prompt(const RunInfo& a, const RunInfo& b, const std::string& prompt);

// The same for a model's layout, as the records of one kind tell it.
Reason other_shape(const KindInfo& kind, const RecordSet::Records& a, const RecordSet::Records& b);

// The same of the runs of one side: records of one key that have another layout in another run.
Reason mixed_shape(const KindInfo& kind, const RecordSet::Records& records);

// The records of two arms that belong together. A past report gives figures of a layer, not of its
// heads: where only one side names heads, its records are taken without them.
struct PairRecords {
  RecordSet::Records a, b;
  char single_heads = 0;  // the side ('a' or 'b') whose figures of single heads were left out
};
PairRecords records_of_pair(const KindInfo& kind, const RecordSet& a, const RecordSet& b,
                            const VariantPair& pair);

}  // namespace greta::store
