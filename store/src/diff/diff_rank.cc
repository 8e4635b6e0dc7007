#include "diff/diff_rank.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>

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

std::pair<const Values*, const Values*> values_to_judge(const DiffRecord& a, const DiffRecord& b,
                                                        size_t field) {
  const auto of_groups = [field](const DiffRecord& record) {
    std::vector<const Values*> out;
    std::optional<int64_t> group;
    for (const auto& [id, repeat] : record.repeats) {
      if (group == id.group || repeat.values[field].type == Value::Type::null) continue;
      group = id.group;
      out.push_back(&repeat.values);
    }
    return out;
  };
  const auto in_a = of_groups(a), in_b = of_groups(b);
  if (in_a.empty() || in_b.empty()) return {nullptr, nullptr};
  std::pair<const Values*, const Values*> out{in_a[0], in_b[0]};
  if (in_a.size() == 1 && in_b.size() == 1) return out;
  const auto value = [field](const Values* values) -> const Value& { return (*values)[field]; };
  const auto number = [&](const Values* values) { return is_number(value(values)); };
  if (std::all_of(in_a.begin(), in_a.end(), number) &&
      std::all_of(in_b.begin(), in_b.end(), number)) {
    const auto less = [&](const Values* x, const Values* y) {
      return to_double(value(x)) < to_double(value(y));
    };
    const auto [low_a, high_a] = std::minmax_element(in_a.begin(), in_a.end(), less);
    const auto [low_b, high_b] = std::minmax_element(in_b.begin(), in_b.end(), less);
    const double up = to_double(value(*high_b)) - to_double(value(*low_a));
    const double down = to_double(value(*high_a)) - to_double(value(*low_b));
    return up >= down ? std::pair{*low_a, *high_b} : std::pair{*high_a, *low_b};
  }
  for (const Values* one : in_a)
    if (!same_value(value(one), value(out.second))) return {one, out.second};
  for (const Values* one : in_b)
    if (!same_value(value(out.first), value(one))) return {out.first, one};
  return out;
}

}  // namespace greta::store
