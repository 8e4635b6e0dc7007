#pragma once
// Gates in a few words, and their verdict on hand-made runs.

#include "gates/compare_fixture.h"
#include "store/gates.h"

namespace greta::store {

inline Gate metric(const std::string& field, const std::string& compare, double limit,
                   const std::string& agg = "") {
  Gate gate;
  gate.id = "g";
  gate.kind = field.substr(0, field.find('.'));
  gate.field = field.substr(field.find('.') + 1);
  gate.bounds = {Bound{compare, limit, ""}};
  gate.agg = agg;
  return gate;
}

inline Gate within_bound(const std::string& agg = "") {
  Gate gate = metric("attn_decode_verify.rel_l2", "le", 0, agg);
  gate.bounds[0].limit_field = "bound";
  return gate;
}

inline Gate all_true(const std::string& kind, const std::string& field) {
  Gate gate;
  gate.id = "g";
  gate.form = Gate::Form::all;
  gate.kind = kind;
  gate.field = field;
  return gate;
}

inline Gate distinct(std::vector<std::string> fields, std::vector<std::string> across = {}) {
  Gate gate;
  gate.id = "g";
  gate.form = Gate::Form::distinct;
  gate.fields = std::move(fields);
  gate.across = std::move(across);
  return gate;
}

inline Gate sql(const std::string& text) {
  Gate gate;
  gate.id = "g";
  gate.form = Gate::Form::sql;
  gate.sql = text;
  return gate;
}

class Gates : public RunFixture {
 protected:
  GateOutcome judge(const TestRun& run, const Gate& gate) {
    const int64_t id = add(run);
    auto outcomes = evaluate_gates(store(), name_, {gate});
    EXPECT_TRUE(outcomes) << outcomes.error().str();
    if (!outcomes) return {};
    // Whatever it says, its query runs as it stands, in the scope of the run.
    if ((*outcomes)[0].status != GateStatus::error && !(*outcomes)[0].query.empty()) {
      const auto again = store().query((*outcomes)[0].query, id);
      EXPECT_TRUE(again) << (*outcomes)[0].query << ": " << again.error().str();
    }
    return (*outcomes)[0];
  }
};

}  // namespace greta::store
