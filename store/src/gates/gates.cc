#include "store/gates.h"

#include <set>

#include "gates/gates_measure.h"
#include "gates/gates_query.h"
#include "tables/store_impl.h"

namespace greta::store {

namespace {

Result<int64_t> run_id(Database& db, std::string_view run) {
  TRY_ASSIGN(Statement statement, db.prepare("SELECT id FROM run WHERE name = ?"));
  statement.bind(1, run);
  TRY_ASSIGN(const bool found, statement.step());
  if (!found) return fail(Exit::usage, "there is no run `" + std::string(run) + "`");
  return statement.integer(0);
}

Result<> keep(Database& db, int64_t run, const std::vector<GateOutcome>& outcomes) {
  TRY_ASSIGN(Transaction transaction, Transaction::begin(db));
  TRY_ASSIGN(Statement clear, db.prepare("DELETE FROM gate WHERE run = ?"));
  clear.bind(1, run);
  TRY(clear.run());
  TRY_ASSIGN(Statement insert,
             db.prepare("INSERT INTO gate (run, position, id, status, row_count, failed, measured,"
                        " limit_value, worst, message, query)"
                        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  int64_t position = 0;
  for (const GateOutcome& outcome : outcomes) {
    insert.bind_all(run, position++, outcome.id, to_string(outcome.status), outcome.rows,
                    outcome.failed, outcome.measured, outcome.limit, outcome.where, outcome.message,
                    outcome.query);
    TRY(insert.run());
  }
  return transaction.commit();
}

// While it lives, every query of the store asks.
class AskedByQueries {
 public:
  AskedByQueries(Store::Impl& impl, std::function<bool()> cancelled) : impl_(impl) {
    impl_.cancelled = std::move(cancelled);
  }
  ~AskedByQueries() { impl_.cancelled = nullptr; }
  AskedByQueries(const AskedByQueries&) = delete;
  AskedByQueries& operator=(const AskedByQueries&) = delete;

 private:
  Store::Impl& impl_;
};

}  // namespace

Result<std::vector<GateOutcome>> evaluate_gates(Store& store, std::string_view run,
                                                const std::vector<Gate>& gates,
                                                const std::function<bool()>& cancelled) {
  TRY(store.impl().must_write());
  const AskedByQueries asked(store.impl(), cancelled);
  TRY_ASSIGN(const int64_t id, run_id(store.impl().db, run));
  TRY_ASSIGN(auto kinds, load_kinds(store));
  kinds.push_back(cells_kind());
  std::set<std::string> ids;
  std::vector<GateOutcome> outcomes;
  for (const Gate& gate : gates) {
    if (!ids.insert(gate.id).second) {
      return tl::unexpected(
          Error{.message = "two gates are called `" + gate.id + "`", .line = gate.line});
    }
    outcomes.push_back(measure_gate(GateInput{store, id, kinds}, gate));
    if (cancelled && cancelled()) return fail(Exit::interrupted, "interrupted");
  }
  TRY(keep(store.impl().db, id, outcomes));
  return outcomes;
}

Result<std::vector<GateOutcome>> stored_gates(Store& store, int64_t run) {
  TRY_ASSIGN(Statement statement,
             store.impl().db.prepare("SELECT id, status, row_count, failed, measured, limit_value,"
                                     " worst, message, query FROM gate WHERE run = ?"
                                     " ORDER BY position"));
  statement.bind(1, run);
  std::vector<GateOutcome> out;
  while (true) {
    TRY_ASSIGN(const bool row, statement.step());
    if (!row) return out;
    GateOutcome outcome;
    outcome.id = statement.string(0);
    for (const GateStatus status :
         {GateStatus::pass, GateStatus::fail, GateStatus::not_measured, GateStatus::error}) {
      if (to_string(status) == statement.text(1)) outcome.status = status;
    }
    outcome.rows = statement.integer(2);
    outcome.failed = statement.integer(3);
    outcome.measured = statement.string(4);
    outcome.limit = statement.string(5);
    outcome.where = statement.string(6);
    outcome.message = statement.string(7);
    outcome.query = statement.string(8);
    out.push_back(std::move(outcome));
  }
}

std::string query_scope(const GateOutcome& outcome, const std::string& run) {
  return outcome.query.starts_with(kNamesItsRuns) ? "" : run;
}

const std::vector<std::string>& gate_aggregates() {
  static const std::vector<std::string> kAggregates = {"max",    "min", "mean",
                                                       "median", "sum", "count"};
  return kAggregates;
}

std::string_view to_string(GateStatus status) {
  switch (status) {
    case GateStatus::pass:
      return "pass";
    case GateStatus::fail:
      return "fail";
    case GateStatus::not_measured:
      return "not_measured";
    case GateStatus::error:
      return "error";
  }
  return "error";
}

}  // namespace greta::store
