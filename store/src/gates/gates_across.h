#pragma once
// The records that a gate looks at (KindScope), and the form of `distinct` that compares variants.

#include <string>
#include <vector>

#include "gates/gates_measure.h"

namespace greta::store {

// A gate bound to the view of its kind.
struct KindScope {
  const GateInput& input;
  const KindInfo& kind;
  const Gate& gate;
  std::vector<std::string> columns;  // of the view, context columns first

  // Checks `per` and that `where` is one SQL condition over the view, and nothing else.
  static Result<KindScope> make(const GateInput& input, const KindInfo& kind, const Gate& gate);
  Result<Table> select(const std::string& sql) const;
  Result<> prepare(const std::string& sql) const;  // and does not run it
  // " FROM kind WHERE (where) AND (also)"
  std::string from(const std::string& also = "") const;
  // variant, prompt, repeat and the kind's keys: what names a row to people.
  std::vector<std::string> place_columns() const;
  Result<> check_field(const std::string& field) const;
  std::string missing_cells_sql() const;
};

// The kind of that name; null when greta knows it but this store has none; an error naming the
// nearest when nobody knows it.
Result<const KindInfo*> find_kind(const GateInput& input, const std::string& name);

// For variants that differ in the axes of `across` only, and the same prompt and `per` group: the
// sets of values that the field has on either side are disjoint. Repeats are taken together.
Result<GateOutcome> measure_across(const KindScope& scope, const std::vector<std::string>& fields);

}  // namespace greta::store
