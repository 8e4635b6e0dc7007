#pragma once
// The comparisons of a gate with `metric`: one, or a lower and an upper number.

#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "contract/result.h"
#include "store/gates.h"

namespace greta::store {

// Holds every 64-bit integer and every double exactly.
using Exact = long double;
static_assert(std::numeric_limits<Exact>::digits >= 64);
Exact exact(const Value& value);  // NaN for what is no finite number

// SQL that is 1 for a finite number and 0 for all else: NULL, a text, an infinity.
std::string is_number_sql(const std::string& value);

class GateBounds {
 public:
  // Errors (usage): no bound or too many, an unknown comparison, a limit that is no number.
  static Result<GateBounds> of(const Gate& gate);

  const Bound& only() const { return bounds_.front(); }
  bool has_field() const { return !only().limit_field.empty(); }
  // The limit is an upper one: larger values are worse.
  bool upper() const;
  // Only a finite number keeps a bound.
  bool holds(Exact value) const;
  // How far the value is from breaking a bound, negative where it does; of what is no finite number
  // the least. Numbers alone.
  Exact room(Exact value) const;
  std::string text() const;  // "<= 2", ">= 0.9, <= 1.1"

  // SQL for values that are SQL: whether the value keeps every bound (0 where it or its limit is no
  // finite number), and an order in which the worst comes first, after what is no number.
  std::string holds_sql(const std::string& value) const;
  std::string order_sql(const std::string& value) const;

 private:
  std::vector<Bound> bounds_;
};

bool compares(Exact value, std::string_view compare, Exact limit);
std::string compare_sign(std::string_view compare);  // le -> "<="

}  // namespace greta::store
