// A figure that must be its partner's, within the floor that a diff uses.

#include <cmath>
#include <limits>

#include "compare/judge.h"
#include "contract/text.h"
#include "gates/gates_query.h"
#include "gates/gates_ratio.h"
#include "text/markdown.h"

namespace greta::store {

namespace {

// How far beyond its floor a difference is; what is not alike at all is farthest.
double excess(const Judgement& judgement) {
  if (judgement.verdict == Verdict::identical) return -1;
  if (std::isnan(judgement.difference)) {
    return judgement.verdict == Verdict::diverged ? std::numeric_limits<double>::infinity() : 0;
  }
  return judgement.floor > 0 ? judgement.difference / judgement.floor
                             : std::numeric_limits<double>::max();
}

bool is_numeric(const FieldInfo& field) {
  return field.type == "integer" || field.type == "real" || field.type == "number";
}

// Why two figures of a numeric field are not near each other, whatever a floor says; "" when the
// floor decides.
std::string no_number(const Value& a, const Value& b, const Judgement& judgement) {
  if (!is_number(a)) return "which is no finite number";
  if (!is_number(b)) return "which is no finite number there";
  return std::isfinite(judgement.floor) ? "" : "whose repeats are no finite numbers";
}

}  // namespace

Result<> check_floor(const KindScope& scope) {
  const FieldInfo* const field = scope.kind.find(scope.gate.field);
  if (field == nullptr) return {};
  if (field->role == FieldRole::timing) {
    return fail(Exit::usage, "`" + scope.gate.field +
                                 "` is a timing, which has no floor (did you mean `ratio_to`?)");
  }
  if (field->role == FieldRole::address) {
    return fail(Exit::usage,
                "`" + scope.gate.field + "` is an address: it says nothing of results");
  }
  return {};
}

Result<GateOutcome> measure_floor(const KindScope& scope) {
  const Gate& gate = scope.gate;
  TRY(scope.check_field(gate.field));
  TRY(check_floor(scope));
  TRY_ASSIGN(const GatePairs pairs, pair_records(scope));
  GateOutcome outcome{.id = gate.id};
  if (!pairs.refusal.empty() || pairs.pairs.empty()) {
    outcome.message = "nothing was compared: " +
                      (pairs.refusal.empty() ? "no pair" + pairs.notes() : pairs.refusal);
    return outcome;
  }
  std::vector<FigureJudge> judges;
  for (size_t i = 0; i < pairs.records.size(); ++i) {
    judges.emplace_back(scope.kind, pairs.records[i].a, pairs.records[i].b,
                        floor_context(pairs.run, pairs.other.run, pairs.other.variants[i]));
  }

  const RecordPair* worst = nullptr;
  Judgement of_worst;
  std::string why_worst;
  for (const RecordPair& pair : pairs.pairs) {
    const Value& value = (*pair.values_a)[pairs.field];
    Judgement judgement;
    std::string why;
    if (value.type == Value::Type::null) {
      judgement.difference = std::numeric_limits<double>::quiet_NaN();  // the partner has it
    } else {
      judgement = judges[pair.variant].judge(pairs.field, *pair.values_a, *pair.values_b);
      if (is_numeric(scope.kind.fields[pairs.field]))
        why = no_number(value, (*pair.values_b)[pairs.field], judgement);
      if (!why.empty()) judgement = {.difference = std::numeric_limits<double>::quiet_NaN()};
    }
    ++outcome.rows;
    outcome.failed += judgement.verdict == Verdict::diverged ? 1 : 0;
    if (worst != nullptr && excess(judgement) <= excess(of_worst)) continue;
    worst = &pair;
    of_worst = judgement;
    why_worst = why;
  }
  const std::string a = shown((*worst->values_a)[pairs.field]);
  const std::string b = shown((*worst->values_b)[pairs.field]);
  const bool has_size = !std::isnan(of_worst.difference);
  outcome.measured = a;
  outcome.limit =
      b + (has_size ? " ± " + number_text(of_worst.floor) : "") + " (" + pairs.other.name + ")";
  outcome.where = pairs.place(*worst);
  outcome.query =
      pair_query(scope, pairs, *worst,
                 has_size ? "abs(a.value - b.value) AS difference" : "a.value IS b.value AS same");
  outcome.status = outcome.failed == 0 ? GateStatus::pass : GateStatus::fail;
  const std::string rows = std::to_string(outcome.rows);
  outcome.message =
      (outcome.failed == 0 ? "all " + rows + " records are within the floor; nearest to it: "
                           : std::to_string(outcome.failed) + " of " + rows +
                                 " records are not within the floor; worst: ") +
      gate.field + " = " + a + " beside " + b + " of " + pairs.other.name +
      (has_size ? ", difference " + number_text(of_worst.difference) + ", floor " +
                      number_text(of_worst.floor)
                : "") +
      (why_worst.empty() ? "" : ", " + why_worst) + pairs.notes();
  return outcome;
}

}  // namespace greta::store
