#include "replay/judge.h"

#include <algorithm>

#include "contract/text.h"
#include "store/gates.h"

namespace greta::runner {
namespace {

Result<int64_t> failed_cells(store::Store& store, int64_t run) {
  TRY_ASSIGN(const store::Table table,
             store.query("SELECT count(*) FROM cells WHERE status <> 'ok'", run));
  return table.rows.at(0).at(0).integer;
}

const store::GateOutcome* find_gate(const std::vector<store::GateOutcome>& gates,
                                    const std::string& id) {
  const auto found =
      std::find_if(gates.begin(), gates.end(), [&](const auto& gate) { return gate.id == id; });
  return found == gates.end() ? nullptr : &*found;
}

Result<std::vector<std::string>> telling_gates(store::Store& store, const store::Side& good,
                                               const store::Side& bad, const std::string& asked) {
  TRY_ASSIGN(const auto before, store::stored_gates(store, good.runs[0]));
  TRY_ASSIGN(const auto after, store::stored_gates(store, bad.runs[0]));
  std::vector<std::string> telling, ids;
  for (const auto& gate : after) {
    ids.push_back(gate.id);
    const auto* then = find_gate(before, gate.id);
    if (then != nullptr && then->status == store::GateStatus::pass &&
        gate.status == store::GateStatus::fail) {
      telling.push_back(gate.id);
    }
  }
  if (asked.empty()) return telling;
  if (std::find(telling.begin(), telling.end(), asked) != telling.end()) {
    return std::vector<std::string>{asked};
  }
  if (find_gate(after, asked) == nullptr) {
    return fail(Exit::usage, "--gate: the bad run has no gate `" + printable(asked) + "`" +
                                 did_you_mean(asked, ids));
  }
  return fail(Exit::usage, "--gate: `" + asked +
                               "` does not pass in the good run and fail in the "
                               "bad one");
}

}  // namespace

std::string to_string(Judgement judgement) {
  switch (judgement) {
    case Judgement::good:
      return "good";
    case Judgement::bad:
      return "bad";
    case Judgement::unknown:
      break;
  }
  return "cannot be judged";
}

Result<Judge> Judge::between(store::Store& store, const store::Side& good, const store::Side& bad,
                             const std::string& gate) {
  TRY_ASSIGN(const int64_t good_failed, failed_cells(store, good.runs[0]));
  TRY_ASSIGN(const int64_t bad_failed, failed_cells(store, bad.runs[0]));
  if (good_failed > 0) {
    return fail(Exit::usage, "the good run has cells that did not end ok: it is no good example");
  }
  // Gates are of whole runs: they say nothing of one arm.
  const bool arms = !good.arms.empty() || !bad.arms.empty();
  std::vector<std::string> gates;
  if (!arms || !gate.empty()) {
    TRY_ASSIGN(gates, telling_gates(store, good, bad, gate));
  }
  if (bad_failed > 0 && gates.empty()) return Judge(good, {}, true);
  if (gates.empty()) {
    if (good.runs == bad.runs && good.arms == bad.arms)
      return fail(Exit::usage, "there is nothing to find: both are the same run");
    TRY_ASSIGN(const store::Diff diff, store::diff(store, good, bad));
    if (diff.verdict != store::Verdict::diverged) {
      return fail(
          diff.verdict == store::Verdict::not_comparable ? Exit::not_comparable : Exit::usage,
          "there is nothing to find between " + diff.a.run + " and " + diff.b.run + ": " +
              std::string(store::to_string(diff.verdict)) +
              (diff.reason.empty() ? "" : " (" + diff.reason + ")"));
    }
  }
  return Judge(good, std::move(gates), false);
}

Result<Judged> Judge::judge(store::Store& store, int64_t run) const {
  TRY_ASSIGN(const int64_t failed, failed_cells(store, run));
  if (failed > 0) {
    TRY_ASSIGN(const store::Table reason,
               store.query("SELECT reason FROM cells WHERE status <> 'ok' LIMIT 1", run));
    return Judged{cells_failed_ ? Judgement::bad : Judgement::unknown,
                  "a cell did not end ok: " + reason.rows.at(0).at(0).text};
  }
  if (cells_failed_) return Judged{Judgement::good, "every cell ended ok"};
  if (gates_.empty()) {
    TRY_ASSIGN(const store::Diff diff, store::diff(store, good_, store::Side{{run}, {}}));
    const std::string why = std::string(store::to_string(diff.verdict)) +
                            (diff.reason.empty() ? "" : ": " + diff.reason);
    if (diff.verdict == store::Verdict::diverged) return Judged{Judgement::bad, why};
    const bool agree =
        diff.verdict == store::Verdict::identical || diff.verdict == store::Verdict::within_floor;
    return Judged{agree ? Judgement::good : Judgement::unknown, why};
  }
  TRY_ASSIGN(const auto outcomes, store::stored_gates(store, run));
  for (const std::string& id : gates_) {
    const auto* gate = find_gate(outcomes, id);
    if (gate == nullptr || gate->status == store::GateStatus::not_measured ||
        gate->status == store::GateStatus::error) {
      return Judged{Judgement::unknown, "gate " + id + " measured nothing"};
    }
    if (gate->status == store::GateStatus::fail) {
      return Judged{Judgement::bad, "gate " + id + " fails: " + gate->message};
    }
  }
  return Judged{Judgement::good, "passes " + joined(gates_)};
}

std::string Judge::how() const {
  if (cells_failed_) return "by whether its cells end ok";
  if (gates_.empty()) return "by its figures, compared with the good run's";
  return std::string("by the gate") + (gates_.size() > 1 ? "s " : " ") + joined(gates_);
}

}  // namespace greta::runner
