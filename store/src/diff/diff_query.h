#pragma once
// Queries that show the records behind a figure of a diff.

#include "compare/run_records.h"
#include "store/diff.h"

namespace greta::store {

// "variant=…, " before the key where the diff has several pairs of arms, or arms that differ.
std::string key_with_variant(const Diff& diff, size_t pair, const std::string& key);

DiffTable table_of(const KindInfo& kind);
// The condition on the prompt and the keys of the record.
std::string condition_of(const KindInfo& kind, const DiffRecord& record);

}  // namespace greta::store
