#pragma once
// Gates: what a spec expects of a run (`expect:`). A gate that found no row has measured nothing,
// and that is never a pass.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "store/store.h"

namespace greta::store {

// What a figure is compared with that no record of its own holds.
struct Partner {
  // baseline: the run that `greta accept` chose for the milestone, else the first of the spec's
  // baselines that has the figure. run: what a selector names (B3.20@recorded). arm: the variants
  // of the same run that have these values on these axes.
  enum class What { none, baseline, run, arm } what = What::none;
  std::string run;
  std::map<std::string, std::string> arm;
};

struct Bound {
  std::string compare = "le";  // le, lt, ge, gt, eq, ne
  double limit = 0;
  std::string limit_field;  // a field of the same record; "" means `limit`
  // A limit that was given as a whole number: `limit` has no room for all of one above 2^53.
  std::optional<int64_t> whole = {};
};

struct Gate {
  std::string id;
  // One of five forms.
  //   metric:   `kind.field` keeps every bound: one, or a lower and an upper number. Without `agg`
  //             every record must hold; with it the aggregate over all records (or over each `per`
  //             group) must. With a partner the figure is divided by the partner's first; bounds
  //             are numbers then.
  //   floor:    `kind.field` of every record is the partner's, within the floor of `greta diff`
  //   all:      boolean `kind.field` is true in every record
  //   distinct: within each record the named fields differ pairwise (two or more fields); or, with
  //             `across`, one field takes different values between the variants of that axis
  //   sql:      every row's first column must be true; sees this run only
  enum class Form { metric, floor, all, distinct, sql } form = Form::metric;
  std::string kind, field;          // metric, floor, all; distinct across
  std::vector<std::string> fields;  // distinct: "kind.field" …
  std::vector<std::string> per;     // group by: layer, head, prompt, variant, step, …
  std::vector<std::string> across;  // distinct: axes of the matrix
  std::string where;                // SQL condition over the fields of the record, optional
  std::string agg;                  // one of gate_aggregates(); "" every record
  std::vector<Bound> bounds;        // metric
  Partner partner;                  // floor; metric, where it is a ratio
  std::string sql;
  int line = 0;  // place in the spec, for messages
  // "FILE:LINE:COLUMN" of the values that the spec gives, by key; of the gate itself for "".
  std::map<std::string, std::string> places = {};
};

const std::vector<std::string>& gate_aggregates();  // max, min, mean, median, sum, count

enum class GateStatus { pass, fail, not_measured, error };

struct GateOutcome {
  std::string id = {};
  GateStatus status = GateStatus::not_measured;
  int64_t rows = 0;           // records looked at
  int64_t failed = 0;         // rows or groups that did not hold
  std::string measured = {};  // worst value, as text
  std::string limit = {};     // what it was compared with
  std::string where = {};     // the worst row: "variant=…, prompt=p4_sys, layer=3, head=5"
  std::string message = {};   // one line for people
  // The SQL that gives it. `greta query --run RUN` prints the same; where another run takes part it
  // names both, and wants no --run: see query_scope.
  std::string query = {};
};

// What can be said of a gate before anything ran.
struct GateMistake {
  size_t gate = 0;  // which of those that were given
  std::string
      key;  // of the spec, where the mistake stands: metric, distinct, per, where, sql, le …
  std::string message;  // with the nearest name
  enum class What {
    wrong,         // no SQL, or SQL that does not only read
    unknown_name,  // a field or column that a built-in kind does not have
    unknown_kind,  // no built-in kind or view: an engine of another kind may write it
  } what = What::wrong;
};
// Checks them against a store in memory that knows the built-in record kinds and has no record.
Result<std::vector<GateMistake>> check_gates(const std::vector<Gate>& gates);

// Evaluates and stores them with the run (replacing earlier outcomes of the same run).
// `cancelled` is asked now and then; true ends it with Exit::interrupted, and nothing is stored.
Result<std::vector<GateOutcome>> evaluate_gates(Store& store, std::string_view run,
                                                const std::vector<Gate>& gates,
                                                const std::function<bool()>& cancelled = {});
Result<std::vector<GateOutcome>> stored_gates(Store& store, int64_t run);
// What `--run` must say for the outcome's query: the run, or "" where the query names its runs.
std::string query_scope(const GateOutcome& outcome, const std::string& run);
std::string_view to_string(GateStatus status);

}  // namespace greta::store
