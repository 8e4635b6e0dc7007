#include "gates/gates_ratio.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <numeric>

#include "contract/text.h"
#include "gates/gates_query.h"
#include "store/statistics.h"
#include "text/markdown.h"

namespace greta::store {

namespace {

GateOutcome nothing_compared(const KindScope& scope, const GatePairs& pairs) {
  return GateOutcome{
      .id = scope.gate.id,
      .status = GateStatus::not_measured,
      .message = "nothing was compared: " +
                 (pairs.refusal.empty() ? "no pair" + pairs.notes() : pairs.refusal)};
}

// NaN, and why, where there is none.
struct Ratio {
  double value = std::numeric_limits<double>::quiet_NaN();
  std::string why_none;
};
Ratio ratio_of(double a, double b) {
  if (b == 0) return {.why_none = "divided by 0"};
  const double value = a / b;
  if (!std::isfinite(value)) return {.why_none = "no finite number"};
  return {.value = value, .why_none = ""};
}

Ratio ratio_of(const Value& a, const Value& b) {
  if (!is_number(a)) return {.why_none = "no number here"};
  if (!is_number(b)) return {.why_none = "no number there"};
  return ratio_of(to_double(a), to_double(b));
}

// For sentences; what was measured is kept in full.
std::string short_number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.4g", value);
  return text.data();
}

std::string times(const std::string& a, const std::string& b, const Ratio& ratio,
                  const std::string& other) {
  return a + " is " +
         (ratio.why_none.empty() ? short_number(ratio.value) + " times "
                                 : "in no ratio (" + ratio.why_none + ") to ") +
         b + " of " + other;
}

// The ratio, or what has none: "1.5 / 0".
std::string measured_text(const Ratio& ratio, const std::string& a, const std::string& b) {
  return ratio.why_none.empty() ? number_text(ratio.value) : a + " / " + b;
}

std::string limit_text(const GateBounds& bounds, const GatePairs& pairs) {
  return bounds.text() + " × " + pairs.other.name;
}

Result<GateOutcome> every_pair(const KindScope& scope, const GateBounds& bounds,
                               const GatePairs& pairs) {
  GateOutcome outcome{.id = scope.gate.id};
  const RecordPair* worst = nullptr;
  Ratio worst_ratio;
  for (const RecordPair& pair : pairs.pairs) {
    const Ratio ratio = ratio_of((*pair.values_a)[pairs.field], (*pair.values_b)[pairs.field]);
    ++outcome.rows;
    outcome.failed += bounds.holds(ratio.value) ? 0 : 1;
    if (worst != nullptr && bounds.room(ratio.value) >= bounds.room(worst_ratio.value)) continue;
    worst = &pair;
    worst_ratio = ratio;
  }
  const std::string a = shown((*worst->values_a)[pairs.field]);
  const std::string b = shown((*worst->values_b)[pairs.field]);
  outcome.measured = measured_text(worst_ratio, a, b);
  outcome.limit = limit_text(bounds, pairs);
  outcome.where = pairs.place(*worst);
  outcome.query = pair_query(scope, pairs, *worst, "a.value * 1.0 / b.value AS ratio");
  outcome.status = outcome.failed == 0 ? GateStatus::pass : GateStatus::fail;
  const std::string rows = std::to_string(outcome.rows);
  outcome.message = (outcome.failed == 0 ? "all " + rows + " records hold; nearest: "
                                         : std::to_string(outcome.failed) + " of " + rows +
                                               " records do not hold; worst: ") +
                    times(scope.gate.field + " = " + shown((*worst->values_a)[pairs.field]),
                          shown((*worst->values_b)[pairs.field]), worst_ratio, pairs.other.name) +
                    pairs.notes();
  return outcome;
}

// The samples of one `per` group, and of one arm where arms are compared: each other arm is judged
// by itself.
struct Group {
  std::vector<size_t> variants;  // of the pairs
  std::vector<double> a, b;
  const RecordPair* bad = nullptr;  // a pair in which one is no number
};
using GroupKey = std::pair<std::string, std::vector<std::pair<std::string, std::string>>>;

// What the gate's `per` says of a record of this run; "" where it has no such key.
std::string group_value(const GatePairs& pairs, const RecordPair& pair, const std::string& column) {
  if (column == "variant") return pairs.other.variants[pair.variant].a;
  if (column == "prompt") return pair.a->prompt;
  if (column == "repeat") return std::to_string(pair.repeat_a);
  const auto part = pair.a->parts.find(column);
  return part == pair.a->parts.end() ? "" : part->second;
}

// How a variant differs from its partner, where both are of this run.
std::string arm_text(const GatePairs& pairs, const Gate& gate, size_t variant) {
  if (!pairs.other.same_run) return "";
  for (const VariantInfo& one : pairs.run.variants) {
    if (one.name != pairs.other.variants[variant].a) continue;
    std::vector<std::string> parts;
    for (const auto& [axis, value] : gate.partner.arm)
      parts.push_back(axis + "=" + one.axes.at(axis));
    return joined(parts, ", ");
  }
  return "";
}

std::map<GroupKey, Group> groups_of(const KindScope& scope, const GatePairs& pairs) {
  const auto& per = scope.gate.per;
  const bool by_repeat = std::find(per.begin(), per.end(), "repeat") != per.end();
  std::map<GroupKey, Group> out;
  std::set<std::pair<const Group*, const DiffRecord*>> taken;
  for (const RecordPair& pair : pairs.pairs) {
    GroupKey key{arm_text(pairs, scope.gate, pair.variant), {}};
    for (const std::string& column : per)
      key.second.emplace_back(column, group_value(pairs, pair, column));
    Group& group = out[key];
    if (std::find(group.variants.begin(), group.variants.end(), pair.variant) ==
        group.variants.end()) {
      group.variants.push_back(pair.variant);
    }
    const auto add = [&](const Value& value, std::vector<double>& into) {
      if (is_number(value)) return into.push_back(to_double(value));
      if (group.bad == nullptr) group.bad = &pair;
    };
    add((*pair.values_a)[pairs.field], group.a);
    if (by_repeat) {
      add((*pair.values_b)[pairs.field], group.b);
    } else if (taken.insert({&group, pair.b}).second) {  // each of its repeats is a sample
      for (const auto& [id, one] : pair.b->repeats) {
        const Value& value = one.values[pairs.field];
        if (value.type != Value::Type::null) add(value, group.b);
      }
    }
  }
  return out;
}

double aggregate_of(const std::string& agg, const std::vector<double>& values) {
  if (agg == "median") return median(values);
  if (agg == "max") return *std::max_element(values.begin(), values.end());
  if (agg == "min") return *std::min_element(values.begin(), values.end());
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  return agg == "mean" ? sum / static_cast<double>(values.size()) : sum;
}

// What the spread of the samples says of the ratio of their medians.
std::string interval_text(const Group& group) {
  const std::string counts =
      std::to_string(group.a.size()) + " and " + std::to_string(group.b.size()) + " samples";
  const auto interval = compare_samples(group.b, group.a).ratio;
  if (!interval) return " (" + counts + ": no interval)";
  return " (95 % interval " + short_number(interval->low) + " – " + short_number(interval->high) +
         ", " + counts + ")";
}

std::string place_of(const GroupKey& key) {
  std::vector<std::string> parts;
  if (!key.first.empty()) parts.push_back(key.first);
  for (const auto& [column, value] : key.second)
    if (!value.empty()) parts.push_back(column + "=" + value);
  return joined(parts, ", ");
}

Result<GateOutcome> every_group(const KindScope& scope, const GateBounds& bounds,
                                const GatePairs& pairs) {
  const Gate& gate = scope.gate;
  GateOutcome outcome{.id = gate.id};
  outcome.rows = static_cast<int64_t>(pairs.pairs.size());
  outcome.limit = limit_text(bounds, pairs);
  const auto groups = groups_of(scope, pairs);
  const std::string what = gate.agg + "(" + gate.field + ")";
  const std::pair<const GroupKey, Group>* worst = nullptr;
  Ratio worst_ratio;
  double value_a = 0, value_b = 0;
  for (const auto& group : groups) {
    const auto& [key, samples] = group;
    if (samples.bad != nullptr) {
      const RecordPair& pair = *samples.bad;
      outcome.status = GateStatus::fail;
      outcome.failed = 1;
      const std::string a = shown((*pair.values_a)[pairs.field]);
      const std::string b = shown((*pair.values_b)[pairs.field]);
      outcome.measured = a + " / " + b;
      outcome.where = pairs.place(pair);
      outcome.query = pair_query(scope, pairs, pair, "typeof(a.value), typeof(b.value)");
      outcome.message = "a record holds no number, so " + what + " has no meaning: " + a +
                        " beside " + b + " of " + pairs.other.name + pairs.notes();
      return outcome;
    }
    const double a = aggregate_of(gate.agg, samples.a), b = aggregate_of(gate.agg, samples.b);
    const Ratio ratio = ratio_of(a, b);
    outcome.failed += bounds.holds(ratio.value) ? 0 : 1;
    if (worst != nullptr && bounds.room(ratio.value) >= bounds.room(worst_ratio.value)) continue;
    worst = &group;
    worst_ratio = ratio;
    value_a = a;
    value_b = b;
  }
  outcome.measured = measured_text(worst_ratio, number_text(value_a), number_text(value_b));
  outcome.where = place_of(worst->first);
  outcome.query = ratio_query(scope, pairs, worst->second.variants, worst->first.second);
  outcome.status = outcome.failed == 0 ? GateStatus::pass : GateStatus::fail;
  outcome.message = times(what + " = " + short_number(value_a), short_number(value_b), worst_ratio,
                          pairs.other.name);
  if (gate.agg == "median") outcome.message += interval_text(worst->second);
  outcome.message += " over " + std::to_string(outcome.rows) + " records";
  if (groups.size() > 1) {
    outcome.message += " in " + std::to_string(groups.size()) + " groups, of which " +
                       std::to_string(outcome.failed) + " do not hold";
  }
  outcome.message += pairs.notes();
  return outcome;
}

}  // namespace

