#pragma once
// diff A B: what was different before the numbers (confounders), then the numbers, worst first, and
// what looks too good to be true (lints).

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "store/statistics.h"
#include "store/store.h"

namespace greta::store {

// One side of a diff: a run or several, or only their variants that have these values on these
// axes. Records of one key in several runs of a side are repeats of each other.
struct Side {
  std::vector<int64_t> runs;
  std::map<std::string, std::string> arms = {};
};
// "RUN#AXIS=VALUE,AXIS=VALUE" parted: the run's selector and its arms. A piece without `=` belongs
// to the value before it: GRETA_TRACE_LAYERS=0,1 is one axis.
struct SideName {
  std::string run;  // what Store::select_all takes
  std::map<std::string, std::string> arms;
};
Result<SideName> parse_side(std::string_view selector);

enum class Verdict { identical, within_floor, diverged, only_a, only_b, not_comparable };

struct Confounder {
  std::string what;  // model, commit, hardware, image, flags.GRETA_…, prompt.p4_sys, provenance, …
  std::string a, b;  // "not recorded" where one side does not know
  // Known on one side alone, and no part of what decides whether the figures may be compared:
  // readers are told its name, not a row a piece. A recorded milestone lacks dozens of these.
  bool background = false;
};
// What the runs of one side do not have in common: "commit", {"abc", "def"}.
struct Mixed {
  std::string what;
  std::vector<std::string> values;
};
// The names of those that only the other side knows, with ", " between them. side: 'a' or 'b' is
// the side that does not know.
std::string unknown_to(char side, const std::vector<Confounder>& confounders);
// Which arms were compared: equal ones first; where a run has no equal arm, the one whose flags
// agree best.
struct VariantPair {
  std::string a, b;
  bool same = true;
  std::string note;  // how they differ when not the same
  std::string
      label;  // what tells this pair from others: a's name without the axes that were chosen
};
struct MetricDiff {
  std::string kind, metric;
  std::string key;        // "prompt=p4_sys, phase=decode0, layer=31"
  std::string a, b;       // as text, exactly as stored
  double difference = 0;  // |a − b|; NaN where it has no meaning
  double floor = 0;       // larger of repeat floor and numeric floor
  Verdict verdict = Verdict::diverged;
  size_t place = 0;  // index into Diff::places
};
// Where figures come from, for their queries.
struct DiffTable {
  std::string view,
      columns;  // SQL; columns: what tells the rows apart, and the bound if there is one
};
struct DiffPlace {
  size_t table = 0, variants = 0;  // indices into Diff::tables, Diff::variants
  std::string condition;           // SQL: "prompt = 'p4_sys' AND layer = 31"
};
enum class TimingVerdict {
  too_few,        // fewer than kFewestSamples samples on a side: nothing is claimed
  same_records,   // both sides have the same records, from the cache: nothing was measured twice
  no_difference,  // the interval holds "equal"
  faster,
  slower,
};
// A timing of one key on both sides: every repeat of every run is a sample.
struct TimingDiff {
  std::string kind, metric, unit, key;
  std::vector<double> a, b;   // samples, in the order of the runs
  SampleComparison compared;  // medians 0 where a side has no sample of its own
  TimingVerdict verdict = TimingVerdict::too_few;
  size_t place = 0;  // index into Diff::places
};
// How one figure fares over all records that both sides have.
struct FigureTally {
  std::string kind, metric;
  int64_t identical = 0, within_floor = 0, diverged = 0;
  double largest = 0;  // |a − b|; NaN where it has no meaning (texts, hashes)
  std::string where;   // key of the record with the largest difference
};
// Records (or fields of matched records) that only one of the runs has, in few words.
struct OneSided {
  std::string kind;
  char side = 'a';
  std::string what;     // "layer 8–31", "fields rel_l2, bound", "rel_l2, first at layer=3"
  int64_t records = 0;  // 0 where it is so in every record that both have
};
// A figure on which the repeats of a side do not agree.
struct Unsteady {
  char side = 'a';
  std::string kind, metric;
  double largest = 0;  // between two repeats of a record; infinite for texts and hashes
};
struct Lint {
  std::string
      id;  // arms_same_kernel, constant_across_prompts, flag_not_read, gate_measured_nothing, …
  std::string message;
  std::string query;            // shows it: greta query --run RUN "…"
  std::string message_es = {};  // the same in Spanish, for the report
};
struct Diff {
  RunSummary a, b;                                              // the first run of each side
  std::vector<RunSummary> runs_a = {}, runs_b = {};             // all of them
  std::vector<Mixed> mixed_a = {}, mixed_b = {};                // what differs inside a side
  std::map<std::string, std::string> arms_a = {}, arms_b = {};  // as asked for; empty: whole runs
  std::vector<Confounder> confounders;                          // model, hardware, commit first
  std::vector<MetricDiff> metrics;  // worst first; identical ones only while the list is small
  Verdict verdict = Verdict::not_comparable;
  std::string reason;                              // why not comparable, or where first diverged
  int64_t matched = 0, only_a = 0, only_b = 0;     // figures; records without a partner
  int64_t figures_only_a = 0, figures_only_b = 0;  // of matched records
  std::vector<Unsteady> unsteady = {};
  std::string reason_es = {};  // the same in Spanish, for the report
  std::vector<VariantPair> variants = {};
  std::vector<OneSided> one_sided = {};
  // Worst first. They are no part of `verdict`; of the exit code only with `timings_count`.
  std::vector<TimingDiff> timings = {};
  bool timings_count = false;
  std::vector<std::string> timing_confounders = {};  // of the machine: "device", "threads", …
  int64_t identical = 0, within_floor = 0, diverged = 0, not_comparable = 0;  // figures
  std::vector<FigureTally> figures = {};  // judged ones, worst first; the all-identical ones last
  std::vector<std::string> other_prompts = {};  // why figures of single prompts are not comparable
  // Matched records, and those of them that are the same on both sides: taken from the cache.
  int64_t records = 0, shared = 0;
  std::vector<DiffTable> tables = {};
  std::vector<DiffPlace> places = {};
  size_t first_place = 0;  // where it first diverged, if it did
  std::string first_metric = {};
};

// Sides that choose arms are paired by the axes that neither chose. Errors (usage): an axis or
// value that the run does not have, with the nearest one; a run on both sides with the same arms.
// Where the runs of a side differ in what could change a result (`mixed_a`, `mixed_b`), what lies
// between those is no noise: only runs that agree in all of it widen the repeat floor, and of the
// others' values those two are judged that are farthest apart.
Result<Diff> diff(Store& store, const Side& a, const Side& b);
Result<Diff> diff(Store& store, int64_t run_a, int64_t run_b);
// Exit code of `greta diff`: 0 identical or within floor, 1 diverged, 3 nothing in common,
// 5 not comparable. Where timings count and the figures are equal: 1 if one is slower, 5 if the
// machines differ, 3 if none has samples enough.
int exit_code(const Diff& diff);
// Results of this run that look too good, or cannot be what they claim to be.
Result<std::vector<Lint>> lints(Store& store, int64_t run);
// SQL for Store::query over all runs: every repeat of the figure on both sides.
std::string query_of(const Diff& diff, size_t place, const std::string& metric);
// Readable in a terminal as it is. with_queries: the query of every figure that is listed, else of
// the first one alone.
std::string to_markdown(const Diff& diff, size_t most_rows, bool with_queries = false);
std::string to_json(const Diff& diff);
// JUnit's XML: a case for every figure that both sides have; failed where it diverges. Timings are
// cases where they count.
std::string to_junit(const Diff& diff);
std::string_view to_string(Verdict verdict);
std::string_view to_string(TimingVerdict verdict);

}  // namespace greta::store
