#include "diff/diff_rank.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

namespace greta::store {
namespace {

int rank(Verdict verdict) {
  switch (verdict) {
    case Verdict::diverged:
      return 0;
    case Verdict::not_comparable:
      return 1;
    case Verdict::within_floor:
      return 2;
    default:
      return 3;
  }
}

}  // namespace

Sort sort_of(const FieldInfo& field, const Value& a, const Value& b) {
  if (field.role == FieldRole::hash || field.type == "hash") return Sort::no_distance;
  if (is_number(a) != is_number(b)) return Sort::not_finite;
  if (!is_number(a)) return Sort::no_distance;
  if (field.type == "boolean") return Sort::truth;
  if (field.column == "top1_id") return Sort::answer;
  if (field.column == "bound" || field.column == "ref_rms") return Sort::yardstick;
  const bool whole =
      field.type == "integer" || (a.type == Value::Type::integer && b.type == a.type);
  return whole ? Sort::counted : Sort::measured;
}

std::tuple<int, int, double, double> badness(const Judged& judged) {
  const MetricDiff& metric = judged.metric;
  double ratio = 0, relative = 0;
  if (!std::isnan(metric.difference) && metric.difference > 0) {
    ratio = metric.floor > 0 ? metric.difference / metric.floor
                             : std::numeric_limits<double>::infinity();
    const double size =
        std::max(std::abs(std::atof(metric.a.c_str())), std::abs(std::atof(metric.b.c_str())));
    relative = metric.difference / size;
  }
  // Where nothing is judged nothing is worse: the answers first, then in order of execution.
  if (metric.verdict == Verdict::not_comparable)
    return {rank(metric.verdict), metric.kind != "readout" ? 1 : 0, 0, 0};
  return {rank(metric.verdict), static_cast<int>(judged.sort), -ratio, -relative};
}

}  // namespace greta::store
