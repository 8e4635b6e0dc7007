#pragma once
// One metric over the history: the short form of the questions that people ask most. Each becomes
// one SELECT over the documented views, which Store::query takes as it is, so that every figure has
// its query.

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "store/store.h"

namespace greta::store {

// A column of the records and what it may be: texts or, with * ? [, globs; for numbers "3" and
// "0-3"; for `commit` its first digits. "B3.21@recorded" as a milestone means what it means to
// Store::select: the latest of its recorded runs.
struct MetricFilter {
  std::string column;
  std::vector<std::string> accepted;  // any of these
};

struct MetricQuestion {
  // "readout.gap", or "gap" in whatever kinds have it. The name of the column or, where SQL cannot
  // have that, of the field.
  std::string metric;
  std::vector<MetricFilter> filters = {};
  std::vector<std::pair<std::string, std::string>> axes = {};  // of the variant: GRETA_X, value
  std::string where = {};  // an SQL condition over the columns of the records
  // max, min, mean, median, count, last (of the newest run); "" a row a record, or with `by` what
  // default_aggregate says.
  std::string agg = {};
  std::vector<std::string> by = {};  // columns; `day` is the day of the run
  // worst: NaN, then the largest; of rates (unit …/s) and truth values the smallest.
  enum class Order { time, worst, best } order = Order::time;
  int64_t limit = 0;  // rows; 0: all
};

// A record kind that has the metric.
struct MetricSource {
  std::string kind, view;  // `view` is SQL: a view's name, or for cells.wall_s a SELECT in brackets
  std::string field, type;  // type as in SCHEMA.md
  std::string unit;
  bool timing = false;
  bool has_record = true;
  std::vector<std::string> keys;  // what tells the records of a cell apart
  std::vector<std::pair<std::string, std::string>> columns;  // all fields: name, type
};

struct MetricQuery {
  std::string sql;
  std::vector<MetricSource> sources;
  // Columns that only programs want: a table for people leaves them out.
  std::vector<std::string> background;
  std::string value;  // name of the column that holds the metric
};

// Errors (usage): no kind has the metric, none of them has a filter's or `by`'s column, an
// aggregate of what is no number; each with the nearest name. A `where` that is more than one
// condition.
Result<MetricQuery> metric_query(Store& store, const MetricQuestion& question);
// "max", for timings "median", for truth values "min" (is it true in all of them?).
std::string default_aggregate(const MetricSource& source);

// Asked about now and then; true ends the query with Exit::interrupted.
using Cancelled = std::function<bool()>;
// For a question whose query or history found no row: what was looked for, and what there is
// instead.
Result<std::string> why_nothing(Store& store, const MetricQuestion& question,
                                const Cancelled& cancelled);
// What an answer does not show and its reader should know, a line each: records whose value the
// field could not hold ("2 records of readout hold gap otherwise: gap__text"), figures of several
// recorded runs of one milestone. To be asked once there is an answer, of its sources.
Result<std::vector<std::string>> metric_notes(Store& store, const MetricQuestion& question,
                                              const std::vector<MetricSource>& sources,
                                              const Cancelled& cancelled);

}  // namespace greta::store