Result<> check_pair_keys(const KindScope& scope) {
  const Gate& gate = scope.gate;
  if (gate.partner.what == Partner::What::none) return {};
  for (const std::string& column : gate.per) {
    const auto keys = scope.place_columns();
    if (std::find(keys.begin(), keys.end(), column) == keys.end()) {
      return fail(Exit::usage, "`per`: `" + printable(column) + "` does not tell pairs apart" +
                                   did_you_mean(column, keys));
    }
  }
  return {};
}

Result<> check_ratio(const KindScope& scope, const GateBounds& bounds) {
  const Gate& gate = scope.gate;
  if (const FieldInfo* field = scope.kind.find(gate.field);
      field != nullptr && (field->type == "text" || field->type == "hash" ||
                           field->type == "boolean" || field->type == "json")) {
    return fail(Exit::usage, "`" + gate.field + "` is " + field->type +
                                 ": it has no ratio (did you mean `within_floor_of`?)");
  }
  if (bounds.has_field()) return fail(Exit::usage, "a ratio is compared with a number");
  if (gate.agg == "count") return fail(Exit::usage, "`agg: count` has no ratio: pairs are as many");
  return {};
}

Result<GateOutcome> measure_ratio(const KindScope& scope, const GateBounds& bounds) {
  const Gate& gate = scope.gate;
  TRY(check_pair_keys(scope));
  TRY(check_ratio(scope, bounds));
  TRY_ASSIGN(const GatePairs pairs, pair_records(scope));
  if (pairs.pairs.empty()) return nothing_compared(scope, pairs);
  return gate.agg.empty() ? every_pair(scope, bounds, pairs) : every_group(scope, bounds, pairs);
}

}  // namespace greta::store
