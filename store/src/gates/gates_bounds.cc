#include "gates/gates_bounds.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "compare/run_info.h"
#include "contract/text.h"
#include "text/markdown.h"

namespace greta::store {

namespace {

struct Comparison {
  std::string_view name, sign;
  bool upper;
};
constexpr Comparison kComparisons[] = {{"le", "<=", true}, {"lt", "<", true}, {"ge", ">=", false},
                                       {"gt", ">", false}, {"eq", "=", true}, {"ne", "<>", true}};

const Comparison* find_comparison(std::string_view name) {
  const auto at = std::find_if(std::begin(kComparisons), std::end(kComparisons),
                               [&](const Comparison& one) { return one.name == name; });
  return at == std::end(kComparisons) ? nullptr : &*at;
}

bool is_lower(const Bound& bound) { return bound.compare == "ge" || bound.compare == "gt"; }

std::string limit_sql(const Bound& bound) {
  if (!bound.limit_field.empty()) return sql_name(bound.limit_field);
  if (bound.whole) return std::to_string(*bound.whole);
  if (std::isinf(bound.limit)) return bound.limit > 0 ? "9e999" : "-9e999";
  return number_text(bound.limit);
}

std::string limit_text(const Bound& bound) {
  if (!bound.limit_field.empty()) return bound.limit_field;
  return bound.whole ? std::to_string(*bound.whole) : number_text(bound.limit);
}

Exact limit_of(const Bound& bound) {
  return bound.whole ? static_cast<Exact>(*bound.whole) : static_cast<Exact>(bound.limit);
}

// |a - b|: abs() fails for the least integer.
std::string distance_sql(const std::string& a, const std::string& b) {
  return "max(" + a + " - " + b + ", " + b + " - " + a + ")";
}

}  // namespace

Exact exact(const Value& value) {
  if (!is_number(value)) return std::numeric_limits<Exact>::quiet_NaN();
  return value.type == Value::Type::integer ? static_cast<Exact>(value.integer)
                                            : static_cast<Exact>(value.real);
}

std::string is_number_sql(const std::string& value) {
  return "(typeof(" + value + ") IN ('integer', 'real') AND " + value + " > -9e999 AND " + value +
         " < 9e999)";
}

Result<GateBounds> GateBounds::of(const Gate& gate) {
  GateBounds out;
  out.bounds_ = gate.bounds;
  std::vector<std::string> names;
  for (const Comparison& one : kComparisons) names.emplace_back(one.name);
  for (const Bound& bound : out.bounds_) {
    if (find_comparison(bound.compare) == nullptr) {
      return fail(Exit::usage, "unknown comparison `" + bound.compare + "`" +
                                   did_you_mean(bound.compare, names));
    }
    if (bound.limit_field.empty() && std::isnan(bound.limit)) {
      return fail(Exit::usage, "its limit is no number");
    }
    if (!bound.limit_field.empty() && bound.limit_field == gate.field) {
      return fail(Exit::usage, "`" + bound.compare + "`: `" + gate.field +
                                   "` is compared with itself: it says nothing");
    }
  }
  if (out.bounds_.size() == 1) return out;
  if (out.bounds_.size() == 2 && is_lower(out.bounds_[1])) {
    std::swap(out.bounds_[0], out.bounds_[1]);
  }
  const bool range = out.bounds_.size() == 2 && is_lower(out.bounds_[0]) &&
                     (out.bounds_[1].compare == "le" || out.bounds_[1].compare == "lt") &&
                     out.bounds_[0].limit_field.empty() && out.bounds_[1].limit_field.empty();
  if (!range) return fail(Exit::usage, "a gate has one bound, or a lower and an upper number");
  return out;
}

bool GateBounds::upper() const { return find_comparison(only().compare)->upper; }

bool GateBounds::holds(Exact value) const {
  return std::isfinite(value) &&
         std::all_of(bounds_.begin(), bounds_.end(), [&](const Bound& bound) {
           return compares(value, bound.compare, limit_of(bound));
         });
}

Exact GateBounds::room(Exact value) const {
  Exact least = std::numeric_limits<Exact>::infinity();
  if (!std::isfinite(value)) return -least;
  for (const Bound& bound : bounds_) {
    const Exact over = value - limit_of(bound);
    least = std::min(least, bound.compare == "eq"   ? -std::abs(over)
                            : bound.compare == "ne" ? std::abs(over)
                            : is_lower(bound)       ? over
                                                    : -over);
  }
  return least;
}

std::string GateBounds::text() const {
  std::vector<std::string> parts;
  for (const Bound& bound : bounds_) {
    parts.push_back(compare_sign(bound.compare) + " " + limit_text(bound));
  }
  return joined(parts, ", ");
}

std::string GateBounds::holds_sql(const std::string& value) const {
  std::string when = is_number_sql(value);
  std::vector<std::string> conditions;
  for (const Bound& bound : bounds_) {
    const std::string limit = limit_sql(bound);
    if (!bound.limit_field.empty()) when += " AND " + is_number_sql(limit);
    conditions.push_back(value + " " + compare_sign(bound.compare) + " " + limit);
  }
  return "CASE WHEN " + when + " THEN " + joined(conditions, " AND ") + " ELSE 0 END";
}

std::string GateBounds::order_sql(const std::string& value) const {
  const Bound& bound = only();
  const std::string limit = limit_sql(bound);
  const std::string numbers =
      is_number_sql(value) + ", " + (has_field() ? is_number_sql(limit) + ", " : "");
  // Between two: the worst is the one with the least room to either.
  if (bounds_.size() == 2) {
    return numbers + "min(" + value + " - " + limit + ", " + limit_sql(bounds_[1]) + " - " + value +
           ")";
  }
  if (bound.compare == "eq") return numbers + distance_sql(value, limit) + " DESC";
  if (bound.compare == "ne") return numbers + distance_sql(value, limit);
  if (!has_field()) return numbers + value + (upper() ? " DESC" : "");
  // Bounds differ from record to record: the worst is the one that uses most of its own.
  return numbers + (upper() ? "CASE WHEN " + limit + " > 0 THEN " + value + " * 1.0 / " + limit +
                                  " ELSE " + value + " * 9e99 END DESC"
                            : value + " - " + limit);
}

bool compares(Exact value, std::string_view compare, Exact limit) {
  if (compare == "le") return value <= limit;
  if (compare == "lt") return value < limit;
  if (compare == "ge") return value >= limit;
  if (compare == "gt") return value > limit;
  if (compare == "eq") return value == limit;
  return value != limit;
}

std::string compare_sign(std::string_view compare) {
  return std::string(find_comparison(compare)->sign);
}

}  // namespace greta::store
