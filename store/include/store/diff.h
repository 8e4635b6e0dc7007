#pragma once
// diff A B: what was different before the numbers (confounders), then the numbers, worst first, and
// what looks too good to be true (lints).

#include <string>
#include <vector>

#include "store/store.h"

namespace greta::store {

enum class Verdict { identical, within_floor, diverged, only_a, only_b, not_comparable };

struct Confounder {
  std::string what;  // model, commit, hardware, image, flags.GRETA_…, prompt.p4_sys, provenance, …
  std::string a, b;
};
struct MetricDiff {
  std::string kind, metric;
  std::string key;           // "prompt=p4_sys, phase=decode0, layer=31"
  std::string a, b;          // as text, exactly as stored
  double difference = 0;     // |a − b|; NaN where it has no meaning
  double floor = 0;          // larger of repeat floor and numeric floor
  Verdict verdict = Verdict::diverged;
};
struct Lint {
  std::string id;       // arms_same_kernel, constant_across_prompts, flag_not_read, gate_measured_nothing, …
  std::string message;
  std::string query;
};
struct Diff {
  RunSummary a, b;
  std::vector<Confounder> confounders;  // model, hardware, commit first
  std::vector<MetricDiff> metrics;      // worst first
  Verdict verdict = Verdict::not_comparable;
  std::string reason;                   // why not comparable, or where first diverged
  int64_t matched = 0, only_a = 0, only_b = 0;
};

Result<Diff> diff(Store& store, int64_t run_a, int64_t run_b);
Result<std::vector<Lint>> lints(Store& store, int64_t run);
std::string to_markdown(const Diff& diff, size_t most_rows);
std::string to_json(const Diff& diff);
std::string_view to_string(Verdict verdict);

}  // namespace greta::store
